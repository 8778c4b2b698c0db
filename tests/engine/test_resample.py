"""Bicubic and Lanczos against slow references and known properties."""

from fractions import Fraction

import cv2
import numpy as np
import pytest

from rtsr.engine.resample import bicubic, lanczos, steep_bicubic
from rtsr.quality.imresize import imresize

SCALES = [Fraction(2), Fraction(3, 2), Fraction(4, 3), Fraction(3), Fraction(4)]


def noise(height, width, seed=1):
    return np.random.default_rng(seed).random((1, 3, height, width), np.float32)


@pytest.mark.parametrize("scale", SCALES)
def test_bicubic_equals_imresize(scale):
    image = noise(60, 84)
    out = bicubic(scale).infer(image)
    height, width = out.shape[2:]
    expected = imresize(image[0].transpose(1, 2, 0).astype(np.float64), height, width).transpose(2, 0, 1)
    np.testing.assert_allclose(out[0], np.clip(expected, 0, 1), atol=1e-5)


@pytest.mark.parametrize("scale", SCALES)
def test_steep_bicubic_equals_opencv(scale):
    image = noise(48, 60)
    size = int(60 * scale), int(48 * scale)
    expected = cv2.resize(image[0].transpose(1, 2, 0), size, interpolation=cv2.INTER_CUBIC).transpose(2, 0, 1)
    np.testing.assert_allclose(steep_bicubic(scale).infer(image)[0], np.clip(expected, 0, 1), atol=1e-5)


@pytest.mark.parametrize("scale", SCALES)
def test_lanczos_equals_a_direct_sum(scale):
    row = noise(12, 60)[:, :, :1].repeat(12, 2)
    out = lanczos(scale).infer(row)[0, 0, 0]
    centres = (np.arange(int(60 * scale)) + 0.5) / float(scale) - 0.5
    expected = []
    for centre in centres:
        taps = np.arange(int(np.floor(centre)) - 2, int(np.floor(centre)) + 4)
        away = centre - taps
        weights = np.sinc(away) * np.sinc(away / 3)
        expected.append(weights @ row[0, 0, 0, np.clip(taps, 0, 59)] / weights.sum())
    np.testing.assert_allclose(out, np.clip(expected, 0, 1), atol=1e-5)


@pytest.mark.parametrize("make", [bicubic, lanczos])
@pytest.mark.parametrize("scale", SCALES)
def test_flat_stays_flat_and_flips_commute(make, scale):
    engine = make(scale)
    flat = np.full((1, 3, 36, 48), 0.37, np.float32)
    np.testing.assert_allclose(engine.infer(flat), 0.37, atol=1e-6)
    image = noise(36, 48)
    out = engine.infer(image)
    np.testing.assert_allclose(engine.infer(image[:, :, ::-1, ::-1]), out[:, :, ::-1, ::-1], atol=1e-5)
    turned = engine.infer(image.transpose(0, 1, 3, 2)).transpose(0, 1, 3, 2)
    np.testing.assert_allclose(turned, out, atol=1e-5)


def test_overshoot_is_clipped():
    step = np.zeros((1, 3, 8, 16), np.float32)
    step[..., 8:] = 1
    for make in (bicubic, lanczos):
        out = make(Fraction(2)).infer(step)
        assert out.min() == 0 and out.max() == 1
