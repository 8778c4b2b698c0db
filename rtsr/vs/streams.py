"""Frames of a clip, each upscaled by one of several engines: what VapourSynth calls for every frame."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from rtsr.errors import RtsrError
from rtsr.regions import Rect, join
from rtsr.vs.binding import vs
from rtsr.vs.formats import Coding, coding_of
from rtsr.vs.history import History, Record
from rtsr.vs.painter import Painter

WORTHWHILE = 0.8
"""Parts of a frame are reused where what is computed, halos included, is at most this share of it."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A frame's planes and their meaning; `frame` keeps the memory alive."""

    frame: vs.VideoFrame
    planes: Sequence[NDArray]
    coding: Coding

    @classmethod
    def of(cls, frame: vs.VideoFrame) -> "Picture":
        """What is in `frame`; raises UsageError for a colour matrix that is not known."""
        return cls(frame, planes_of(frame), coding_of(frame.format, frame.props, frame.height))

    @property
    def width(self) -> int:
        return self.planes[0].shape[1]

    @property
    def height(self) -> int:
        return self.planes[0].shape[0]

    @cached_property
    def rgb(self) -> NDArray[np.float32]:
        """(1, 3, H, W) in [0, 1]; kept until `release`."""
        return self.coding.decode(self.planes)

    def release(self) -> None:
        """Let go of `rgb`, several times as large as the planes."""
        self.__dict__.pop("rgb", None)


class Stream:
    """Upscales one frame at a time with one engine; `history` is shared by all streams of a clip, None: no reuse."""

    def __init__(
        self, painter: Painter, history: History[vs.VideoFrame] | None = None, tile: int | None = None
    ) -> None:
        self.painter, self.history = painter, history
        self._tiles = painter.tiles(tile)
        longest = 1.5 * painter.grid.side  # The last of a row or column.
        self._most = painter.grid.rows * painter.grid.columns if tile is None else max(int(tile / longest), 1) ** 2

    def __call__(self, n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        """Frame `n`, upscaled; `f` is the clip's frame."""
        try:
            source = Picture.of(f)
            if self.history is None:
                return self._make(source, None)
            return self.history.make(n, source, lambda before: self._make(source, before))
        except RtsrError as cause:
            raise vs.Error(f"rtsr: frame {n}: {cause}") from None

    def _make(self, source: Picture, before: Record[vs.VideoFrame] | None) -> vs.VideoFrame:
        began = perf_counter()
        made, reused = self._renewed(source, before) or (self._whole(source), 0.0)
        made.props = source.frame.props
        tag(made, [0.0, 1.0], perf_counter() - began, reused)
        return made

    def _whole(self, source: Picture) -> vs.VideoFrame:
        painter = self.painter
        made = vs.core.create_video_frame(source.frame.format, painter.width, painter.height)
        target = planes_of(made)
        for rect in self._tiles:
            painter.paint(rect, source.planes, target, source.coding)
        return made

    def _renewed(self, source: Picture, before: Record[vs.VideoFrame] | None) -> tuple[vs.VideoFrame, float] | None:
        """The frame before with what is new in this one, and the share that was reused; None where that does not pay.

        What is new is computed first: the frame before may still be on its way, in another stream.
        """
        if before is None or not isinstance(old := before.source, Picture) or old.coding != source.coding:
            return None
        painter = self.painter
        regions = self._regions(painter.fresh(old.planes, source.planes, source.coding.steps))
        if sum(painter.seen(rect).area for rect in regions) > WORTHWHILE * painter.area:
            return None
        new = [(rect, painter.upscaled(rect, source.planes, source.coding)) for rect in regions]
        last = before.wait()
        if last is None:
            return None
        made = last.copy()
        if new:
            target = planes_of(made)
            for rect, planes in new:
                painter.put(rect, planes, target)
        return made, 1 - sum(rect.area for rect in regions) / painter.area

    def _regions(self, fresh: NDArray[np.bool_]) -> list[Rect]:
        if not fresh.any():
            return []
        if not self.painter.exact:
            return self._tiles
        grid = self.painter.grid
        return [grid.rect_of(region) for region in join(fresh, self._most)]


def planes_of(frame: vs.VideoFrame) -> list[NDArray]:
    """Views of a frame's planes."""
    return [np.asarray(frame[i]) for i in range(frame.format.num_planes)]


def tag(frame: vs.VideoFrame, exit_share: Sequence[float], seconds: float, reused: float) -> None:
    """Say on the frame what it got: its share by exit (bicubic first), milliseconds, the share that was reused."""
    frame.props["rtsr_exit_share"] = list(exit_share)
    frame.props["rtsr_ms"] = 1000 * seconds
    frame.props["rtsr_reused"] = reused
