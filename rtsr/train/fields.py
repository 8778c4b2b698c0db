"""Pictures without detail: smooth fields of colour, so that a network learns to leave colours as they are."""

from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

BEYOND = 0.25
"""How far colours are drawn beyond black and white, then cut off, so that saturated ones are common."""


def colour_field(random: np.random.Generator, patch: int, scale: Fraction) -> tuple[NDArray, NDArray]:
    """One field at both resolutions, (3, side, side) float32 in [0, 1]: low, rounded to 8 bits, and high.

    One colour everywhere, or 2x2 or 3x3 colours and what lies between them. Both sides sample the same colours at their
    pixels' centres, so the truth is known beyond 8 bits.
    """
    count = int(random.integers(1, 4))
    colours = random.uniform(-BEYOND, 1 + BEYOND, (count, count, 3)).astype(np.float32)
    low, high = (
        np.clip(cv2.resize(colours, (side, side), interpolation=cv2.INTER_CUBIC), 0, 1).transpose(2, 0, 1)
        for side in (patch, int(patch * scale))
    )
    return (low * 255).round() / np.float32(255), high


def enlarged_pixels(image: NDArray, size: float, scale: Fraction) -> tuple[NDArray, NDArray]:
    """`image` (H, W, 3, uint8) as art whose pixels are `size` high-resolution ones wide, unfiltered: low and high.

    Each is (H / scale, W / scale, 3) and (H, W, 3) uint8, rendered natively: every pixel takes the colour of the art
    below its centre, as games draw magnified textures without filtering.
    """
    height, width = image.shape[:2]
    art = cv2.resize(image, (int(width / size), int(height / size)), interpolation=cv2.INTER_AREA)

    def rendered(rows: int, columns: int) -> NDArray:
        y, x = (
            ((np.arange(side) + 0.5) * have / side).astype(np.intp)
            for side, have in zip((rows, columns), art.shape[:2], strict=True)
        )
        return np.ascontiguousarray(art[y[:, None], x])

    return rendered(int(height / scale), int(width / scale)), rendered(height, width)
