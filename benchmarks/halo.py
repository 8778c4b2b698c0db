"""How much context a tile needs, so that it comes out like the same place of the whole frame.

    python -m benchmarks.halo CHECKPOINT DATASET --only 0007 --arch rlfn-s --scale 2 [--aligned] --json result.json

Some tiles of each picture are upscaled with ever wider context, clipped at the picture's borders, and compared with
the whole picture upscaled at once: differences in levels of 255. The findings are in
docs/decisions/0005-attention-in-tiles.md.
"""

import argparse
import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.machine import machine
from rtsr.models import build
from rtsr.models.rlfn import ESA
from rtsr.quality.datasets import pictures
from rtsr.scale import parse_scale

HALOS = (0, 12, 24, 36, 48, 72, 96)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="released weights")
    parser.add_argument("dataset", type=Path, help="folder that `rtsr eval` takes")
    parser.add_argument("--only", nargs="+", default=(), help="parts of the pictures' names")
    parser.add_argument("--arch", default="rlfn-s")
    parser.add_argument("--scale", default="2")
    parser.add_argument("--aligned", action="store_true", help="with the attention of RLFN enlarged by exactly six")
    parser.add_argument("--halos", type=int, nargs="+", default=HALOS, help="context on each side, in pixels")
    parser.add_argument("--side", type=int, default=96, help="of a tile, in pixels")
    parser.add_argument("--tiles", type=int, default=6, help="how many of a picture's tiles to look at")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    scale = parse_scale(options.scale)
    model = build(options.arch, scale).eval()
    model.load_state_dict(torch.load(options.checkpoint, weights_only=True, map_location="cpu"))
    for part in model.modules():
        if isinstance(part, ESA):
            part.aligned = options.aligned
    seen: dict[int, list[Tensor]] = {halo: [] for halo in options.halos}
    found = list(pictures(options.dataset, scale, tuple(options.only)))
    for _, low, _ in found:
        image = torch.from_numpy(low.transpose(2, 0, 1).astype(np.float32) / 255)[None]
        for halo, difference in differences(model, image, options.side, options.tiles, options.halos):
            seen[halo].append(difference)
    result = {
        "machine": machine(),
        "pictures": [name for name, _, _ in found],
        "network": options.checkpoint.stem,
        "aligned": options.aligned,
        "tile": options.side,
        "levels": {halo: summary(torch.cat(each)) for halo, each in seen.items()},
    }
    text = json.dumps(result, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n", "utf-8")


@torch.inference_mode()
def differences(
    model: nn.Module, image: Tensor, side: int, tiles: int, halos: list[int]
) -> Iterator[tuple[int, Tensor]]:
    """Each halo with a tile's absolute differences from the whole `image`, (1, 3, H, W), in levels."""
    height, width = image.shape[2:]
    whole, scale = model(image), round(model(image[..., :16, :16]).shape[-1] / 16)
    places = list(product(range(0, height - side + 1, side), range(0, width - side + 1, side)))
    for top, left in places[:: -(-len(places) // tiles)]:
        expected = whole[..., scale * top : scale * (top + side), scale * left : scale * (left + side)]
        for halo in halos:
            above, before = min(halo, top), min(halo, left)
            context = image[..., top - above : top + side + halo, left - before : left + side + halo]
            upscaled = model(context)[..., scale * above :, scale * before :][..., : scale * side, : scale * side]
            yield halo, 255 * (upscaled - expected).abs().flatten()


def summary(levels: Tensor) -> dict[str, float]:
    """Largest, 99.9th percentile and mean."""
    sharp = levels.kthvalue(round(0.999 * levels.numel())).values
    named = {"max": levels.max(), "p99.9": sharp, "mean": levels.mean()}
    return {name: round(value.item(), 4) for name, value in named.items()}


if __name__ == "__main__":
    main()
