"""Pictures to measure layers on, made up: no files, and the same everywhere."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

SIDE = 160
SHAPES = 600
"""How many shapes lie on one another."""


@cache
def pictures(channels: int = 3, seed: int = 0) -> NDArray[np.float32]:
    """(2, channels, 160, 160) in [0, 1]: edges of shapes in front of each other, and noise as soft as nature's.

    The first is a dead leaves model, flat and shaded shapes of many sizes; the second has a spectrum of 1 / f. Both
    have the statistics of photographs: neighbours are alike, in space and between channels. Read-only.
    """
    random = np.random.default_rng(seed)
    made = np.stack([_leaves(channels, random), _clouds(channels, random)]).astype(np.float32)
    made.flags.writeable = False
    return made


def _leaves(channels: int, random: np.random.Generator) -> NDArray[np.float64]:
    made = np.zeros((channels, SIDE, SIDE))
    rows, columns = np.mgrid[:SIDE, :SIDE]
    for _ in range(SHAPES):
        size = min(3 + 8 * random.pareto(1.5), SIDE / 2)
        down, right = rows - random.uniform(-5, SIDE + 5), columns - random.uniform(-5, SIDE + 5)
        if random.random() < 0.5:
            inside = down**2 + right**2 < size**2
        else:
            inside = (np.abs(down) < size) & (np.abs(right) < size * random.uniform(0.1, 1))
        colour = 0.6 * random.random((channels, 1)) + 0.4 * random.random()
        slope = random.normal(0, 0.15, 2) / SIDE
        made[:, inside] = colour + slope[0] * down[inside] + slope[1] * right[inside]
    return np.clip(made, 0, 1)


def _clouds(channels: int, random: np.random.Generator) -> NDArray[np.float64]:
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE)))
    frequency[0, 0] = 1 / SIDE
    noise = np.fft.fft2(random.normal(size=(channels, SIDE, SIDE))) / frequency
    # All channels share most of what they show, as colours do.
    soft = np.fft.ifft2(noise[:1] + 0.4 * noise).real
    soft -= soft.mean(axis=(1, 2), keepdims=True)
    return np.clip(0.5 + 0.25 * soft / soft.std(), 0, 1)
