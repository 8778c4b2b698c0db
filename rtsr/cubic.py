"""Bicubic interpolation of 8-bit planes: the cheapest picture, and what every refined one starts from."""

from fractions import Fraction
from math import ceil

import cv2
import numpy as np
from numpy.typing import NDArray

Planes = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]
"""Luma (H, W) and two chroma planes, (ceil(H / 2), ceil(W / 2)) each."""


def enlarge(planes: Planes, scale: Fraction, chroma_left: bool) -> Planes:
    """The planes upscaled by `scale`, chroma sited on the left, whatever its siting was.

    Keys' kernel with a = -0.75, as in PyTorch and OpenCV; borders are repeated. A last part of a pixel counts as one;
    an odd side of the result is cut to an even one.
    """
    height, width = (ceil(side * scale) // 2 for side in planes[0].shape)
    y, u, v = (_padded(plane, scale.denominator) for plane in planes)
    size = [int(side * scale) for side in y.shape[::-1]]
    luma = cv2.resize(y, size, interpolation=cv2.INTER_CUBIC).astype(np.uint8, copy=False)
    cb, cr = (_enlarge_chroma(plane, scale, chroma_left)[:height, :width] for plane in (u, v))
    return luma[: 2 * height, : 2 * width], cb, cr


def is_local(scale: Fraction, chroma_left: bool) -> bool:
    """Whether parts of planes become, to the bit, what they become in the whole, but for three samples at the edges.

    They start where they do at `scale`, too. Not so where chroma lies anywhere between samples.
    """
    return _columns(scale, chroma_left) is not None


def _enlarge_chroma(plane: NDArray, scale: Fraction, left: bool) -> NDArray[np.uint8]:
    """A chroma plane whose sides suit the scale."""
    height, width = (int(side * scale) for side in plane.shape)
    columns = _columns(scale, left)
    if columns is not None:
        finer = plane.shape[1] * 2 * scale.numerator
        wide = cv2.resize(plane, (finer, height), interpolation=cv2.INTER_CUBIC)
        return np.ascontiguousarray(wide[:, columns], np.uint8)
    to_input = np.array([[1 / float(scale), 0, _first(scale, left)], [0, 1 / float(scale), 0.5 / float(scale) - 0.5]])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    warped = cv2.warpAffine(plane, to_input, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return warped.astype(np.uint8, copy=False)


def _columns(scale: Fraction, left: bool) -> slice | None:
    """Which columns are ours of chroma that is enlarged 2 * `scale.numerator` times; None where ours lie between.

    Sample i of those lies at (i + 1/2) / finer - 1/2; where our first is among the first `step`, our last is there.
    """
    finer, step = 2 * scale.numerator, 2 * scale.denominator
    start = (_first(scale, left) + 0.5) * finer - 0.5
    return slice(round(start), None, step) if start == round(start) and 0 <= start < step else None


def _first(scale: Fraction, left: bool) -> float:
    """Where our sample 0 of chroma lies among the input's; sample j lies at j / scale from there."""
    return (1 / float(scale) - 1) / 4 - (0 if left else 0.25)


def _padded(plane: NDArray, multiple: int) -> NDArray:
    """`plane` with its last row and column repeated until both sides are multiples of `multiple`."""
    down, right = (-side % multiple for side in plane.shape)
    return np.pad(plane, ((0, down), (0, right)), mode="edge") if down or right else plane
