"""Between 8-bit 4:2:0 YCbCr and the networks' planar RGB.

Single passes of OpenCV's vectorised primitives over whole planes; no interleaved picture is ever made.
Formulas: ITU-R BT.601-7, BT.709-6, BT.2020-2 and, for quantisation, H.273.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from rtsr.frame import KR_KB, Colour


def to_rgb(y: NDArray, u: NDArray, v: NDArray, colour: Colour) -> NDArray[np.float32]:
    """Planar RGB (1, 3, H, W), float32 in [0, 1], of 8-bit luma (H, W) and chroma (ceil(H/2), ceil(W/2)).

    Chroma is interpolated linearly from where its samples lie; colours outside RGB are clipped.
    """
    height, width = y.shape
    kr, kb = KR_KB[colour.matrix]
    kg = 1 - kr - kb
    black, luma_range, chroma_range = _levels(colour)
    cb, cr = (_double(plane, width, height, colour.chroma_left) for plane in (u, v))
    gain = 1 / luma_range
    red, blue = 2 * (1 - kr) / chroma_range, 2 * (1 - kb) / chroma_range
    green_b, green_r = -blue * kb / kg, -red * kr / kg
    rgb = np.empty((1, 3, height, width), np.float32)
    luma = y.astype(np.float32)
    dark = -black * gain
    cv2.addWeighted(luma, gain, cr, red, dark - 128 * red, rgb[0, 0])
    cv2.addWeighted(luma, gain, cb, blue, dark - 128 * blue, rgb[0, 2])
    cv2.addWeighted(luma, gain, cb, green_b, dark - 128 * (green_b + green_r), rgb[0, 1])
    cv2.scaleAdd(cr, green_r, rgb[0, 1], rgb[0, 1])
    return np.clip(rgb, 0, 1, out=rgb)


def from_rgb(rgb: NDArray[np.float32], colour: Colour) -> tuple[NDArray, NDArray, NDArray]:
    """8-bit luma and chroma planes of planar RGB (3, H, W), float32 in [0, 1]; H and W even.

    Chroma is averaged over the area around each of its samples; values are rounded to nearest.
    """
    kr, kb = KR_KB[colour.matrix]
    black, luma_range, chroma_range = _levels(colour)
    red, green, blue = rgb
    luma = cv2.addWeighted(red, kr, green, 1 - kr - kb, 0)
    cv2.scaleAdd(blue, kb, luma, luma)
    y = cv2.convertScaleAbs(luma, alpha=luma_range, beta=black)
    small = _halve(luma, colour.chroma_left)
    planes = []
    for primary, weight in ((blue, kb), (red, kr)):
        gain = chroma_range / (2 * (1 - weight))
        difference = cv2.addWeighted(_halve(primary, colour.chroma_left), gain, small, -gain, 128)
        planes.append(cv2.convertScaleAbs(difference))
    return y, planes[0], planes[1]


def _levels(colour: Colour) -> tuple[float, float, float]:
    """Black level, luma range and chroma range, in 8-bit steps."""
    return (0.0, 255.0, 255.0) if colour.full_range else (16.0, 219.0, 224.0)


def _double(plane: NDArray, width: int, height: int, left: bool) -> NDArray:
    """A chroma plane at luma size, interpolated linearly with its siting, borders repeated."""
    to_chroma = np.array([[0.5, 0, 0.0 if left else -0.25], [0, 0.5, -0.25]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    wide = plane.astype(np.float32)
    return cv2.warpAffine(wide, to_chroma, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def _halve(plane: NDArray, left: bool) -> NDArray:
    """A plane at half its size: 2x2 means, or on every second column [1 2 1] / 4 across and 2 down."""
    size = (plane.shape[1] // 2, plane.shape[0] // 2)
    centred = cv2.resize(plane, size, interpolation=cv2.INTER_AREA)
    if not left:
        return centred
    # The mean of columns 2k-1 and 2k, averaged with that of 2k and 2k+1, is [1 2 1] / 4 around 2k.
    before = np.empty_like(centred)
    if size[0] > 1:
        before[:, 1:] = cv2.resize(plane[:, 1:-1], (size[0] - 1, size[1]), interpolation=cv2.INTER_AREA)
    before[:, 0] = (plane[0::2, 0] + plane[1::2, 0]) / 2
    return cv2.addWeighted(centred, 0.5, before, 0.5, 0)
