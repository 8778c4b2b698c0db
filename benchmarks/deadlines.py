"""How well deadlines hold, and what quality they buy: `python -m benchmarks.deadlines CLIP... --json FILE`.

Every clip's frames are reduced to the truth's size and then to the input's (MATLAB's bicubic on each plane), so that
the upscaled frames have something to be compared with. For each deadline frames are refined tile by tile; bicubic and
the single networks of the same flavour, but for those that take longer than any deadline, run on whole frames in the
same run, frame by frame in turns, so that whatever slows the machine slows all of them. A miss is a frame later than
its deadline by more than a millisecond; a single network meets a deadline where it misses at most one frame in a
hundred. With `--busy` another process keeps one core busy from the middle on.

On a machine that does other work, run it with a real-time priority (`chrt -r 5`). Linux still gives ordinary processes
50 ms of a second on each core then. The scheduler knows what they took at most while a frame waited
(`benchmarks.others`): frames that would have been in time without are `delayed_by_others`, not `missed`.
"""

import argparse
import json
import multiprocessing
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from benchmarks.machine import machine
from benchmarks.others import Moment, taken_by_others
from rtsr.engine.int8 import trial
from rtsr.frame import Frame
from rtsr.pacing.deadline import TOLERANCE_NS
from rtsr.pacing.paced import DEFAULT_MODEL, Pace, PacedUpscaler
from rtsr.quality.imresize import imresize
from rtsr.quality.metrics import psnr
from rtsr.resources import networks
from rtsr.scale import parse_scale
from rtsr.source.pyav import PyAVSource
from rtsr.upscaler import Upscaler


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--scale", default="2", help="1.5: to 720x405, 2: to 960x540, both from 480x270")
    parser.add_argument("--flavour", default="photo")
    parser.add_argument("--precision", help="fp32: no network in 8 bits; by default where that is quicker")
    parser.add_argument("--deadlines", default="15,30,60,120", help="milliseconds")
    parser.add_argument(
        "--frames", type=int, default=100, help="of each clip, again from the start where it is shorter"
    )
    parser.add_argument("--busy", action="store_true", help="keep one core busy from the middle on")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    scale = parse_scale(options.scale)
    size = (int(480 * scale), int(270 * scale))
    deadlines = [float(ms) for ms in options.deadlines.split(",")]
    result: dict = {
        "machine": machine(),
        "scale": options.scale,
        "flavour": options.flavour,
        "precision": options.precision,
        "busy": options.busy,
        "clips": {},
    }
    for clip in options.clips:
        pairs = list(_pairs(clip, size, 40))
        frames = [pairs[i % len(pairs)] for i in range(options.frames)]
        result["clips"][clip.name] = _measure(frames, scale, options, deadlines, size)
        print(clip.name, json.dumps(result["clips"][clip.name], indent=1), flush=True)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


def _measure(pairs, scale, options: argparse.Namespace, deadlines: list[float], size: tuple[int, int]) -> dict:
    flavour, precision = options.flavour, options.precision
    ways: dict[str, Callable[[Frame], Frame]] = {}
    size = (size[0], size[1] // 2 * 2)  # 405 lines have no 4:2:0.
    for deadline in deadlines:
        wish = {"model": f"{DEFAULT_MODEL}-{flavour}", "precision": precision, "turned": True}
        paced = PacedUpscaler(scale, Pace(deadline=deadline / 1000), **wish)
        ways[f"exits {deadline:g}"] = lambda frame, paced=paced: paced.frame(frame, *size)[0]
    singles = _singles(scale, flavour, precision, size, max(deadlines), pairs[0][0])
    ways |= singles
    cheapest = PacedUpscaler(scale, Pace(quality=0), model=f"{DEFAULT_MODEL}-{flavour}")
    ways["bicubic"] = lambda frame: cheapest.interpolate(frame, *size)
    took: dict[str, list[float]] = {name: [] for name in ways}
    reached: dict[str, list[float]] = {name: [] for name in ways}
    others: dict[str, list[float]] = {name: [] for name in ways}
    other = multiprocessing.Process(target=_burn, daemon=True)
    for i, (low, truth) in enumerate(pairs):
        if options.busy and i == len(pairs) // 2:
            other.start()
        for name, way in ways.items():
            before = Moment.now(other.pid)
            began = time.perf_counter_ns()
            large = way(low)
            took[name].append(time.perf_counter_ns() - began)
            others[name].append(taken_by_others(before, Moment.now(other.pid)))
            reached[name].append(psnr(large.y, truth[: large.height]))
    if other.is_alive():
        other.terminate()
    rows = {
        name: {
            "psnr_y": round(float(np.mean(reached[name])), 3),
            **{f"p{p}_ms": round(float(np.percentile(took[name], p)) / 1e6, 2) for p in (50, 95, 99)},
        }
        for name in ways
    }
    return {
        "ways": rows,
        "deadlines": {f"{d:g}": _verdict(d, rows, took, others, [*singles, "bicubic"]) for d in deadlines},
    }


def _singles(
    scale, flavour: str, precision: str | None, size: tuple[int, int], longest: float, frame: Frame
) -> dict[str, Callable[[Frame], Frame]]:
    """What upscales whole frames, by network: those that may take less than `longest`, in milliseconds.

    In floats; and in 8 bits, unless the `precision` is given, where that is quicker.
    """
    found = {}
    for network in networks().values():
        card = network.card
        if (card.scale, card.flavour) != (scale, flavour) or card.exits:
            continue
        whole = ["int8"] if card.int8 and precision is None and trial(network).pays else []
        for form in ["fp32", *whole]:
            single = Upscaler(scale, model=card.name, engine="onnx", precision=form)
            took = []
            for _ in range(3):
                began = time.perf_counter()
                single.frame(frame, *size)
                took.append(1000 * (time.perf_counter() - began))
            if min(took) <= longest:
                found[f"{card.arch} {form}"] = lambda frame, single=single: single.frame(frame, *size)
    return found


def _verdict(
    deadline: float, rows: dict, took: dict[str, list[float]], others: dict[str, list[float]], whole: list[str]
) -> dict:
    latest = deadline * 1e6 + TOLERANCE_NS

    def missed(name: str) -> float:
        return float((np.array(took[name]) - np.array(others[name]) > latest).mean())

    singles = [name for name in whole if missed(name) <= 0.01]
    best = max(singles, key=lambda name: rows[name]["psnr_y"], default=None)
    ours = f"exits {deadline:g}"
    return {
        "missed": round(missed(ours), 4),
        "delayed_by_others": round(float((np.array(took[ours]) > latest).mean()) - missed(ours), 4),
        "psnr_y": rows[ours]["psnr_y"],
        "best_single": best,
        "over_best_single": round(rows[ours]["psnr_y"] - rows[best]["psnr_y"], 3) if best else None,
    }


def _pairs(clip: Path, size: tuple[int, int], count: int) -> Iterator[tuple[Frame, np.ndarray]]:
    """Input frames of 480x270 and the luma of what they were reduced from."""
    with PyAVSource(clip) as source:
        for frame in islice((item for item in source.items() if isinstance(item, Frame)), count):
            truth = _reduced(frame, *size)
            yield _reduced(truth, 480, 270), truth.y


def _reduced(frame: Frame, width: int, height: int) -> Frame:
    half = (-(-height // 2), -(-width // 2))
    u, v = (imresize(plane, *half) for plane in (frame.u, frame.v))
    return replace(frame, y=imresize(frame.y, height, width), u=u, v=v)


def _burn() -> None:
    while True:
        pass


if __name__ == "__main__":
    main()
