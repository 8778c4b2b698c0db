"""rtsr's VapourSynth filter beside vs-mlrt's plugins: the same ONNX file, the same script, the same frames.

    python -m benchmarks.vapoursynth CLIP --frames 40 --rounds 3 --json result.json

Needs: pip install 'rtsr[vs]' vapoursynth-bestsource vapoursynth-mlrt-ort vapoursynth-mlrt-ov vapoursynth-mlrt-ncnn.
Frames are decoded, converted to RGBS and kept in memory before the clock starts, and every candidate has made some, so
that all its streams have taken their memory. Each then runs once in each round, on frames that come after those of the
round before, so that what else the machine does hits all; medians are given, with processor time, since frames a second
mean little on a busy machine, and of frames a second also the median of the ratios within a round. Run it under
`chrt -f 5` where that is allowed. Numbers are float32 everywhere; `ov, as it comes` is OpenVINO's own choice, which is
bfloat16 where the processor has it. `quality` and its rivals run a network with exits, the rivals its last exit.
What a plugin cannot do is tried in a process of its own, since some crash.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.machine import machine
from rtsr.resources import networks
from rtsr.vs import Upscale
from rtsr.vs.binding import vs

Candidate = Callable[[Any], Any]
WARM_UP = 8
"""Frames before the first that counts: several for each stream."""
EXITS = "enaf-quicksrnet-medium-x2-photo"
EXACT: dict[str, Any] = {"config": lambda: {"INFERENCE_PRECISION_HINT": "f32"}}


def main() -> None:
    options = _options()
    clip = _in_memory(options.clip, options.frames)
    plain = networks()[options.model].path
    last = networks()[EXITS].path / f"exit{len(networks()[EXITS].card.exits)}.onnx"
    result: dict[str, Any] = {"machine": machine(), "clip": options.clip.name, "frames": options.frames}
    result["size"] = [clip.width, clip.height]
    parts = {
        "plain": lambda: _compare(clip, _chosen(_plain(options.model) | _rivals(plain), options), options.rounds),
        "with exits": lambda: _compare(clip, _chosen(_spending() | _rivals(last), options), options.rounds),
        "x1.5": lambda: {name: _attempt(name) for name in ("ort", "ov", "ncnn")},
    }
    for name, measure in parts.items():
        result[name] = measure()
        if options.json:
            options.json.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    print(json.dumps(result, indent=2))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--model", default="quicksrnet-small-x2-capture")
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--without", action="append", default=[], help="a candidate to leave out, e.g. 'rtsr, 1 stream'"
    )
    parser.add_argument("--json", type=Path, help="written anew after each of the three parts")
    return parser.parse_args()


def _chosen(candidates: dict[str, Candidate], options: argparse.Namespace) -> dict[str, Candidate]:
    return {name: made for name, made in candidates.items() if name not in options.without}


def _in_memory(path: Path, count: int) -> Any:
    """The first `count` frames of a file in RGBS, decoded and converted already."""
    clip = vs.core.bs.VideoSource(str(path), cachemode=0)[:count].resize.Bilinear(format=vs.RGBS)
    frames = list(clip.frames(close=False))
    return clip.std.BlankClip(keep=True).std.ModifyFrame(clip.std.BlankClip(keep=True), lambda n, f: frames[n])


def _plain(model: str) -> dict[str, Candidate]:
    return {
        "rtsr": lambda clip: Upscale(clip, 2, model, reuse=False),
        "rtsr, 1 stream": lambda clip: Upscale(clip, 2, model, num_streams=1, reuse=False),
        "rtsr, reuse": lambda clip: Upscale(clip, 2, model),
    }


def _spending() -> dict[str, Candidate]:
    return {
        "rtsr": lambda clip: Upscale(clip, 2, EXITS, reuse=False),
        "rtsr, quality 0.6": lambda clip: Upscale(clip, 2, EXITS, quality=0.6, reuse=False),
        "rtsr, quality 0.6, reuse": lambda clip: Upscale(clip, 2, EXITS, quality=0.6),
    }


def _rivals(network: Path) -> dict[str, Candidate]:
    core, path = vs.core, str(network)
    return {
        "ort": lambda clip: core.ort.Model(clip, network_path=path),
        "ort, 2 streams": lambda clip: core.ort.Model(clip, network_path=path, num_streams=2),
        "ov": lambda clip: core.ov.Model(clip, network_path=path, **EXACT),
        "ov, 2 streams": lambda clip: core.ov.Model(clip, network_path=path, num_streams=2, **EXACT),
        "ov, as it comes": lambda clip: core.ov.Model(clip, network_path=path),
        "ncnn": lambda clip: core.ncnn.Model(clip, network_path=path),
    }


def _compare(clip: Any, candidates: dict[str, Candidate], rounds: int) -> dict[str, Any]:
    """Frames a second and processor time of every candidate, and how far its last frame is from the first's."""
    count, long = clip.num_frames, clip.std.Loop(rounds + -(-WARM_UP // clip.num_frames))
    made, found = {}, {}
    for name, candidate in candidates.items():
        try:
            made[name] = candidate(long)
            for n in range(WARM_UP):
                made[name].get_frame(n).close()
        except (vs.Error, AttributeError) as cause:
            made.pop(name, None)
            found[name] = {"error": str(cause).strip().splitlines()[-1]}
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in made}
    for turn in range(rounds):
        first = WARM_UP + turn * count
        for name, node in made.items():
            spent[name].append(_run(node[first : first + count]))
    own = next(iter(made))
    reference = _last(made[own])
    for name, node in made.items():
        seconds, cpu = (median(figures) / count for figures in zip(*spent[name], strict=True))
        difference = float(np.abs(_last(node) - reference).max())
        ahead = median(mine[0] / other[0] for mine, other in zip(spent[name], spent[own], strict=True))
        found[name] = {
            "fps": 1 / seconds,
            "cpu_ms": 1000 * cpu,
            f"{own}_times_as_fast": ahead,
            "largest_difference": difference,
        }
    return found


def _run(node: Any) -> tuple[float, float]:
    """Wall and processor seconds for all frames."""
    began, cpu = time.perf_counter(), time.process_time()
    for _ in node.frames(prefetch=vs.core.num_threads, close=True):
        pass
    return time.perf_counter() - began, time.process_time() - cpu


def _last(node: Any) -> np.ndarray:
    with node.get_frame(node.num_frames - 1) as frame:
        return np.stack([np.asarray(frame[i]) for i in range(3)])


def _attempt(plugin: str) -> str:
    """What a plugin makes of the x1.5 network, in words."""
    path = str(networks()["quicksrnet-small-x1.5-capture"].path)
    code = (
        "import vapoursynth as vs\n"
        "clip = vs.core.std.BlankClip(format=vs.RGBS, width=64, height=48)\n"
        f"frame = vs.core.{plugin}.Model(clip, network_path={path!r}).get_frame(0)\n"
        "print(f'64x48 becomes {frame.width}x{frame.height}')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if done.returncode < 0:
        return f"crashes (signal {-done.returncode})"
    return (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()[-1]


if __name__ == "__main__":
    main()
