"""Unfiltered art drawn large: every capture network against bicubic, where edges stay stairs at the larger size.

    python -m benchmarks.art DATA --json benchmarks/results/art.json

Game pictures of DATA's `eval_game`, which no network trains on, are taken for art whose pixels are 3, 4.5 and 6 output
pixels wide, and rendered at both sizes without filtering (`rtsr.train.fields.enlarged_pixels`). PSNR-Y in dB.
"""

import argparse
import json
from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np

from benchmarks.machine import machine
from rtsr.quality.metrics import compare
from rtsr.train.crops import read_rgb
from rtsr.train.fields import enlarged_pixels
from rtsr.upscaler import Upscaler

SIDE = 720
"""Rows and columns of each picture that are used, from the top left."""
WIDTHS = (3.0, 4.5, 6.0)
NETWORKS = ("quicksrnet-small", "quicksrnet-medium", "enaf-quicksrnet-medium")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    for scale in (Fraction(3, 2), Fraction(2)):
        bicubic = Upscaler(scale, engine="bicubic")
        networks = {name: Upscaler(scale, model=name) for name in NETWORKS}
        for path, width in product(sorted((options.data / "eval_game").glob("*.png")), WIDTHS):
            image = np.ascontiguousarray(read_rgb(path)[:SIDE, :SIDE])
            low, high = enlarged_pixels(image, width, scale)
            reached = {name: compare(upscale(low), high, 4)[0] for name, upscale in networks.items()}
            plain = compare(bicubic(low), high, 4)[0]
            over = {name: round(psnr - plain, 3) for name, psnr in reached.items()}
            rows.append({"scale": str(scale), "picture": path.stem, "width": width, "bicubic": round(plain, 3), **over})
            print(rows[-1], flush=True)
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), "over_bicubic": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
