"""What taking unchanged tiles over saves, and what looking for them costs.

    python -m benchmarks.reuse CLIP... --json result.json

Every clip is upscaled twice, frame by frame in turns, with and without reuse, at the last exit everywhere, and again
as without a deadline, whole frames by QuickSRNet-Small for captures; results are compared bit for bit. `menu` is the
first clip's first frame, over and over, with a small square that moves through it, as a cursor does.
"""

import argparse
import json
import time
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from benchmarks.machine import machine
from rtsr.engine.base import ExitsEngine
from rtsr.engine.choice import Means
from rtsr.frame import Frame
from rtsr.pacing.anytime import Refiner
from rtsr.pacing.deadline import CostModel
from rtsr.pacing.mixed import open_ways
from rtsr.resources import find_network
from rtsr.scale import parse_scale
from rtsr.source.pyav import PyAVSource
from rtsr.upscaler import Upscaler, target_size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--model", default="enaf-quicksrnet-medium")
    parser.add_argument("--scale", default="2")
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    network = find_network(options.model, parse_scale(options.scale))
    engine = open_ways(network, network.card.macs_per_pixel, Means("onnx", "cpu"))
    clips = {clip.name: _frames(clip, options.frames) for clip in options.clips}
    clips["menu"] = _menu(next(iter(clips.values()))[0], options.frames)
    result = {"machine": machine(), "model": network.card.name} | {
        name: _compare(engine, frames) | {"without_a_deadline": _compare_whole(options.scale, frames)}
        for name, frames in clips.items()
    }
    print(json.dumps(result, indent=2))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


def _compare(engine: ExitsEngine, frames: Iterable[Frame]) -> dict[str, object]:
    reusing, plain = (Refiner(engine, time.perf_counter_ns, CostModel({}), reuse) for reuse in (True, False))
    took: dict[Refiner, list[int]] = {reusing: [], plain: []}
    macs, reused, equal = {reusing: 0.0, plain: 0.0}, [], True
    for frame in frames:
        large = {}
        for refiner in (reusing, plain):
            began = time.perf_counter_ns()
            large[refiner], spent = refiner.share(frame, 1.0)
            took[refiner].append(time.perf_counter_ns() - began)
            macs[refiner] += spent.macs
            if refiner is reusing:
                reused.append(spent.reused / spent.tiles.sum())
        equal &= all((a == b).all() for a, b in zip(large[reusing], large[plain], strict=True))
    medians = [float(np.median(took[refiner][1:])) / 1e6 for refiner in (reusing, plain)]
    return {
        "equal": bool(equal),
        "tiles_reused": round(float(np.mean(reused[1:])), 3),
        "median_ms": {"reuse": round(medians[0], 2), "without": round(medians[1], 2)},
        "time_ratio": round(medians[0] / medians[1], 3),
        "multiply_add_ratio": round(macs[reusing] / macs[plain], 3),
    }


def _compare_whole(scale: str, frames: Iterable[Frame]) -> dict[str, object]:
    took: list[list[int]] = [[], []]
    equal = True
    with (
        Upscaler(scale, engine="onnx", provider="cpu", reuse=True) as reusing,
        Upscaler(scale, engine="onnx", provider="cpu") as plain,
    ):
        for frame in frames:
            size, large = target_size(frame.width, frame.height, plain.scale), []
            for upscaler, times in zip((reusing, plain), took, strict=True):
                began = time.perf_counter_ns()
                large.append(upscaler.frame(frame, *size))
                times.append(time.perf_counter_ns() - began)
            equal &= all((getattr(large[0], plane) == getattr(large[1], plane)).all() for plane in "yuv")
        reused = reusing.reused
    medians = [float(np.median(times[1:])) / 1e6 for times in took]
    return {
        "equal": bool(equal),
        "tiles_reused": round(reused, 3),
        "median_ms": {"reuse": round(medians[0], 2), "without": round(medians[1], 2)},
        "time_ratio": round(medians[0] / medians[1], 3),
    }


def _frames(clip: Path, count: int) -> list[Frame]:
    with PyAVSource(clip) as source:
        return list(islice((item for item in source.items() if isinstance(item, Frame)), count))


def _menu(frame: Frame, count: int) -> list[Frame]:
    frames = []
    for i in range(count):
        y = frame.y.copy()
        y[frame.height // 2 :, 12 * i :][:16, :16] = 200
        frames.append(replace(frame, y=y))
    return frames


if __name__ == "__main__":
    main()
