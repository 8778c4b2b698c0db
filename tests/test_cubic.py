"""Interpolated planes lie where they should."""

from fractions import Fraction

import cv2
import numpy as np
import pytest

from rtsr.cubic import enlarge


@pytest.mark.parametrize("scale", [Fraction(3, 2), Fraction(2), Fraction(3), Fraction(4)])
@pytest.mark.parametrize("left", [True, False])
def test_chroma_stays_over_the_luma_that_it_colours(scale: Fraction, left: bool) -> None:
    # Luma rises by 4 a column, chroma by 8 a sample: a chroma sample between two luma columns has their mean.
    y = np.tile(10 + 4 * np.arange(56), (24, 1)).astype(np.uint8)
    u = np.tile(10 + 8 * np.arange(28) + (0 if left else 2), (12, 1)).astype(np.uint8)
    luma, chroma, _ = enlarge((y, u, u), scale, left)
    assert luma.shape == (24 * scale, 56 * scale) and chroma.shape == (12 * scale, 28 * scale)
    # The output's chroma is sited on every second luma column.
    inner = slice(round(4 * scale), -round(4 * scale))
    off = chroma[6, inner].astype(int) - luma[6, ::2][inner]
    assert np.abs(off).max() <= 1 and abs(off.mean()) < 0.3


def test_luma_is_opencv_s_cubic() -> None:
    y = np.random.default_rng(1).integers(0, 256, (20, 30), np.uint8)
    luma, *_ = enlarge((y, y[::2, ::2], y[::2, ::2]), Fraction(2), True)
    assert (luma == cv2.resize(y, (60, 40), interpolation=cv2.INTER_CUBIC)).all()


@pytest.mark.parametrize("scale", [Fraction(3, 2), Fraction(2), Fraction(3), Fraction(4)])
def test_the_quick_way_for_chroma_is_the_general_one(scale: Fraction) -> None:
    u = cv2.GaussianBlur(np.random.default_rng(2).integers(0, 256, (36, 48), np.uint8), (0, 0), 1.5)
    y = np.zeros((72, 96), np.uint8)
    quick = enlarge((y, u, u), scale, True)[1]
    step = 1 / float(scale)
    to_input = np.array([[step, 0, (step - 1) / 4], [0, step, step / 2 - 0.5]])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    general = cv2.warpAffine(u, to_input, quick.shape[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)
    # OpenCV's general way knows places to 1/32 of a pixel only.
    assert np.abs(quick.astype(int) - general)[4:-4, 4:-4].max() <= 2
