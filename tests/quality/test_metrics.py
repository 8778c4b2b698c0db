"""Figures that can be worked out by hand."""

from fractions import Fraction

import numpy as np
import pytest

from rtsr.quality.metrics import border, compare, luma, psnr, ssim


def test_luma_of_the_corners_of_the_cube():
    rgb = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    np.testing.assert_allclose(luma(rgb)[0], [16, 235, 81.481, 144.553, 40.966], atol=0.01)


@pytest.mark.parametrize(("scale", "pixels"), [("2", 2), ("3", 3), ("3/2", 2), ("4/3", 2), ("4", 4)])
def test_border_is_the_scale_rounded_up(scale, pixels):
    assert border(Fraction(scale)) == pixels


def test_psnr_of_a_known_error():
    a = np.zeros((16, 16))
    assert psnr(a, a + 1) == pytest.approx(48.1308, abs=1e-4)
    assert psnr(a, a + 255) == pytest.approx(0)
    assert psnr(a, a) == float("inf")
    with pytest.raises(ValueError, match="shapes"):
        psnr(a, a[1:])


def test_ssim_of_flat_planes_has_only_its_luminance_term():
    a, b = np.full((20, 20), 100.0), np.full((20, 20), 120.0)
    c1 = (0.01 * 255) ** 2
    assert ssim(a, b) == pytest.approx((2 * 100 * 120 + c1) / (100**2 + 120**2 + c1), abs=1e-9)
    assert ssim(a, a) == pytest.approx(1)


def test_ssim_falls_with_noise_and_does_not_care_for_order():
    rng = np.random.default_rng(0)
    a = rng.random((40, 40)) * 255
    little, much = (a + rng.normal(0, sigma, a.shape) for sigma in (2, 20))
    assert 1 > ssim(a, little) > ssim(a, much)
    assert ssim(a, much) == pytest.approx(ssim(much, a))


def test_ssim_needs_11_pixels():
    with pytest.raises(ValueError, match="11x11"):
        ssim(np.zeros((10, 20)), np.zeros((10, 20)))


def test_compare_leaves_the_border_out():
    truth = np.full((30, 30, 3), 90, np.uint8)
    image = truth.copy()
    image[:2] = 255
    image[:, -2:] = 0
    assert compare(image, truth, 2) == (float("inf"), pytest.approx(1))
    assert compare(image, truth, 0)[0] < 20
