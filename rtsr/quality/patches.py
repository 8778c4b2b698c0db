"""What each exit makes of each patch of a picture, and the picture that they make together.

Source: "ENAF: A Multi-Exit Network with an Adaptive Patch Fusion for Large Image Super Resolution", sections 3.1
and 3.3. Every exit of every patch is computed once; choosing exits and merging is cheap after that.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from rtsr.card import Card, Estimation
from rtsr.engine.base import MultiExitEngine
from rtsr.engine.exits import every_exit
from rtsr.errors import UsageError
from rtsr.pacing.budget import blank
from rtsr.quality.datasets import Picture
from rtsr.quality.metrics import LUMA
from rtsr.quality.tiles import SIDE, STEP, Tile, grid, merge, pad, split

BATCH = 16
"""Patches of one run of the network; bounds the memory of its features."""


@dataclass(frozen=True, slots=True, eq=False)
class Patches:
    """The N patches of a picture, and what E exits (bicubic included) make of them."""

    tiles: tuple[Tile, ...]
    """Where they lie in the small picture, which may have been padded."""
    scale: Fraction
    size: tuple[int, int]
    """Height and width of the upscaled picture, without padding."""
    blank: NDArray[np.bool_]
    """(N,): which have next to no detail."""
    estimates: NDArray[np.float32]
    """(N, E): what the network thinks each exit reaches, times the estimator's sign: dB, the higher, the better."""
    reached: NDArray[np.float64]
    """(N, E): what it does reach, PSNR on luma in dB (equation 7); infinite where there is no difference."""
    upscaled: NDArray[np.float16]
    """(E, N, 3, h, w) in [0, 1]. Half precision is within a tenth of an 8-bit level, and a picture of
    7680x4320 takes 1.1 GB."""

    def merged(self, exits: NDArray[np.integer]) -> Picture:
        """The whole picture where each patch is the work of its exit, (N,), and overlaps are averaged."""
        chosen = self.upscaled[exits, np.arange(len(exits))]
        height, width = self.size
        planes = merge(chosen, self.tiles, self.scale)[:, :height, :width]
        return np.floor(planes.transpose(1, 2, 0) * 255 + 0.5).clip(0, 255).astype(np.uint8)


def examine(
    engine: MultiExitEngine, low: Picture, high: Picture, watch: Callable[[float], None] | None = None
) -> Patches:
    """Run every exit of `engine` and its estimator on the patches of `low`, and compare with the truth `high`.

    Raises UsageError where the network has no estimator. `watch` is told how much is done, from 0 to 1.
    """
    card = engine.card
    estimator, scale = estimator_of(card), card.scale
    side = estimator.patch
    padded = pad(low.transpose(2, 0, 1), side, card.size_multiple)
    height, width = padded.shape[1:]
    tiles = grid(height, width, side, side * STEP // SIDE)
    pixels = split(padded, tiles)
    large = int(side * scale)
    truth = split(
        pad(high.transpose(2, 0, 1), large, int(card.size_multiple * scale)), [t.scaled(scale) for t in tiles]
    )
    upscaled = np.empty((len(card.exits) + 1, len(tiles), 3, large, large), np.float16)
    estimates = np.empty((len(tiles), len(upscaled)), np.float32)
    reached = np.empty(estimates.shape)
    for start in range(0, len(tiles), BATCH):
        now = slice(start, start + BATCH)
        planes = pixels[now].astype(np.float32) / np.float32(255)
        estimates[now] = estimator.sign * engine.estimate(planes)
        for k, result in enumerate(every_exit(engine, planes)):
            upscaled[k, now] = result
            reached[now, k] = _psnr(result, truth[now])
        if watch:
            watch(min(start + BATCH, len(tiles)) / len(tiles))
    plain = blank(np.ascontiguousarray(pixels.transpose(0, 2, 3, 1)))
    return Patches(tiles, scale, (high.shape[0], high.shape[1]), plain, estimates, reached, upscaled)


def estimator_of(card: Card) -> Estimation:
    """The card's estimator; raises UsageError where the network has none, or but one exit."""
    if card.estimator is None or not card.exits:
        raise UsageError(f"{card.name} has no exits to choose between patch by patch; evaluate whole images instead")
    return card.estimator


def _psnr(planes: NDArray[np.float32], truth: NDArray[np.uint8]) -> NDArray[np.float64]:
    """PSNR on luma in dB of each patch, (N, 3, h, w) in [0, 1] against 8-bit ones: (N,)."""
    difference = (planes - truth / np.float32(255)).astype(np.float64)
    error = np.mean(np.einsum("nchw,c->nhw", difference, LUMA) ** 2, axis=(1, 2))
    with np.errstate(divide="ignore"):
        return -10 * np.log10(error)
