"""What captures do to a picture, done for real."""

from fractions import Fraction

import numpy as np
import pytest

from rtsr.quality.imresize import imresize
from rtsr.quality.metrics import luma, psnr
from rtsr.train.degrade import compress, shrink


@pytest.fixture
def picture() -> np.ndarray:
    random = np.random.default_rng(5)
    return imresize(random.integers(0, 256, (12, 16, 3), np.uint8), 121, 163)


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_compression_keeps_place_and_colour_and_costs_quality(picture: np.ndarray, codec: str) -> None:
    fine, coarse = (compress(picture, crf, codec, (1, -2)) for crf in (12, 34))
    assert fine.shape == picture.shape and fine.dtype == np.uint8
    scores = [psnr(luma(result), luma(picture)) for result in (fine, coarse)]
    assert scores[0] > 36 and scores[0] > scores[1] + 4
    moved = np.roll(fine, 1, axis=1)
    assert psnr(luma(moved), luma(picture)) < scores[0] - 3
    assert abs(fine.astype(float).mean((0, 1)) - picture.mean((0, 1))).max() < 1


@pytest.mark.parametrize("scale", [Fraction(2), Fraction(3, 2)])
def test_ways_to_shrink_agree_where_there_is_no_detail(scale: Fraction) -> None:
    flat = imresize(np.random.default_rng(2).integers(0, 256, (4, 5, 3), np.uint8), 96, 120)
    height, width = int(96 / scale), int(120 / scale)
    ways = [shrink(flat, scale, how).astype(int) for how in ("bicubic", "area", "point")]
    assert all(way.shape == (height, width, 3) for way in ways)
    inner = slice(4, -4)
    assert max(np.abs(ways[0] - way)[inner, inner].max() for way in ways[1:]) <= 4


def test_point_sampling_keeps_the_aliasing_that_bicubic_removes() -> None:
    stripes = np.zeros((96, 96, 3), np.uint8)
    stripes[:, ::4] = stripes[:, 1::4] = 255
    assert shrink(stripes, Fraction(2), "point").std() > shrink(stripes, Fraction(2), "bicubic").std()
