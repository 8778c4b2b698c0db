"""Rectangles of an upscaled frame's planes, addressed by the source pixels that they come from."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from rtsr.colour import from_rgb
from rtsr.cubic import Planes
from rtsr.frame import Colour
from rtsr.regions import Rect


def copy(rect: Rect, seen: Rect, scale: Fraction, source: Planes, target: Planes) -> None:
    """Copy what `rect` became from `source`, which is what the window `seen` became.

    Both start on even places, at `scale`, too.
    """
    within = Rect(rect.x - seen.x, rect.y - seen.y, rect.w, rect.h)
    for place, here, old, new in zip(_places(rect, scale), _places(within, scale), source, target, strict=True):
        new[place] = old[here]


def paste(
    rect: Rect, seen: Rect, upscaled: NDArray[np.float32], scale: Fraction, colour: Colour, target: Planes
) -> None:
    """Put what `rect` became into the planes `target`; `rect` starts on an even place at `scale`, too.

    `upscaled` (3, h, w), RGB in [0, 1], is what the window `seen` around `rect` became.
    """
    # Chroma on the left also averages the luma column before its own.
    before = 2 if rect.x > seen.x else 0
    left, top = int((rect.x - seen.x) * scale) - before, int((rect.y - seen.y) * scale)
    width, height = (int(side * scale) // 2 * 2 for side in (rect.w, rect.h))
    rgb = np.ascontiguousarray(upscaled[:, top : top + height, left : left + before + width])
    planes = from_rgb(rgb, replace(colour, chroma_left=True))
    for place, new, plane, skip in zip(
        _places(rect, scale), target, planes, (before, before // 2, before // 2), strict=True
    ):
        part = new[place]  # Less than the rectangle where a network needs more pixels than the frame has.
        part[...] = plane[: part.shape[0], skip : skip + part.shape[1]]


def _places(rect: Rect, scale: Fraction) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of `rect` in the luma plane and in both chroma planes."""
    x, y, w, h = (int(side * scale) // 2 for side in (rect.x, rect.y, rect.w, rect.h))
    yield slice(2 * y, 2 * (y + h)), slice(2 * x, 2 * (x + w))
    yield from [(slice(y, y + h), slice(x, x + w))] * 2
