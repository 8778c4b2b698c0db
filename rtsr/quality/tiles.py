"""Cut a picture into overlapping patches, and put the upscaled patches together again.

Source: "ENAF: A Multi-Exit Network with an Adaptive Patch Fusion for Large Image Super Resolution", section 3.1,
with the sizes of the authors' inference: patches of 32 pixels every 28, overlaps averaged. Unlike theirs, which
leave out what does not fill a patch at the right and at the bottom, the last patches move inwards to the border.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

SIDE = 32
"""Side of a patch in input pixels."""
STEP = 28
"""From one patch to the next, in input pixels."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A rectangle of a picture, in pixels; `x` and `y` are its left and upper border."""

    x: int
    y: int
    w: int
    h: int

    def __post_init__(self) -> None:
        if self.x < 0 or self.y < 0 or self.w < 1 or self.h < 1:
            raise ValueError(f"a tile has area and lies inside its picture, got {self}")

    def scaled(self, scale: Fraction) -> "Tile":
        """The same rectangle in a picture upscaled by `scale`; raises ValueError where it has no whole pixels."""
        sides = [side * scale for side in (self.x, self.y, self.w, self.h)]
        if any(side.denominator != 1 for side in sides):
            raise ValueError(f"{self} times {scale} is not made of whole pixels")
        return Tile(*(int(side) for side in sides))

    def of(self, planes: NDArray) -> NDArray:
        """What of `planes`, shape (..., H, W), lies in the tile: a view of shape (..., h, w)."""
        return planes[..., self.y : self.y + self.h, self.x : self.x + self.w]


def grid(height: int, width: int, side: int = SIDE, step: int = STEP) -> tuple[Tile, ...]:
    """Square tiles that cover a picture of `height` x `width` pixels, row by row.

    One starts every `step` pixels; the last of a row or column ends at the border. Raises ValueError where the
    picture is smaller than a tile (see `pad`), or `step` would leave gaps.
    """
    if min(height, width) < side or not 1 <= step <= side:
        raise ValueError(f"tiles of {side} every {step} pixels cannot cover {width}x{height}")
    return tuple(Tile(x, y, side, side) for y in _starts(height, side, step) for x in _starts(width, side, step))


def pad(planes: NDArray, side: int = SIDE, multiple: int = 1) -> NDArray:
    """`planes`, shape (..., H, W), with the last pixels repeated at the right and at the bottom.

    Afterwards both sides are at least `side` and multiples of `multiple`.
    """
    height, width = planes.shape[-2:]
    down, right = (max(side - length, 0) for length in (height, width))
    down, right = down + -(height + down) % multiple, right + -(width + right) % multiple
    if not down and not right:
        return planes
    return np.pad(planes, [(0, 0)] * (planes.ndim - 2) + [(0, down), (0, right)], mode="edge")


def split(planes: NDArray, tiles: Sequence[Tile]) -> NDArray:
    """The patches of `planes`, shape (..., H, W), that lie in tiles of one size: (tiles, ..., h, w)."""
    return np.stack([tile.of(planes) for tile in tiles])


def merge(patches: NDArray, tiles: Sequence[Tile], scale: Fraction) -> NDArray[np.float32]:
    """The picture that upscaled patches make: the mean of all that cover a pixel.

    `patches` (tiles, ..., h * scale, w * scale) belong to `tiles`, which together cover their picture; the
    result, (..., H * scale, W * scale), is float32. Raises ValueError where patches and tiles do not fit.
    """
    places = [tile.scaled(scale) for tile in tiles]
    if len(patches) != len(places) or any(patches.shape[-2:] != (place.h, place.w) for place in places):
        raise ValueError(f"patches of shape {patches.shape} do not fit {len(tiles)} tiles at scale {scale}")
    size = max(place.y + place.h for place in places), max(place.x + place.w for place in places)
    whole = np.zeros((*patches.shape[1:-2], *size), np.float32)
    count = np.zeros(size, np.float32)
    for patch, place in zip(patches, places, strict=True):
        place.of(whole)[...] += patch
        place.of(count)[...] += 1
    if not count.all():
        raise ValueError("the tiles leave parts of the picture uncovered")
    return np.divide(whole, count, out=whole)


def _starts(length: int, side: int, step: int) -> list[int]:
    return [*range(0, length - side, step), length - side]
