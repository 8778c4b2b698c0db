"""How frames are read and planes made of them, whole or in parts: in 8-bit 4:2:0, or in whatever a caller has."""

from dataclasses import replace
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rtsr import canvas
from rtsr.colour import to_rgb
from rtsr.cubic import Planes, enlarge, is_local
from rtsr.frame import Frame
from rtsr.regions import Grid, Rect, changed, window


class Sized(Protocol):
    """A frame's size in pixels."""

    @property
    def width(self) -> int: ...

    @property
    def height(self) -> int: ...


KEYS = 3
"""Samples away at most, of those that Keys' kernel takes for one between them."""

Upscaled = tuple[NDArray, ...]
"""The planes of an upscaled frame."""


class Surface(Protocol):
    """What can be done with frames of one kind, which have a width and a height."""

    @property
    def step(self) -> int:
        """Luma samples for each of chroma, across or down, whichever is more."""
        ...

    def local(self, frame: Any, scale: Fraction) -> bool:
        """Whether all that is made of a crop of `frame` is, to the bit, what is made there of all of it."""
        ...

    def crop(self, frame: Any, rect: Rect) -> Any:
        """`rect` of `frame` as a frame of its own; it starts on multiples of `step`."""
        ...

    def changed(self, before: Any, now: Any, grid: Grid, halo: int) -> NDArray[np.bool_]:
        """Tiles that, each with `halo` around it, differ in any sample: (rows, columns)."""
        ...

    def rgb(self, frame: Any) -> NDArray[np.float32]:
        """(1, 3, H, W) in [0, 1]."""
        ...

    def luma(self, frame: Any) -> NDArray[np.uint8]:
        """(H, W), in about the steps of 8-bit video."""
        ...

    def enlarge(self, frame: Any, scale: Fraction) -> Upscaled:
        """The planes upscaled with Keys' kernel, a = -0.75; they can be written to."""
        ...

    def copy(self, rect: Rect, seen: Rect, scale: Fraction, source: Upscaled, target: Upscaled) -> None:
        """Copy what `rect` became to an upscaled frame from another, or from what the window `seen` of it became.

        `rect` starts on multiples of the tiles' side, `seen` on multiples of `step` that stay such at the scale.
        """
        ...

    def paste(
        self, rect: Rect, seen: Rect, upscaled: NDArray[np.float32], scale: Fraction, frame: Any, target: Upscaled
    ) -> None:
        """Put what `rect` became into `target`; `upscaled` (3, h, w) is what the window `seen` around it became."""
        ...


def colours(surface: Surface, frame: Sized, seen: Rect) -> NDArray[np.float32]:
    """The window `seen` of `frame` as it is in the whole of it, RGB in [0, 1], (1, 3, h, w).

    Where it ends beyond the frame, the last row and column are repeated.
    """
    step = surface.step
    around = window(seen, step, Grid(frame.width, frame.height, step), step)  # For chroma between two samples.
    rgb = surface.rgb(surface.crop(frame, around))
    top, left = seen.y - around.y, seen.x - around.x
    return padded(np.ascontiguousarray(rgb[:, :, top : top + seen.h, left : left + seen.w]), seen.w, seen.h)


def padded(rgb: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    """`rgb` (1, 3, H, W) with its last row and column repeated up to `height` and `width`."""
    missing = [(0, end - side) for end, side in zip((height, width), rgb.shape[2:], strict=True)]
    return np.pad(rgb, ((0, 0), (0, 0), *missing), mode="edge") if any(more for _, more in missing) else rgb


def reach(halo: int, step: int) -> int:
    """How far around a tile, in pixels, samples for every `step` pixels matter to a network that sees `halo`.

    Chroma is interpolated between samples, and enlarged with those that Keys' kernel takes.
    """
    return max(halo + (step if step > 1 else 0), KEYS * step)


class Captured:
    """Frames in 8-bit 4:2:0. Planes come out with even sides, chroma sited on the left."""

    step = 2

    def local(self, frame: Frame, scale: Fraction) -> bool:
        return is_local(scale, frame.colour.chroma_left)

    def crop(self, frame: Frame, rect: Rect) -> Frame:
        half = Rect(rect.x // 2, rect.y // 2, -(-rect.w // 2), -(-rect.h // 2))
        return replace(frame, y=frame.y[rect.pixels], u=frame.u[half.pixels], v=frame.v[half.pixels])

    def changed(self, before: Frame, now: Frame, grid: Grid, halo: int) -> NDArray[np.bool_]:
        if before.colour != now.colour:
            return np.ones((grid.rows, grid.columns), bool)
        planes = ((before.y, now.y, 1), (before.u, now.u, 2), (before.v, now.v, 2))
        return np.logical_or.reduce([changed(old, new, grid, reach(halo, n), (n, n)) for old, new, n in planes])

    def rgb(self, frame: Frame) -> NDArray[np.float32]:
        return to_rgb(frame.y, frame.u, frame.v, frame.colour)

    def luma(self, frame: Frame) -> NDArray[np.uint8]:
        return frame.y

    def enlarge(self, frame: Frame, scale: Fraction) -> Planes:
        return enlarge((frame.y, frame.u, frame.v), scale, frame.colour.chroma_left)

    def copy(self, rect: Rect, seen: Rect, scale: Fraction, source: Any, target: Any) -> None:
        canvas.copy(rect, seen, scale, source, target)

    def paste(
        self, rect: Rect, seen: Rect, upscaled: NDArray[np.float32], scale: Fraction, frame: Frame, target: Any
    ) -> None:
        canvas.paste(rect, seen, upscaled, scale, frame.colour, target)
