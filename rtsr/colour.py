"""Between YCbCr planes and the networks' planar RGB.

Single passes of OpenCV's vectorised primitives over whole planes; no interleaved picture is ever made.
Formulas: ITU-R BT.601-7, BT.709-6, BT.2020-2 and, for quantisation, H.273.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from rtsr.frame import KR_KB, YUV420P8, Colour, Sampling


def to_rgb(y: NDArray, u: NDArray, v: NDArray, colour: Colour, sampling: Sampling = YUV420P8) -> NDArray[np.float32]:
    """Planar RGB (1, 3, H, W), float32 in [0, 1], of luma (H, W) and chroma (ceil(H / rows), ceil(W / columns)).

    Planes are uint8, or uint16 where they have more bits. Chroma is interpolated linearly from where its samples
    lie; colours outside RGB are clipped.
    """
    height, width = y.shape
    kr, kb = KR_KB[colour.matrix]
    kg = 1 - kr - kb
    black, luma_range, chroma_range, grey = levels(colour, sampling)
    cb, cr = (_enlarge(plane, width, height, colour.chroma_left, sampling) for plane in (u, v))
    gain = 1 / luma_range
    red, blue = 2 * (1 - kr) / chroma_range, 2 * (1 - kb) / chroma_range
    green_b, green_r = -blue * kb / kg, -red * kr / kg
    rgb = np.empty((1, 3, height, width), np.float32)
    luma = y.astype(np.float32)
    dark = -black * gain
    cv2.addWeighted(luma, gain, cr, red, dark - grey * red, rgb[0, 0])
    cv2.addWeighted(luma, gain, cb, blue, dark - grey * blue, rgb[0, 2])
    cv2.addWeighted(luma, gain, cb, green_b, dark - grey * (green_b + green_r), rgb[0, 1])
    cv2.scaleAdd(cr, green_r, rgb[0, 1], rgb[0, 1])
    return np.clip(rgb, 0, 1, out=rgb)


def from_rgb(
    rgb: NDArray[np.float32], colour: Colour, sampling: Sampling = YUV420P8
) -> tuple[NDArray, NDArray, NDArray]:
    """Luma and chroma planes of planar RGB (3, H, W), float32 in [0, 1]; H and W suit the chroma sampling.

    uint8, or uint16 for more bits. Chroma is averaged over the area around each of its samples; values are rounded
    to nearest.
    """
    kr, kb = KR_KB[colour.matrix]
    black, luma_range, chroma_range, grey = levels(colour, sampling)
    red, green, blue = rgb
    luma = cv2.addWeighted(red, kr, green, 1 - kr - kb, 0)
    cv2.scaleAdd(blue, kb, luma, luma)
    y = _quantised(luma, luma_range, black, sampling)
    small = _reduce(luma, colour.chroma_left, sampling)
    planes = []
    for primary, weight in ((blue, kb), (red, kr)):
        gain = chroma_range / (2 * (1 - weight))
        difference = cv2.addWeighted(_reduce(primary, colour.chroma_left, sampling), gain, small, -gain, 0)
        planes.append(_quantised(difference, 1, grey, sampling))
    return y, planes[0], planes[1]


def levels(colour: Colour, sampling: Sampling) -> tuple[float, float, float, float]:
    """Black level, luma range, chroma range and the chroma of grey, in steps."""
    step = 1 << sampling.bits - 8
    if colour.full_range:
        return 0.0, 256.0 * step - 1, 256.0 * step - 1, 128.0 * step
    return 16.0 * step, 219.0 * step, 224.0 * step, 128.0 * step


def _quantised(plane: NDArray, gain: float, offset: float, sampling: Sampling) -> NDArray:
    """A plane in whole steps."""
    if sampling.bits == 8:
        return cv2.convertScaleAbs(plane, alpha=gain, beta=offset)
    steps = cv2.addWeighted(plane, gain, plane, 0, offset, dtype=cv2.CV_16U)
    return np.minimum(steps, (1 << sampling.bits) - 1, out=steps)


def _enlarge(plane: NDArray, width: int, height: int, left: bool, sampling: Sampling) -> NDArray:
    """A chroma plane at luma size, interpolated linearly with its siting, borders repeated."""
    wide = plane.astype(np.float32)
    columns, rows = sampling.columns, sampling.rows
    if columns == rows == 1:
        return wide
    right = 0 if left else (1 - columns) / 2
    down = {"top": 0, "centre": (1 - rows) / 2, "bottom": 1 - rows}[sampling.row]
    to_chroma = np.array([[1 / columns, 0, right / columns], [0, 1 / rows, down / rows]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(wide, to_chroma, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def _reduce(plane: NDArray, left: bool, sampling: Sampling) -> NDArray:
    """A plane at chroma's size: the mean of the area between luma samples, or around the one that chroma lies on."""
    columns, rows = sampling.columns, sampling.rows
    if columns == rows == 1:
        return plane
    if (columns, rows, sampling.row) == (2, 2, "centre"):
        return _halve(plane, left)
    (across, x), (down, y) = _kernel(columns, "top" if left else "centre"), _kernel(rows, sampling.row)
    mean = cv2.sepFilter2D(plane, cv2.CV_32F, across, down, anchor=(x, y), borderType=cv2.BORDER_REPLICATE)
    return np.ascontiguousarray(mean[::rows, ::columns])


def _kernel(factor: int, site: str) -> tuple[NDArray[np.float32], int]:
    """Weights of the mean around chroma's place, and which of them belongs to the first of `factor` samples."""
    if site == "centre":
        return np.full(factor, 1 / factor, np.float32), 0
    triangle = factor - np.abs(np.arange(1 - factor, factor, dtype=np.float32))
    return (triangle / factor**2).astype(np.float32), factor - 1 if site == "top" else 0


def _halve(plane: NDArray, left: bool) -> NDArray:
    """A plane at half its size: 2x2 means, or on every second column [1 2 1] / 4 across and 2 down.

    Sums of two at a time, so that a part becomes to the bit what it becomes in the whole: OpenCV's mean of four adds
    them up in another order at the end of a row.
    """
    rows = cv2.add(plane[0::2], plane[1::2])
    even, odd = rows[:, 0::2], rows[:, 1::2]
    after = even + odd
    if not left:
        return after * np.float32(0.25)
    # The mean of columns 2k-1 and 2k, averaged with that of 2k and 2k+1, is [1 2 1] / 4 around 2k.
    before = np.empty_like(after)
    np.add(even[:, 1:], odd[:, :-1], out=before[:, 1:])
    before[:, 0] = 2 * rows[:, 0]
    return cv2.addWeighted(after, 0.125, before, 0.125, 0)
