"""Engines without a network: separable resampling with a fixed kernel.

Pixel centres are aligned and border pixels are repeated, as in `rtsr.quality.imresize`. Resampling an axis is a
product with a banded matrix; it is done block by block, so that the products stay small and dense.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache, partial
from typing import Self

import numpy as np
from numpy.typing import NDArray

from rtsr.card import Card
from rtsr.errors import EngineError

BLOCK = 32
"""Output pixels of one product; small enough that few products are with zeros, large enough to be quick."""
RUN = 256
"""Input pixels of one product along the other axis. BLAS runs products of this size on the calling thread;
larger ones go to its own threads, which is slower by far where other work keeps the cores busy."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """A symmetric interpolation kernel."""

    weight: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    """Weight by distance in input pixels."""
    reach: int
    """Distance from which on the weight is 0."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A run of output pixels of one axis, and the input pixels that it is made of."""

    source: slice
    target: slice
    weights: NDArray[np.float32]
    """(target, source); each row sums to 1."""


def cubic(x: NDArray[np.float64], a: float = -0.5) -> NDArray[np.float64]:
    """Keys' cubic convolution kernel with slope `a` at 1 (IEEE Trans. ASSP 29(6), 1981; equation 15 has -0.5)."""
    x = np.abs(x)
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * (x**3 - 5 * x**2 + 8 * x - 4)
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def lanczos3(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """sinc(x) times sinc(x / 3) within 3 pixels."""
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0)


CUBIC = Kernel(cubic, reach=2)
STEEP_CUBIC = Kernel(partial(cubic, a=-0.75), reach=2)
LANCZOS3 = Kernel(lanczos3, reach=3)


class Resampler:
    """An `Engine` that resamples with `kernel`; nothing to load, so it is always open."""

    def __init__(self, name: str, kernel: Kernel, scale: Fraction, summary: str) -> None:
        self.card = Card(
            name=name,
            arch=name,
            scale=scale,
            flavour="none",
            size_multiple=scale.denominator,
            radius=kernel.reach,
            summary=summary,
        )
        self._kernel = kernel

    def __enter__(self) -> Self:
        return self

    def infer(self, tiles: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, 3, H, W) in [0, 1] to (N, 3, H * scale, W * scale), clipped to [0, 1]."""
        batch, channels, height, width = tiles.shape
        rows, columns = (blocks(side, self.card.scale, self._kernel) for side in (height, width))
        out = np.empty((batch, channels, rows[-1].target.stop, columns[-1].target.stop), np.float32)
        for row in rows:
            tall = np.concatenate([row.weights @ tiles[:, :, row.source, i : i + RUN] for i in range(0, width, RUN)], 3)
            band = out[:, :, row.target]
            for column in columns:
                np.matmul(tall[..., column.source], column.weights.T, out=band[..., column.target])
            np.clip(band, 0, 1, out=band)
        return out

    def __exit__(self, *exc: object) -> None:
        pass


def bicubic(scale: Fraction) -> Resampler:
    """Bicubic interpolation, the yardstick that networks are measured against."""
    return Resampler("bicubic", CUBIC, scale, "Bicubic interpolation (a = -0.5)")


def steep_bicubic(scale: Fraction) -> Resampler:
    """Bicubic interpolation as PyTorch and OpenCV do it: exit 0 of networks with several exits."""
    return Resampler("bicubic", STEEP_CUBIC, scale, "Bicubic interpolation (a = -0.75)")


def lanczos(scale: Fraction) -> Resampler:
    """Lanczos interpolation over 6x6 pixels: sharper than bicubic, with more ringing."""
    return Resampler("lanczos", LANCZOS3, scale, "Lanczos-3 interpolation")


@lru_cache(maxsize=64)
def blocks(length: int, scale: Fraction, kernel: Kernel) -> tuple[Block, ...]:
    """How to resample an axis of `length` pixels; raises EngineError where the result has no whole length."""
    if length < 1 or length * scale.numerator % scale.denominator:
        raise EngineError(f"a side of {length} cannot be upscaled by {scale}; pad it to a multiple first")
    result = int(length * scale)
    step = 1 / float(scale)
    return tuple(
        _block(np.arange(start, min(start + BLOCK, result)), length, step, kernel) for start in range(0, result, BLOCK)
    )


def _block(target: NDArray, length: int, step: float, kernel: Kernel) -> Block:
    centre = (target + 0.5) * step - 0.5
    taps = np.floor(centre).astype(np.int64)[:, None] + np.arange(1 - kernel.reach, kernel.reach + 1)
    weights = kernel.weight(centre[:, None] - taps)
    weights /= weights.sum(axis=1, keepdims=True)
    inside = np.clip(taps, 0, length - 1)  # repeats the border's pixels
    first, last = int(inside.min()), int(inside.max())
    matrix = np.zeros((len(target), last - first + 1))
    np.add.at(matrix, (np.arange(len(target))[:, None], inside - first), weights)
    return Block(
        slice(first, last + 1), slice(int(target[0]), int(target[-1]) + 1), np.ascontiguousarray(matrix, np.float32)
    )
