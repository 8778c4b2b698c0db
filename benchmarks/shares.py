"""What a share of a network's compute costs in quality, and saves in time, on captures with native references.

    python -m benchmarks.shares CAPTURE REFERENCE SCALE [CAPTURE REFERENCE SCALE ...] --json FILE

Frame n of CAPTURE is frame n of REFERENCE. Each share (`--quality` of `rtsr upscale`) upscales every n-th frame; shares
take turns frame by frame, so that whatever slows the machine slows all of them. Time is the processor's, from decoded
to upscaled, interpolation and judging included. `saved` compares with share 1: part of the time over part of the
multiply-adds that were saved. Unchanged tiles are computed anew, as the frames are not neighbours.
"""

import argparse
import json
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from benchmarks.machine import machine
from rtsr.frame import Frame
from rtsr.pacing.paced import DEFAULT_MODEL, Pace, PacedUpscaler
from rtsr.quality.metrics import psnr
from rtsr.scale import parse_scale
from rtsr.source.pyav import PyAVSource


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", metavar="CAPTURE REFERENCE SCALE")
    parser.add_argument("--shares", default="0,0.2,0.3,0.4,0.5,0.6,0.8,1")
    parser.add_argument("--model", default=f"{DEFAULT_MODEL}-capture")
    parser.add_argument("--frames", type=int, default=60, help="how many, from the first")
    parser.add_argument("--step", type=int, default=6, help="take every n-th of them")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    shares = [float(share) for share in options.shares.split(",")]
    result: dict = {"machine": machine(), "model": options.model, "clips": {}}
    for capture, reference, scale in zip(*(options.clips[i::3] for i in range(3)), strict=True):
        pairs = zip(_frames(Path(capture)), _frames(Path(reference)), strict=False)
        chosen = islice(pairs, 0, options.frames, options.step)
        row = _measure(chosen, parse_scale(scale), options.model, shares)
        result["clips"][f"{Path(capture).name} x{scale}"] = row
        print(capture, json.dumps(row, indent=1), flush=True)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", "utf-8")


def _measure(pairs: Iterator[tuple[Frame, Frame]], scale, model: str, shares: list[float]) -> dict:
    ways = {share: PacedUpscaler(scale, Pace(quality=share), model=model, reuse=False) for share in shares}
    reached: dict[float, list[float]] = {share: [] for share in shares}
    took: dict[float, list[float]] = {share: [] for share in shares}
    macs: dict[float, list[float]] = {share: [] for share in shares}
    for small, large in pairs:
        for share, way in ways.items():
            began = time.process_time()
            made, spent = way.frame(small, large.width, large.height)
            took[share].append(time.process_time() - began)
            macs[share].append(spent.macs / spent.full_macs)
            reached[share].append(psnr(made.y, large.y))
    full = max(shares)
    rows = {}
    for share in shares:
        time_share = float(np.median(np.array(took[share]) / took[full]))
        macs_share = float(np.mean(macs[share]) / np.mean(macs[full]))
        rows[f"{share:g}"] = {
            "psnr_y": round(float(np.mean(reached[share])), 3),
            "below_full_db": round(float(np.mean(reached[full]) - np.mean(reached[share])), 3),
            "time_share": round(time_share, 3),
            "macs_share": round(macs_share, 3),
            "saved": round((1 - time_share) / (1 - macs_share), 3) if share != full else None,
        }
    return rows


def _frames(path: Path) -> Iterator[Frame]:
    with PyAVSource(path) as source:
        yield from (item for item in source.items() if isinstance(item, Frame))


if __name__ == "__main__":
    main()
