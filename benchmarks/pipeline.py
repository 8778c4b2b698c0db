"""What the pipeline costs over its parts alone: processor seconds a frame, and memory over many frames.

    python -m benchmarks.pipeline CLIP --scale 1.5 --json result.json

The parts, on the same frames: decoding to planes, the network on frames of that size, and encoding finished
frames with the same settings. The whole is the `rtsr upscale` command as a process of its own. Each is run
`--rounds` times in turn; medians are compared. Memory is the command's peak resident size on a clip of 300 and of
3,000 frames, made from CLIP's by repetition.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.machine import machine
from rtsr.frame import Frame
from rtsr.scale import parse_scale
from rtsr.sink.encoding import Encoding
from rtsr.sink.pyav import PyAVSink
from rtsr.source.pyav import PyAVSource
from rtsr.upscaler import Upscaler

COMMAND = [sys.executable, "-c", "from rtsr.cli import main; main()"]


def main() -> None:
    options = _options()
    scale = parse_scale(options.scale)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        frames, network_input = _look(options.clip)
        costs: dict[str, list[float]] = {"whole": [], "decode": [], "network": [], "encode": []}
        for _ in range(options.rounds):
            costs["whole"].append(_command_cost(options, folder))
            costs["decode"].append(_cost(lambda: _decode(options.clip)))
            costs["network"].append(_cost(lambda: _network(options, scale, network_input, frames)))
            costs["encode"].append(_encode_cost(folder / "out.mp4", folder, options.encoder_preset))
        medians = {name: median(spent) / frames for name, spent in costs.items()}
        parts = medians["decode"] + medians["network"] + medians["encode"]
        result = {
            "machine": machine(),
            "clip": options.clip.name,
            "scale": str(scale),
            "model": options.model,
            "frames": frames,
            "cpu_seconds_per_frame": medians,
            "whole_over_parts": medians["whole"] / parts,
            "rounds": costs,
        }
        if options.memory:
            result["peak_resident_mib"] = {n: _memory(options, folder, n) for n in (300, 3000)}
    text = json.dumps(result, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n", "utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--scale", default="1.5")
    parser.add_argument("--model", default="quicksrnet-small")
    parser.add_argument("--encoder-preset", default="medium", help="x264's preset, for the whole and for the part")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", action="store_true", help="also run 300 and 3,000 frames and compare memory")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def _cost(work: Callable[[], object]) -> float:
    """Processor seconds that `work` takes in this process, all threads together."""
    began = time.process_time()
    work()
    return time.process_time() - began


def _look(clip: Path) -> tuple[int, np.ndarray]:
    """Number of frames, and a network input of their size."""
    with PyAVSource(clip) as source:
        count = sum(isinstance(item, Frame) for item in source.items())
        shape = (1, 3, source.video.height, source.video.width)
    return count, np.random.default_rng(0).random(shape, np.float32)


def _command_cost(options: argparse.Namespace, folder: Path, clip: Path | None = None) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    arguments = ["--scale", options.scale, "--model", options.model, "-o", str(folder / "out.mp4"), "--overwrite"]
    encoder = ["--encoder-option", f"preset={options.encoder_preset}", "--quiet"]
    subprocess.run([*COMMAND, "upscale", str(clip or options.clip), *arguments, *encoder], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _decode(clip: Path) -> None:
    with PyAVSource(clip) as source:
        for _ in source.items():
            pass


def _network(options: argparse.Namespace, scale: Fraction, image: np.ndarray, frames: int) -> None:
    with Upscaler(scale, model=options.model) as upscaler:
        for _ in range(frames):
            upscaler.engine.infer(image)


def _encode_cost(finished: Path, folder: Path, preset: str) -> float:
    """Processor seconds of encoding the frames of `finished`, which are decoded before the clock starts."""
    with PyAVSource(finished) as source:
        frames = [item for item in source.items() if isinstance(item, Frame)]
        encoding = Encoding(options={"preset": preset})
        with PyAVSink(folder / "again.mp4", source.video, source, encoding) as sink:
            began = time.process_time()
            for frame in frames:
                sink.write(frame)
            sink.close()
            return time.process_time() - began


def _memory(options: argparse.Namespace, folder: Path, frames: int) -> float:
    """Peak resident MiB of the command on a clip of `frames` frames (Linux)."""
    clip = _repeated(options.clip, folder / f"{frames}.mp4", frames)
    # Not ru_maxrss: it includes the peak of the process that started this one.
    code = (
        "import re, sys\nfrom rtsr.cli import main\n"
        "try:\n    main(sys.argv[1:])\nfinally:\n"
        "    print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])"
    )
    arguments = ["upscale", str(clip), "--scale", options.scale, "--model", options.model, "--quiet", "--overwrite"]
    encoder = ["--encoder-option", "preset=ultrafast", "-o", str(folder / "long.mp4")]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments, *encoder], check=True, capture_output=True, text=True
    )
    return int(done.stdout) / 1024


def _repeated(clip: Path, path: Path, frames: int) -> Path:
    """`path`, a clip of `frames` frames made of those of `clip`, again and again."""
    with PyAVSource(clip) as source:
        found = [item for item in source.items() if isinstance(item, Frame)]
        video, step = source.video, max(found[1].pts - found[0].pts, 1)
        encoding = Encoding(options={"preset": "ultrafast"})
        with PyAVSink(path, video, source, encoding) as sink:
            for i in range(frames):
                sink.write(replace(found[i % len(found)], pts=i * step, duration=step))
            sink.close()
            sink.finish()
    return path


if __name__ == "__main__":
    main()
