"""The boundary between rtsr and whatever computes pixels."""

from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from rtsr.card import Card
from rtsr.frame import Colour, GpuFrame, GpuPlane

Features = tuple[Any, ...]
"""What a stage hands on: arrays, or what stands for them where an engine keeps them elsewhere. For stages and heads of
the same engine only; given back when nobody holds them."""
Planes = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]
"""Luma (H, W), Cb and Cr (ceil(H / 2), ceil(W / 2)), 8-bit."""


class Engine(Protocol):
    """Upscales batches of planar RGB by `card.scale`. Knows nothing of time, tiles or files."""

    card: Card

    def __enter__(self) -> Self: ...

    def infer(self, tiles: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, 3, H, W) in [0, 1] to (N, 3, H * scale, W * scale) in [0, 1].

        H and W are multiples of `card.size_multiple`. Raises EngineError where the run fails.
        """
        ...

    def __exit__(self, *exc: object) -> None:
        """Free what it holds; it need not run afterwards."""
        ...


class ExitsEngine(Engine, Protocol):
    """An engine with several exits, `card.exits`, counted from 1; `infer` takes the last. Exit 0 is bicubic
    interpolation, and none of the engine's."""

    at_once: int
    """Runs that are worth making side by side, each from a thread of its own."""

    def exit(self, k: int, tiles: NDArray[np.float32]) -> NDArray[np.float32]:
        """As `infer`, but by exit `k`."""
        ...

    def estimate(self, patches: NDArray[np.float32]) -> NDArray[np.float32]:
        """What each exit, bicubic first, is thought to reach on patches (N, 3, side, side): (N, exits + 1).

        The side is `card.estimator.patch`; whether the highest or the lowest is best, `card.estimator.sign`.
        """
        ...


class MultiExitEngine(ExitsEngine, Protocol):
    """An engine whose network has several exits, with stages that can be run one by one, counted from 1."""

    def stage(self, k: int, features: Features) -> Features:
        """Features of stage `k` from those of the stage before, or from (tiles,) where `k` is 1."""
        ...

    def head(self, k: int, features: Features) -> NDArray[np.float32]:
        """What exit `k` makes of the features of stage `k`: (N, 3, H * scale, W * scale) in [0, 1]."""
        ...


@runtime_checkable
class PlaneEngine(Protocol):
    """An engine that takes the planes of frames as they are, several frames under way at a time."""

    @property
    def lanes(self) -> int:
        """How many; with more, `submit` waits."""
        ...

    def submit(self, planes: Planes, colour: Colour) -> Any:
        """Start on a frame; what is returned stands for it, and the planes may be changed."""
        ...

    def collect(self, frame: Any) -> Planes:
        """The frame that `submit` returned, upscaled by the card's scale, a last part of a pixel counted as one.

        Sides are even, an odd last pixel is left out; chroma is sited on the left. Waits. Raises EngineError where
        the run failed.
        """
        ...


class GpuSurface(Protocol):
    """A picture in the GPU's memory, which is nobody else's as long as somebody has this."""

    @property
    def y(self) -> GpuPlane: ...

    @property
    def uv(self) -> GpuPlane: ...


@runtime_checkable
class GpuEngine(PlaneEngine, Protocol):
    """A `PlaneEngine` that takes frames which are on the GPU, too, and may leave what they become there."""

    def submit_gpu(self, frame: GpuFrame, stay: bool) -> Any:
        """Start on a frame, which is held until it is done.

        With `stay` the result is left on the GPU, and got with `collect_gpu`; otherwise with `collect`.
        """
        ...

    def collect_gpu(self, frame: Any) -> GpuSurface:
        """As `collect`, but where the result is; anybody may read it."""
        ...
