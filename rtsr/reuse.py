"""The frames of a stream, of which only what changed is upscaled anew."""

from collections.abc import Callable
from math import ceil, lcm

import numpy as np
from numpy.typing import NDArray

from rtsr.cubic import Planes
from rtsr.engine.base import Engine
from rtsr.frame import Frame
from rtsr.regions import Grid, Rect, join, window
from rtsr.surface import Captured, colours

SIDE = 32
"""Input pixels along the tiles that are compared, at least: small ones follow what moves, and are joined."""
WORTHWHILE = 0.8
"""Parts of a frame are taken over where what is computed, halos included, is at most this share of it."""


class Reuse:
    """Upscales frames, one after the other, by one run of `engine`; what did not change keeps its pixels.

    A tile did not change where its input, with as much around it as the engine sees, is what it was in the last frame,
    so that all is what running the engine over every frame gives. `whole` does that.
    """

    def __init__(self, engine: Engine, whole: Callable[[Frame], Planes]) -> None:
        self.engine, self.whole = engine, whole
        self.tiles = self.kept = 0
        """Tiles of all frames so far, and how many of them were kept."""
        card, self._surface = engine.card, Captured()
        self._multiple = lcm(card.size_multiple, card.alignment, card.scale.denominator)
        whole_chroma = 2 * card.scale.denominator
        self._side = ceil(SIDE / whole_chroma) * whole_chroma
        self._last: tuple[Frame, Planes] | None = None

    def planes(self, frame: Frame) -> Planes:
        """The upscaled planes of `frame`, read-only: they may be the last ones.

        The planes of `frame` are kept for the next one, as `Frame.kept` says.
        """
        frame = frame.kept()
        width, height = (-(-side // self._multiple) * self._multiple for side in (frame.width, frame.height))
        grid = Grid(width, height, self._side)
        fresh = self._fresh(frame, grid)
        large = self._renewed(frame, grid, fresh)
        kept = 0 if large is None else int((~fresh).sum())
        large = self.whole(frame) if large is None else large
        for plane in large:
            plane.flags.writeable = False
        self.tiles, self.kept, self._last = self.tiles + fresh.size, self.kept + kept, (frame, large)
        return large

    def forget(self) -> None:
        """Let go of the last frame; the next one starts anew."""
        self._last = None

    def _fresh(self, frame: Frame, grid: Grid) -> NDArray[np.bool_]:
        """Tiles that may become something else than they did in the last frame."""
        if self._last is None or self._last[0].y.shape != frame.y.shape:
            return np.ones((grid.rows, grid.columns), bool)
        return self._surface.changed(self._last[0], frame, grid, self._halo)

    def _renewed(self, frame: Frame, grid: Grid, fresh: NDArray[np.bool_]) -> Planes | None:
        """The last frame's planes with what is `fresh`; None where that would be no less work than all of them."""
        card = self.engine.card
        rects = [grid.rect_of(region) for region in join(fresh, fresh.size)]
        windows = [window(rect, self._halo, grid, self._multiple) for rect in rects]
        if self._last is None or sum(seen.area for seen in windows) > WORTHWHILE * grid.width * grid.height:
            return None
        y, u, v = self._last[1]
        if not rects:
            return y, u, v
        large = y.copy(), u.copy(), v.copy()
        for rect, seen in zip(rects, windows, strict=True):
            self._surface.paste(rect, seen, self._upscaled(frame, seen), card.scale, frame, large)
        return large

    def _upscaled(self, frame: Frame, seen: Rect) -> NDArray[np.float32]:
        return self.engine.infer(colours(self._surface, frame, seen))[0]

    @property
    def _halo(self) -> int:
        """Input pixels around a tile that the engine sees; chroma is made of one more."""
        return self.engine.card.radius + self._surface.step // 2
