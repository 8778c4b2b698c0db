"""How much error each exit of a network is expected to leave on every tile of a frame.

Two judges. Where the mean gains of the exits were measured, the picture itself tells where they are to be had: what
is lost when it is halved and enlarged again is like what bicubic interpolation will lose when it is enlarged. That
costs next to nothing, and spends better than ENAF's estimator (docs/decisions/0008-who-judges-tiles.md). Other
networks are judged by the estimator that they bring (ENAF, equations 7 and 8).
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from rtsr.card import Card, Estimation
from rtsr.pacing.budget import BLANK
from rtsr.regions import Grid, window_sums

GAMMA = 1.0
"""Weight of the blank test in dB; the paper has 1.0 to 1.5."""
LIKENESS = 0.45
"""Bicubic's squared error over that of halving, divided by the scale: 0.39 and 0.50 at x1.5 and x2 on BSD100, twice
as much on aliased renders."""
JUDGED = 5
"""Pixels around a tile that count where the picture is halved and enlarged again."""
NOTHING = 1e-7
"""Squared error of a tile without any detail (70 dB), white being 1."""
FLAT_SHARE = 0.05
"""What 8 bits add to a flat tile, as a part of what they add at most: where there is little to see, few of a network's
channels move (docs/decisions/0021-eight-bits-on-the-processor.md)."""
HALF_AT = 4e-5
"""Bicubic's squared error on a tile to which they add half of that."""

Array = NDArray[np.floating]


def by_likeness(luma: NDArray[np.uint8], grid: Grid, card: Card, left: int = 0, top: int = 0) -> Array:
    """Expected squared errors of exits 0, 1, ..., white being 1: (rows, columns, exits + 1).

    `grid` begins `left` and `top` pixels into `luma`. Tiles that are `JUDGED` pixels and more from where a picture was
    cut, at even places, are judged as they are in the whole of it.
    """
    even = cv2.copyMakeBorder(luma, 0, luma.shape[0] % 2, 0, luma.shape[1] % 2, cv2.BORDER_REPLICATE)
    half = cv2.resize(even, [side // 2 for side in even.shape[::-1]], interpolation=cv2.INTER_AREA)
    lost = cv2.absdiff(cv2.resize(half, even.shape[::-1], interpolation=cv2.INTER_CUBIC), even)
    squared = np.square(lost[top : luma.shape[0], left : luma.shape[1]], dtype=np.float32)
    bicubic = LIKENESS * float(card.scale) * window_sums(squared, grid) / grid.areas() / 255**2 + NOTHING
    gains, noise = (np.array([0.0, *found]) for found in zip(*((e.gain, e.noise) for e in card.exits), strict=True))
    added = FLAT_SHARE + (1 - FLAT_SHARE) * bicubic / (bicubic + HALF_AT)
    return bicubic[..., None] * 10 ** (-gains / 10) + added[..., None] * noise


def by_estimator(
    rgb: Array, luma: NDArray[np.uint8], grid: Grid, judging: Estimation, estimate: Callable[[Array], Array]
) -> Array:
    """As `by_likeness`, from what the network's estimator says of patches in dB.

    `rgb` is the frame as the network sees it, (3, H, W) in [0, 1]. Bicubic is thought better by `GAMMA` dB on blank
    patches. A tile is as good as its patches on average; those at the frame's border are filled with their mirror
    image, and a rest of less than half a patch is not looked at.
    """
    side = judging.patch
    fine = Grid(grid.width, grid.height, side)
    height, width = fine.rows * side, fine.columns * side
    missing = [(0, max(0, end - length)) for end, length in zip((height, width), rgb.shape[1:], strict=True)]
    whole = np.pad(rgb[:, :height, :width], ((0, 0), *missing), mode="symmetric")
    patches = whole.reshape(len(rgb), fine.rows, side, fine.columns, side).transpose(1, 3, 0, 2, 4)
    decibels = judging.sign * estimate(np.ascontiguousarray(patches.reshape(-1, len(rgb), side, side)))
    decibels = decibels.reshape(fine.rows, fine.columns, -1)
    edges = cv2.convertScaleAbs(cv2.Laplacian(luma, cv2.CV_16S, ksize=3)).astype(np.uint8, copy=False)
    decibels[..., 0] += GAMMA * (window_sums(edges, fine) / fine.areas() <= BLANK)
    errors = 10 ** (-decibels / 10) * fine.areas()[..., None]
    places = [np.arange(n) * grid.side // side for n in (grid.rows, grid.columns)]
    sums = np.add.reduceat(np.add.reduceat(errors, places[0], axis=0), places[1], axis=1)
    return sums / grid.areas()[..., None]
