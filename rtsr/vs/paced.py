"""Frames of a clip upscaled for a time, or for a share of a network's compute; see `rtsr.pacing`."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from time import perf_counter_ns
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from rtsr.card import Card
from rtsr.cubic import enlarge, is_local
from rtsr.engine.base import ExitsEngine
from rtsr.engine.choice import Means
from rtsr.errors import RtsrError
from rtsr.frame import YUV420P8
from rtsr.pacing.anytime import Refiner
from rtsr.pacing.calibration import calibrate_exits, calibrate_whole
from rtsr.pacing.deadline import CostModel, Ladder, Least
from rtsr.pacing.mixed import exit_names
from rtsr.pacing.paced import Pace
from rtsr.regions import Grid, Rect, changed
from rtsr.surface import Upscaled, reach
from rtsr.vs.binding import vs
from rtsr.vs.formats import Coding, Yuv
from rtsr.vs.painter import Painter, output_side, parts
from rtsr.vs.streams import Picture, planes_of, tag

MARGIN = 2
"""Chroma samples around a rectangle that its own are made of."""
_measured: dict[tuple[object, ...], CostModel] = {}
"""What networks cost here by the means they run on; players evaluate a script anew at every seek."""


class Pictures:
    """A `rtsr.surface.Surface` of VapourSynth's frames: planes come out in the input's own format.

    `steps` are luma's rows and columns for each of chroma.
    """

    def __init__(self, steps: tuple[int, int]) -> None:
        self.step = max(steps)

    def local(self, frame: Picture, scale: Fraction) -> bool:
        # Other planes are enlarged in float32, which is rounded by place.
        return _like_captures(frame.coding) and is_local(scale, chroma_left=True)

    def crop(self, frame: Picture, rect: Rect) -> Picture:
        return replace(frame, planes=parts(frame.planes, rect.pixels, frame.coding.steps))

    def changed(self, before: Picture, now: Picture, grid: Grid, halo: int) -> NDArray[np.bool_]:
        if before.coding != now.coding:
            return np.ones((grid.rows, grid.columns), bool)
        factors = ((1, 1), now.coding.steps, now.coding.steps)
        pairs = zip(before.planes, now.planes, factors, strict=False)
        return np.logical_or.reduce([changed(old, new, grid, reach(halo, max(n)), n) for old, new, n in pairs])

    def rgb(self, frame: Picture) -> NDArray[np.float32]:
        return frame.rgb

    def luma(self, frame: Picture) -> NDArray[np.uint8]:
        if isinstance(frame.coding, Yuv):
            return (frame.planes[0] >> frame.coding.sampling.bits - 8).astype(np.uint8, copy=False)
        red, green, blue = frame.rgb[0]
        grey = cv2.addWeighted(red, 0.2126, green, 0.7152, 0)
        return cv2.convertScaleAbs(cv2.scaleAdd(blue, 0.0722, grey), alpha=219, beta=16)

    def enlarge(self, frame: Picture, scale: Fraction) -> Upscaled:
        coding = frame.coding
        if _like_captures(coding):
            y, u, v = frame.planes
            return enlarge((y, u, v), scale, chroma_left=True)
        height, width = (
            output_side(side, scale, step) for side, step in zip((frame.height, frame.width), coding.steps, strict=True)
        )
        large = np.empty((3, height, width), np.float32)
        for plane, new in zip(frame.rgb[0], large, strict=True):
            padded = np.pad(plane, [(0, -side % scale.denominator) for side in plane.shape], mode="edge")
            size = [int(side * scale) for side in reversed(padded.shape)]
            new[...] = cv2.resize(padded, size, interpolation=cv2.INTER_CUBIC)[:height, :width]
        return tuple(np.ascontiguousarray(plane) for plane in coding.encode(np.clip(large, 0, 1, out=large)))

    def copy(self, rect: Rect, seen: Rect, scale: Fraction, source: Upscaled, target: Upscaled) -> None:
        steps, within = _steps(target), Rect(rect.x - seen.x, rect.y - seen.y, rect.w, rect.h)
        old = parts(source, _place(within, scale, source[0].shape), steps)
        for part, new in zip(old, parts(target, _place(rect, scale, target[0].shape), steps), strict=True):
            new[...] = part

    def paste(
        self, rect: Rect, seen: Rect, upscaled: NDArray[np.float32], scale: Fraction, frame: Picture, target: Upscaled
    ) -> None:
        steps, place = frame.coding.steps, _place(rect, scale, target[0].shape)
        taken, inner = [], []
        for side, start, step, length in zip(place, (seen.y, seen.x), steps, upscaled.shape[1:], strict=True):
            first = int(start * scale)
            before = min(MARGIN * step, (side.start - first) // step * step)
            after = min(MARGIN * step, (first + length - side.stop) // step * step)
            taken.append(slice(side.start - first - before, side.stop - first + after))
            inner.append(slice(before, before + side.stop - side.start))
        made = frame.coding.encode(np.ascontiguousarray(upscaled[:, taken[0], taken[1]]))
        new = parts(target, place, steps)
        for plane, part in zip(new, parts(made, (inner[0], inner[1]), steps), strict=True):
            plane[...] = part


class Method(Protocol):
    """How a paced stream makes a frame."""

    exits: tuple[str, ...]
    """What a frame, or a tile of it, may get, interpolation first."""

    def make(self, n: int, picture: Picture, due_ns: float) -> tuple[Upscaled | list[NDArray], list[float], float]:
        """Planes, share of the frame by exit, share reused; `due_ns` is infinite where only a share counts."""
        ...


class Tiles:
    """Exits, of one network or several, that run by `means`; tiles are taken to them."""

    def __init__(
        self,
        engine: ExitsEngine,
        pace: Pace,
        means: Means,
        reuse: bool,
        clock: Callable[[], float],
        steps: tuple[int, int],
    ) -> None:
        timed = pace.deadline is not None
        costs = _costs([engine.card], means, lambda: calibrate_exits(engine)) if timed else CostModel({})
        self.exits = exit_names(engine)
        self.refiner = Refiner(engine, clock, costs, reuse, Pictures(steps))
        self.quality = pace.quality
        self._next = 0

    def make(self, n: int, picture: Picture, due_ns: float) -> tuple[Upscaled, list[float], float]:
        if n != self._next:
            self.refiner.forget()
        self._next = n + 1
        if self.quality is None:
            planes, spent = self.refiner.within(picture, due_ns)
        else:
            planes, spent = self.refiner.share(picture, self.quality)
        picture.release()  # The refiner keeps the picture to compare with the next.
        count = spent.tiles.sum()
        return planes, (spent.tiles / count).tolist(), spent.reused / float(count)


class Rungs:
    """Networks with one exit that run by `means`, small to large: the largest that fits; rung 0 is interpolation."""

    def __init__(self, painters: list[Painter], means: Means, clock: Callable[[], float]) -> None:
        self.painters, self.clock = painters, clock
        engines = [painter.engine for painter in painters]
        self.exits = tuple(engine.card.name for engine in engines)
        self.costs = _costs([engine.card for engine in engines], means, lambda: calibrate_whole(engines))
        self.ladder = Ladder()

    def make(self, n: int, picture: Picture, due_ns: float) -> tuple[list[NDArray], list[float], float]:
        began, pixels = self.clock(), picture.width * picture.height
        needed = [self.costs.cautious_ns(f"rung {i}", pixels) for i in range(len(self.painters))]
        self.ladder = self.ladder.next([0.0, *needed[1:]], due_ns - began)
        rung = self.ladder.rung
        painter = self.painters[rung]
        (whole,) = painter.tiles(None)
        planes = painter.blank(picture.planes)
        painter.paint(whole, picture.planes, planes, picture.coding)
        if rung:
            self.costs.observe(f"rung {rung}", pixels, self.clock() - began)
        else:
            self.costs.relax()
        return planes, [float(i == rung) for i in range(len(self.painters))], 0.0


class PacedStream:
    """What VapourSynth calls for every frame of a clip, one at a time."""

    def __init__(
        self, method: Method, pace: Pace, size: tuple[int, int], clock: Callable[[], float] = perf_counter_ns
    ) -> None:
        self.method, self.pace, self.size, self.clock = method, pace, size, clock
        self._copying = Least()

    def __call__(self, n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        """Frame `n`, upscaled; `f` is the clip's frame."""
        began = self.clock()
        due_ns = float("inf") if self.pace.deadline is None else began + 1e9 * self.pace.deadline - self._copying.ns
        try:
            planes, shares, reused = self.method.make(n, Picture.of(f), due_ns)
        except RtsrError as cause:
            raise vs.Error(f"rtsr: frame {n}: {cause}") from None
        copied = self.clock()
        made = vs.core.create_video_frame(f.format, *self.size)
        for new, plane in zip(planes_of(made), planes, strict=True):
            new[...] = plane
        self._copying.observe(self.clock() - copied)
        made.props = f.props
        tag(made, shares, (self.clock() - began) / 1e9, reused)
        made.props["rtsr_exits"] = list(self.method.exits)
        return made


def _costs(cards: Sequence[Card], means: Means, measure: Callable[[], CostModel]) -> CostModel:
    """A model of its own for the networks of `cards`, whose rates are measured once in a process."""
    key = (means, *((card.name, card.sha256) for card in cards))
    if key not in _measured:
        _measured[key] = measure()
    return replace(_measured[key])


def _like_captures(coding: Coding) -> bool:
    return isinstance(coding, Yuv) and coding.sampling == YUV420P8 and coding.colour.chroma_left


def _place(rect: Rect, scale: Fraction, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Rows and columns of `rect` in a first plane of `shape`."""
    y, x = int(rect.y * scale), int(rect.x * scale)
    bottom, right = int((rect.y + rect.h) * scale), int((rect.x + rect.w) * scale)
    return slice(y, min(bottom, shape[0])), slice(x, min(right, shape[1]))


def _steps(planes: Upscaled) -> tuple[int, int]:
    rows, columns = (round(first / last) for first, last in zip(planes[0].shape, planes[-1].shape, strict=True))
    return rows, columns
