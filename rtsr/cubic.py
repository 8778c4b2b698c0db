"""Bicubic interpolation of 8-bit planes: the cheapest picture, and what every refined one starts from."""

from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

Planes = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]
"""Luma (H, W) and two chroma planes, (ceil(H / 2), ceil(W / 2)) each."""


def enlarge(planes: Planes, scale: Fraction, chroma_left: bool) -> Planes:
    """The planes upscaled by `scale`, chroma sited on the left, whatever its siting was.

    Keys' kernel with a = -0.75, as in PyTorch and OpenCV; borders are repeated. Sides that do not suit the scale
    are taken as one pixel longer; an odd side of the result is cut to an even one.
    """
    y, u, v = planes
    y = np.pad(y, [(0, -side % scale.denominator) for side in y.shape], mode="edge")
    height, width = (int(side * scale) for side in y.shape)
    luma = cv2.resize(y, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.uint8, copy=False)
    half = (width // 2, height // 2)
    chroma = [_enlarge_chroma(plane, scale, half, chroma_left) for plane in (u, v)]
    return luma[: height // 2 * 2, : width // 2 * 2], chroma[0], chroma[1]


def _enlarge_chroma(plane: NDArray, scale: Fraction, size: tuple[int, int], left: bool) -> NDArray[np.uint8]:
    """A chroma plane at `size`: output sample j lies at j / scale + first of the input's samples."""
    first = (1 / float(scale) - 1) / 4 - (0 if left else 0.25)
    finer, step = 2 * scale.numerator, 2 * scale.denominator
    # Enlarged `finer` times across, sample i lies at (i + 1/2) / finer - 1/2: often every `step`-th is one of ours,
    # and where the first is among the first `step`, the last is there, too.
    start = (first + 0.5) * finer - 0.5
    if start == round(start) and 0 <= start < step:
        wide = cv2.resize(plane, (plane.shape[1] * finer, size[1]), interpolation=cv2.INTER_CUBIC)
        return np.ascontiguousarray(wide[:, round(start) :: step][:, : size[0]], np.uint8)
    to_input = np.array([[1 / float(scale), 0, first], [0, 1 / float(scale), 0.5 / float(scale) - 0.5]])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    warped = cv2.warpAffine(plane, to_input, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return warped.astype(np.uint8, copy=False)
