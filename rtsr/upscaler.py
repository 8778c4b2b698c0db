"""Upscales pictures and frames with one engine: planes to RGB, pad, run, crop or reduce, back to planes."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, lcm
from pathlib import Path
from typing import Any, Self

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from rtsr.arguments import check_callable, check_picture, frame_size, picture_size, pixels
from rtsr.colour import from_rgb, to_rgb
from rtsr.engine.base import GpuEngine, PlaneEngine, Planes
from rtsr.engine.choice import Means, Tell, runtime_of
from rtsr.errors import EngineError, UsageError
from rtsr.frame import Frame, GpuFrame
from rtsr.reuse import Reuse
from rtsr.scale import as_scale
from rtsr.surface import padded

DEFAULT_MODEL = "quicksrnet-small"
STRIP = 1 << 21
"""Pixels of a picture that are upscaled at a time: a network's features take a hundred times the room of a picture."""


@dataclass(frozen=True, slots=True, eq=False)
class UnderWay:
    """A frame that an `Upscaler` has begun with."""

    frame: Frame | GpuFrame
    width: int
    height: int
    planes: Planes | None = None
    """Upscaled, where that is done."""
    ticket: Any = None
    """What the engine calls it, otherwise."""


class Upscaler:
    """Upscales by `scale` (1 < scale <= 4) with a network or a resampling filter.

    Networks exist at certain scales; for others the next larger one runs, above the largest it runs twice, and
    the result is reduced with Lanczos' filter. Use it as a context manager, or call `close`.

        with rtsr.Upscaler(scale=1.5) as upscale:
            large = upscale(image)

    `model` is a network's name, an architecture with or without a flavour (`quicksrnet-small-photo`), or the path of a
    card (`mine/NAME.toml`) with its network beside it; `engine` is `auto`, `onnx`, `rtx` (TensorRT-RTX), `tensorrt`,
    `bicubic`, `lanczos` or `fsr`; `provider` is what ONNX Runtime runs on, `cpu`, `cuda`, `directml`, `coreml` or
    `openvino`, some with a device (`cuda:1`), and by default the best that is usable; `precision` is what networks
    compute in: `fp16` (the default), `fp32` or `int8` (8-bit weights) on NVIDIA engines, by ONNX Runtime `fp32` (the
    default) or, on the processor, `int8`; `threads` bounds the cores of what runs on the processor; `tell` is told, in
    a line, what takes long, such as building an engine; `size`, width and height of what is to be upscaled, spares an
    engine for another size where it is known. With `reuse` frames are taken for those of one stream, in order: where
    one run of a network on the processor reaches the scale, tiles that did not change keep their pixels, with the same
    result in less time; what `frame` returns may then be read-only. One instance serves one thread at a time. Raises
    UsageError for what does not exist, CardError and EngineError for what cannot be loaded.
    """

    def __init__(
        self,
        scale: float | str | Fraction = 2,
        *,
        model: str | Path | None = None,
        engine: str = "auto",
        provider: str | None = None,
        precision: str | None = None,
        threads: int | None = None,
        tell: Tell | None = None,
        size: tuple[int, int] | None = None,
        reuse: bool = False,
    ) -> None:
        self.scale = as_scale(scale)
        check_callable(tell, "tell")
        size = None if size is None else pixels(size)
        means = Means(engine, provider, threads, precision)
        self.engine = means.open_reaching(model, DEFAULT_MODEL, self.scale, tell, size)
        self.engine.__enter__()
        self._closed = False
        self._reuse = Reuse(self.engine, self._whole) if reuse and self._takes_parts() else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the engine, and let go of what it holds; what is asked for afterwards is an EngineError."""
        self._closed = True
        if self._reuse is not None:
            self._reuse.forget()
        self.engine.__exit__(None, None, None)

    def describe(self) -> str:
        """The engine and, where there is one, the network that it runs; where `auto` chose, why."""
        return f"{self.engine.card.name} ({runtime_of(self.engine)})"

    def __call__(self, image: NDArray[np.uint8], size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        """Upscale an RGB picture, (H, W, 3) uint8, to (round(H * scale), round(W * scale), 3) uint8.

        The result is the caller's own, and C-contiguous. `size`, width and height, is a smaller size for it, to which
        it is cropped or reduced, in other proportions stretched. Raises ArgumentError, a UsageError and a ValueError,
        for what is no such picture or size, and EngineError where the run fails, or after `close`.
        """
        self._check_open()
        check_picture(image)
        width, height = picture_size(size, image, self.scale)
        strips = [self._pixels(image[seen])[kept] for seen, kept in self._strips(*image.shape[:2])]
        large = strips[0] if len(strips) == 1 else np.concatenate(strips)
        return np.ascontiguousarray(_fit(large, width, height, "rgb24"))

    def frame(self, frame: Frame, width: int, height: int) -> Frame:
        """Upscale a video frame, 8-bit 4:2:0, to `width` x `height`, both even (see `target_size`).

        Where that is not what the scale makes of it, it is cropped, or resized and stretched with Lanczos' filter.
        Raises ArgumentError, a UsageError and a ValueError, for what is no `Frame` and for a size that is not even,
        EngineError where the run fails, or after `close`.
        """
        return self.collect(self.submit(frame, width, height))

    @property
    def lanes(self) -> int:
        """Frames that are worth having under way with `submit`: 1 where the engine takes one after the other."""
        engine = self._plane_engine()
        return 1 if engine is None else engine.lanes

    @property
    def reused(self) -> float:
        """Share of all tiles so far that kept their pixels, 0 to 1."""
        return 0.0 if self._reuse is None or not self._reuse.tiles else self._reuse.kept / self._reuse.tiles

    @property
    def notes(self) -> tuple[str, ...]:
        """What did not go as it should, such as memory that is short, in lines for people."""
        return tuple(getattr(self.engine, "notes", ()))

    def check_gpu(self) -> GpuEngine:
        """The engine, if it takes frames that are on the GPU, in one run; raises UsageError otherwise."""
        engine = self._plane_engine()
        if not isinstance(engine, GpuEngine):
            raise UsageError(
                f"frames decoded on the GPU take one run of a network on it, and x{float(self.scale):g} is no such run "
                f"of {self.describe()}; leave out --decode gpu"
            )
        return engine

    def makes(self, width: int, height: int) -> tuple[int, int]:
        """Width and height that one run of the engine makes of a frame."""
        return target_size(width, height, self.engine.card.scale)

    def submit_gpu(self, frame: GpuFrame, width: int, height: int, stay: bool = False) -> UnderWay:
        """Start on a frame that a decoder left on the GPU, which is held until it is done; otherwise as `submit`.

        With `stay` the result is left there, for `collect_gpu`, in the size that one run of the network makes. Raises
        UsageError as `check_gpu` does, and EngineError where the run fails, or after `close`.
        """
        self._check_open()
        return UnderWay(frame, width, height, ticket=self.check_gpu().submit_gpu(frame, stay))

    def collect_gpu(self, under_way: UnderWay) -> GpuFrame:
        """As `collect`, of a frame that was to stay on the GPU."""
        self._check_open()
        frame, engine = under_way.frame, self.engine
        assert isinstance(frame, GpuFrame) and isinstance(engine, GpuEngine)
        large = engine.collect_gpu(under_way.ticket)
        return replace(frame, y=large.y, uv=large.uv, colour=replace(frame.colour, chroma_left=True), holds=large)

    def submit(self, frame: Frame, width: int, height: int) -> UnderWay:
        """Start on a frame; arguments and errors as for `frame`.

        Its planes may be changed as soon as this returns.
        """
        self._check_open()
        width, height = frame_size(frame, width, height)
        engine = self._plane_engine()
        if engine is not None:
            return UnderWay(frame, width, height, ticket=engine.submit((frame.y, frame.u, frame.v), frame.colour))
        made = self._whole(frame) if self._reuse is None else self._reuse.planes(frame)
        return UnderWay(frame, width, height, made)

    def collect(self, under_way: UnderWay) -> Frame:
        """The upscaled frame, waited for; frames are collected in the order in which they were submitted.

        Raises EngineError where the run failed, or after `close`.
        """
        self._check_open()
        planes, frame = under_way.planes, under_way.frame
        if planes is None:
            assert isinstance(self.engine, PlaneEngine)
            planes = self.engine.collect(under_way.ticket)
        # What is written is sited as every player assumes it to be; a file cannot always say otherwise.
        colour = replace(frame.colour, chroma_left=True)
        large = Frame(*planes, colour, frame.pts, frame.duration)
        return fitted(large, planes, under_way.width, under_way.height)

    def _check_open(self) -> None:
        if self._closed:
            raise EngineError("this Upscaler is closed; make another, or close it later")

    def _takes_parts(self) -> bool:
        """Whether parts of a frame are worth running, and become, to the bit, what they become in the whole.

        Filters gain nothing, and what other providers than the processor do with many sizes is not known.
        """
        provider = getattr(self.engine, "provider", None)
        return provider is not None and provider.name == "cpu" and self.engine.card.scale >= self.scale

    def _whole(self, frame: Frame) -> Planes:
        """All of a frame, upscaled by the engine's scale or a power of it."""
        large = self._upscale(to_rgb(frame.y, frame.u, frame.v, frame.colour))
        even = large[:, : large.shape[1] // 2 * 2, : large.shape[2] // 2 * 2]
        return from_rgb(even, replace(frame.colour, chroma_left=True))

    def _plane_engine(self) -> PlaneEngine | None:
        """The engine, where it takes frames as they are, and one run of it reaches the scale."""
        engine = self.engine
        reaches = engine.card.scale >= self.scale
        return engine if isinstance(engine, PlaneEngine) and reaches else None

    def _strips(self, height: int, width: int) -> Iterator[tuple[slice, slice]]:
        """Rows of a picture that are upscaled at a time, and which of what becomes of them is kept.

        They overlap by as far as the engine looks, so that all is what it makes of the picture at once.
        """
        card = self.engine.card
        runs = next(n for n in range(1, 9) if card.scale**n >= self.scale)
        scale, reach = card.scale**runs, card.radius * runs
        step = lcm(card.size_multiple, card.alignment, scale.denominator)
        rows = max(STRIP // width - 2 * reach, 4 * reach, step)
        if height * width <= STRIP or 2 * reach >= height:
            rows = height
        # All about alike, and none too small for the engines that are built for a size.
        rows = ceil(Fraction(height, ceil(height / rows) * step)) * step
        for top in range(0, height, rows):
            bottom = min(top + rows, height)
            first = max(top - reach, 0) // step * step
            start = int((top - first) * scale)
            yield slice(first, min(bottom + reach, height)), slice(start, start + ceil((bottom - top) * scale))

    def _pixels(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """`image`, (H, W, 3), by the engine's scale or a power of it."""
        planar = np.ascontiguousarray(image.transpose(2, 0, 1), np.float32)[None] / np.float32(255)
        planes = (self._upscale(planar) * 255).round().astype(np.uint8)
        return np.asarray(cv2.merge(list(planes)), np.uint8)

    def _upscale(self, rgb: NDArray[np.float32]) -> NDArray[np.float32]:
        """Planar RGB (1, 3, H, W) to (3, H', W'), by the engine's scale or, where that is too small, a power of it."""
        card = self.engine.card
        reached = Fraction(1)
        while reached < self.scale:
            height, width = (ceil(side * card.scale) for side in rgb.shape[2:])
            rgb = self.engine.infer(_pad(rgb, card.size_multiple))[:, :, :height, :width]
            reached *= card.scale
        return rgb[0]


def target_size(width: int, height: int, scale: Fraction) -> tuple[int, int]:
    """Width and height of a frame upscaled by `scale`: a last part of a pixel counts as one, an odd one is cut off."""
    return ceil(width * scale) // 2 * 2, ceil(height * scale) // 2 * 2


def fitted(frame: Frame, planes: tuple[NDArray, ...], width: int, height: int) -> Frame:
    """`frame` with the pixels of `planes`, cropped or reduced to `width` x `height`, both even."""
    y, u, v = planes
    return replace(
        frame,
        y=_fit(y, width, height, "gray8"),
        u=_fit(u, width // 2, height // 2, "gray8"),
        v=_fit(v, width // 2, height // 2, "gray8"),
    )


def _pad(rgb: NDArray[np.float32], multiple: int) -> NDArray[np.float32]:
    """`rgb` (N, 3, H, W) with its last rows and columns repeated until both sides are multiples of `multiple`."""
    height, width = (-(-side // multiple) * multiple for side in rgb.shape[2:])
    return padded(rgb, width, height)


def _fit(pixels: NDArray[np.uint8], width: int, height: int, pixel_format: str) -> NDArray[np.uint8]:
    """`pixels` cropped where rounding made them a little too large, else resized with Lanczos' filter."""
    if all(0 <= have - want < 2 for have, want in zip(pixels.shape, (height, width), strict=False)):
        return pixels[:height, :width]
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=pixel_format)
    return picture.reformat(width, height, interpolation="LANCZOS").to_ndarray().astype(np.uint8, copy=False)
