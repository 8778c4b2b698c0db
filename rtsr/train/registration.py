"""Where two renders of one moment do not show the same thing at the same place."""

from itertools import product

import cv2
import numpy as np
from numpy.typing import NDArray

from rtsr.quality.metrics import luma

BLOCK = 24
"""Side of the squares that are compared, in high-resolution pixels."""
SHIFTS = [shift for shift in product((-9, -6, -3, 0, 3, 6, 9), repeat=2) if shift != (0, 0)]
VISIBLE = 16.0
"""Root mean square difference, in 8-bit levels, below which a square is not judged."""


def misplaced(low: NDArray, high: NDArray) -> NDArray[np.bool_]:
    """Pixels of `high` (H, W) whose surroundings in `low` fit much better when moved by some pixels.

    `low` and `high` are renders of one moment, 8-bit RGB. A game draws its map, speed and icons at places
    rounded to each resolution's own pixels; a network that learns from such pairs smears every icon.
    """
    truth = luma(high).astype(np.float32)
    large = cv2.resize(luma(low).astype(np.float32), truth.shape[::-1], interpolation=cv2.INTER_CUBIC)

    def difference(dy: int, dx: int) -> NDArray:
        moved = np.roll(large, (dy, dx), axis=(0, 1))
        return cv2.blur((moved - truth) ** 2, (BLOCK, BLOCK))

    in_place = difference(0, 0)
    moved = np.min([difference(dy, dx) for dy, dx in SHIFTS], axis=0)
    wrong = ((moved < 0.5 * in_place) & (in_place > VISIBLE**2)).astype(np.uint8)
    return cv2.dilate(wrong, np.ones((BLOCK, BLOCK), np.uint8)) > 0
