"""A frame to be upscaled, looked at as a whole or, where few of its tiles matter, in parts: both give the same bits."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rtsr.card import Card
from rtsr.pacing.judge import JUDGED, by_likeness
from rtsr.pacing.plan import SIDE
from rtsr.regions import Grid, Rect, Region, join, window
from rtsr.surface import KEYS, Sized, Surface, Upscaled, colours, padded

Array = NDArray[np.float32]


@dataclass(slots=True, eq=False)
class Picture:
    """A frame and its tiles, for the network of `card`."""

    frame: Sized
    surface: Surface
    card: Card
    grid: Grid = field(init=False)
    """The tiles; they end where the network's input does, which may be more than the frame has."""
    rgb: Array | None = None
    """All of the frame as the network's input, (1, 3, H, W), once somebody wanted that."""

    def __post_init__(self) -> None:
        multiple = self.card.size_multiple
        width, height = (-(-side // multiple) * multiple for side in (self.frame.width, self.frame.height))
        self.grid = Grid(width, height, SIDE)

    def few(self, tiles: NDArray[np.bool_]) -> bool:
        """Whether `tiles` are less work one by one than with all of the frame, and come out the same."""
        if not tiles.any():
            return True
        if not self.surface.local(self.frame, self.card.scale):
            return False
        seen = sum(seen.area for *_, seen in self._windows(tiles))
        return seen <= self.frame.width * self.frame.height / 2

    def colours(self) -> Array:
        """All of the frame as the network's input, (1, 3, H, W)."""
        if self.rgb is None:
            self.rgb = padded(self.surface.rgb(self.frame), self.grid.width, self.grid.height)
        return self.rgb

    def input(self, seen: Rect) -> Array:
        """The window `seen` as the network's input, (1, 3, h, w)."""
        rows, columns = seen.pixels
        if self.rgb is not None:
            return np.ascontiguousarray(self.rgb[:, :, rows, columns])
        return colours(self.surface, self.frame, seen)

    def enlarged(self) -> Upscaled:
        """All of the frame, interpolated."""
        return self.surface.enlarge(self.frame, self.card.scale)

    def enlarge(self, tiles: NDArray[np.bool_], target: Upscaled) -> None:
        """Interpolate a `few` tiles in `target`."""
        for _, rect, seen in self._windows(tiles):
            part = self.surface.enlarge(self.surface.crop(self.frame, seen), self.card.scale)
            self.surface.copy(rect, seen, self.card.scale, part, target)

    def copy(self, tiles: NDArray[np.bool_], source: Upscaled, target: Upscaled) -> None:
        """Copy what `tiles` became from one upscaled frame to another."""
        whole = self.grid.rect(0, 0, self.grid.rows, self.grid.columns)
        for region in join(tiles, tiles.size):
            self.surface.copy(self.grid.rect_of(region), whole, self.card.scale, source, target)

    def judged(self) -> NDArray[np.floating]:
        """What exits are expected to leave, as `rtsr.pacing.judge.by_likeness` tells."""
        return by_likeness(self.surface.luma(self.frame), self.grid, self.card)

    def judge(self, tiles: NDArray[np.bool_], errors: NDArray[np.floating]) -> None:
        """Put what is expected of a `few` tiles into `errors`, (rows, columns, exits + 1)."""
        for region, rect, seen in self._windows(tiles):
            luma = self.surface.luma(self.surface.crop(self.frame, seen))
            grid = Grid(rect.w, rect.h, SIDE)
            errors[region.tiles] = by_likeness(luma, grid, self.card, rect.x - seen.x, rect.y - seen.y)

    @property
    def _whole(self) -> Grid:
        return Grid(self.frame.width, self.frame.height, SIDE)

    def _windows(self, tiles: NDArray[np.bool_]) -> Iterator[tuple[Region, Rect, Rect]]:
        """Rectangles of `tiles`, and what of the frame interpolating and judging each looks at."""
        step = self.surface.step
        halo, multiple = max(KEYS * step, JUDGED), 2 * step * self.card.scale.denominator
        for region in join(tiles, tiles.size):
            rect = self.grid.rect_of(region)
            yield region, rect, window(rect, halo, self._whole, multiple)
