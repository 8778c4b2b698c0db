"""Planes upscaled window by window with one engine: all at once, in tiles, or only where something is new."""

from collections.abc import Sequence
from fractions import Fraction
from math import ceil, lcm

import numpy as np
from numpy.typing import NDArray

from rtsr.engine.base import Engine
from rtsr.errors import UsageError
from rtsr.regions import Grid, Rect, changed, window
from rtsr.vs.formats import Coding, Planes

SIDE = 32
"""Input pixels along the tiles that are compared with the last frame's, where the scale allows it."""
NEARLY_LOCAL = "rlfn"
"""Networks with attention: what they make of a pixel depends, by less than a level, on more than their radius."""


class Painter:
    """Upscales frames of `width` x `height` by `scale`, with `engine` run once, or again on its result.

    `steps` are luma's rows and columns for each of chroma; `scale` is a power of the engine's. Not for several
    threads at once.
    """

    def __init__(self, engine: Engine, scale: Fraction, width: int, height: int, steps: tuple[int, int]) -> None:
        card = engine.card
        self.engine, self.scale, self.steps = engine, scale, steps
        self.passes = passes(card.scale, scale)
        self.exact = NEARLY_LOCAL not in card.arch
        """Whether a window with its halo becomes exactly what it becomes in the whole frame."""
        self._pad = card.size_multiple**self.passes
        multiple = lcm(self._pad, card.alignment, *(scale.denominator * step for step in steps))
        self.grid = Grid(width, height, ceil(SIDE / multiple) * multiple)
        # Chroma is interpolated from, and averaged over, samples that lie a little further out.
        reach = sum(card.radius / card.scale**i for i in range(self.passes)) + 2 * max(steps)
        self.halo = ceil(Fraction(reach) / multiple) * multiple
        self._multiple = multiple
        self.width, self.height = (output_side(side, scale, n) for side, n in ((width, steps[1]), (height, steps[0])))

    def fresh(self, before: Planes, now: Planes, steps: tuple[int, int]) -> NDArray[np.bool_]:
        """Tiles that, with their halo, differ in any sample: (rows, columns)."""
        factors = ((1, 1), steps, steps)
        return np.logical_or.reduce(
            [changed(a, b, self.grid, self.halo, n) for a, b, n in zip(before, now, factors, strict=False)]
        )

    def seen(self, rect: Rect) -> Rect:
        """What is computed for `rect`."""
        return window(rect, self.halo, self.grid, self._multiple)

    @property
    def area(self) -> int:
        """Input pixels of a frame."""
        return self.grid.width * self.grid.height

    def tiles(self, side: int | None) -> list[Rect]:
        """The frame in one piece, or cut into tiles of at most `side` pixels that suit the scale and chroma."""
        if side is None:
            return [Rect(0, 0, self.grid.width, self.grid.height)]
        width, height, side = self.grid.width, self.grid.height, max(side // self._multiple, 1) * self._multiple
        places = [(y, x) for y in range(0, height, side) for x in range(0, width, side)]
        return [Rect(x, y, min(side, width - x), min(side, height - y)) for y, x in places]

    def blank(self, like: Planes) -> list[NDArray]:
        """Planes for the result, of the types of the input's."""
        shapes = [(self.height, self.width), *[(self.height // self.steps[0], self.width // self.steps[1])] * 2]
        return [np.empty(shape, plane.dtype) for shape, plane in zip(shapes, like, strict=False)]

    def paint(self, rect: Rect, source: Planes, target: Sequence[NDArray], coding: Coding) -> None:
        """Upscale `rect` of the planes `source` into those of `target`."""
        self.put(rect, self.upscaled(rect, source, coding), target)

    def upscaled(self, rect: Rect, source: Planes, coding: Coding) -> list[NDArray]:
        """What `rect` of the planes `source` becomes, in planes of its own."""
        seen = self.seen(rect)
        left, top = int(seen.x * self.scale), int(seen.y * self.scale)
        large = self._run(coding.decode(parts(source, seen.pixels, coding.steps)))
        large = large[:, : self.height - top, : self.width - left]
        rows, columns = self._place(rect)
        inner = slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)
        return parts(coding.encode(large), inner, coding.steps)

    def put(self, rect: Rect, made: Planes, target: Sequence[NDArray]) -> None:
        """Copy what `rect` became to where it belongs in the planes `target`."""
        for new, part in zip(parts(target, self._place(rect), self.steps), made, strict=True):
            new[...] = part

    def _place(self, rect: Rect) -> tuple[slice, slice]:
        """Rows and columns of the result that `rect` becomes."""
        right, bottom = ceil((rect.x + rect.w) * self.scale), ceil((rect.y + rect.h) * self.scale)
        rows = slice(int(rect.y * self.scale), min(bottom, self.height))
        return rows, slice(int(rect.x * self.scale), min(right, self.width))

    def _run(self, rgb: NDArray[np.float32]) -> NDArray[np.float32]:
        """(1, 3, H, W) to (3, H', W')."""
        scale, multiple = self.engine.card.scale, self.engine.card.size_multiple
        for _ in range(self.passes):
            height, width = (ceil(side * scale) for side in rgb.shape[2:])
            down, right = (-side % multiple for side in rgb.shape[2:])
            if down or right:
                rgb = np.pad(rgb, ((0, 0), (0, 0), (0, down), (0, right)), mode="edge")
            rgb = self.engine.infer(rgb)[:, :, :height, :width]
        return rgb[0]


def passes(engine_scale: Fraction, scale: Fraction) -> int:
    """How often an engine runs to reach `scale`, a power of its own."""
    reached, count = engine_scale, 1
    while reached < scale:
        reached, count = reached * engine_scale, count + 1
    if reached != scale:
        raise UsageError(f"{scale} is no power of {engine_scale}")
    return count


def output_side(side: int, scale: Fraction, step: int) -> int:
    """Pixels that `side` becomes: a last part of a pixel counts as one, what chroma cannot divide is cut off."""
    return ceil(side * scale) // step * step


def parts(planes: Planes, place: tuple[slice, slice], steps: tuple[int, int]) -> list[NDArray]:
    """The rectangle `place`, in samples of the first plane, of all planes."""
    rows, columns = (slice(p.start // n, -(-p.stop // n)) for p, n in zip(place, steps, strict=True))
    return [planes[0][place], *(plane[rows, columns] for plane in planes[1:])]
