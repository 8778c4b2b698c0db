"""How close upscaled captures come to native high-resolution renders: PSNR-Y per engine.

    python -m benchmarks.captures CAPTURE REFERENCE --scale 1.5 --frames 45 --json result.json

Frame n of CAPTURE is frame n of REFERENCE. Results are compared as 8-bit luma before encoding, so that only the
upscaling counts; each engine's worst frame against bicubic is given too. A game places its icons by each resolution's
own pixels: `fitting` counts only where the two renders show the same (see `rtsr.train.registration`).
"""

import argparse
import json
from itertools import islice
from pathlib import Path

import numpy as np

from benchmarks.machine import machine
from rtsr.colour import to_rgb
from rtsr.frame import Frame
from rtsr.quality.metrics import psnr
from rtsr.resources import networks
from rtsr.scale import parse_scale
from rtsr.source.pyav import PyAVSource
from rtsr.train.registration import misplaced
from rtsr.upscaler import Upscaler


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("capture", type=Path)
    parser.add_argument("reference", type=Path)
    parser.add_argument("--scale", default="1.5")
    parser.add_argument("--frames", type=int, default=45, help="how many, from the first")
    parser.add_argument("--step", type=int, default=1, help="compare every n-th of them")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    scale = parse_scale(options.scale)
    engines = {name: Upscaler(scale, engine=name) for name in ("bicubic", "lanczos", "fsr")}
    engines |= {name: Upscaler(scale, model=name) for name, n in networks().items() if n.card.scale == scale}
    scores: dict[str, list[float]] = {name: [] for name in engines}
    fitting: dict[str, list[float]] = {name: [] for name in engines}
    with PyAVSource(options.capture) as capture, PyAVSource(options.reference) as reference:
        pairs = zip(_frames(capture), _frames(reference), strict=False)
        for small, large in islice(pairs, 0, options.frames, options.step):
            fits = ~misplaced(_rgb(small), _rgb(large))
            for name, upscaler in engines.items():
                result = upscaler.frame(small, large.width, large.height)
                scores[name].append(psnr(result.y, large.y))
                fitting[name].append(psnr(result.y[fits], large.y[fits]))
    bicubic = np.array(scores["bicubic"])
    result = {
        "machine": machine(),
        "capture": options.capture.name,
        "scale": str(scale),
        "frames": len(bicubic),
        "psnr_y": {name: round(float(np.mean(got)), 3) for name, got in scores.items()},
        "fitting_psnr_y": {name: round(float(np.mean(got)), 3) for name, got in fitting.items()},
        "over_bicubic": {name: round(float(np.mean(got - bicubic)), 3) for name, got in scores.items()},
        "worst_frame_over_bicubic": {name: round(float(np.min(got - bicubic)), 3) for name, got in scores.items()},
    }
    text = json.dumps(result, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n", "utf-8")


def _rgb(frame: Frame) -> np.ndarray:
    return (to_rgb(frame.y, frame.u, frame.v, frame.colour)[0].transpose(1, 2, 0) * 255).round().astype(np.uint8)


def _frames(source: PyAVSource):
    return (item for item in source.items() if isinstance(item, Frame))


if __name__ == "__main__":
    main()
