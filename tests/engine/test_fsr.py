"""FSR 1.0: what AMD's description promises, measured."""

from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pytest

from rtsr.engine.fsr import SHARPNESS_STOPS, Fsr, easu, rcas
from rtsr.engine.resample import bicubic

SCALES = [Fraction(2), Fraction(3, 2), Fraction(4, 3), Fraction(3)]
FULL = 2.0**-SHARPNESS_STOPS


@pytest.fixture(scope="module")
def pool():
    with ThreadPoolExecutor(2) as pool:
        yield pool


def soft_noise(height, width):
    image = np.random.default_rng(3).random((3, height + 2, width + 2), np.float32)
    return (image[:, 2:, 2:] + image[:, :-2, 2:] + image[:, 1:-1, 1:-1] * 2) / 4


def unevenness(image):
    """Standard deviation, in pixels, of where each row crosses one half, from a straight line."""
    crossings = []
    for row in image[0, 20:-20]:
        right = int(np.argmax(row > 0.5))
        left, beyond = row[right - 1], row[right]
        crossings.append(right - 1 + (0.5 - left) / (beyond - left))
    rows = np.arange(len(crossings))
    return np.std(crossings - np.polyval(np.polyfit(rows, crossings, 1), rows))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
def test_flat_stays_flat(scale, value):
    flat = np.full((1, 3, 12, 24), value, np.float32)
    np.testing.assert_allclose(Fsr(scale).infer(flat), value, atol=1e-6)


@pytest.mark.parametrize("scale", SCALES)
def test_easu_stays_within_the_4_nearest_pixels(scale, pool):
    image = soft_noise(24, 36)
    out = easu(image, scale, pool)
    padded = np.pad(image, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows, columns = (
        np.floor((np.arange(out.shape[axis]) + 0.5) / float(scale) - 0.5 + 1e-9).astype(int) + 1 for axis in (1, 2)
    )
    four = np.stack([padded[:, rows[:, None] + y, columns + x] for y in (0, 1) for x in (0, 1)])
    assert np.all(out >= four.min(axis=0)) and np.all(out <= four.max(axis=0))


@pytest.mark.parametrize("scale", SCALES)
def test_easu_equals_its_definition_pixel_by_pixel(scale, pool):
    image = soft_noise(12, 12)
    out = easu(image, scale, pool)
    for y, x in [(0, 0), (0, 9), (5, 0), (7, 7), (8, 5), (out.shape[1] - 1, out.shape[2] - 1)]:
        np.testing.assert_allclose(out[:, y, x], easu_pixel(image, float(scale), y, x), atol=1e-5)


@pytest.mark.parametrize("scale", SCALES[:3])
def test_flips_commute(scale):
    """Not so at x3: right above an input pixel the 12 taps lie unevenly, two on one side and one on the other."""
    image = soft_noise(24, 36)[None]
    engine = Fsr(scale)
    out = engine.infer(image)
    np.testing.assert_allclose(engine.infer(image[..., ::-1]), out[..., ::-1], atol=1e-5)
    np.testing.assert_allclose(engine.infer(image[:, :, ::-1]), out[:, :, ::-1], atol=1e-5)


@pytest.mark.parametrize(("slope", "gain"), [(1, 2.5), (0.5, 3)])
def test_a_slanted_edge_is_straighter_than_with_bicubic(pool, slope, gain):
    rows, columns = np.mgrid[:48, :48]
    stairs = np.repeat((columns > rows * slope).astype(np.float32)[None], 3, 0)
    smooth = unevenness(easu(stairs, Fraction(2), pool))
    rough = unevenness(bicubic(Fraction(2)).infer(stairs[None])[0])
    assert rough > 0.2  # measured: 0.203 px at 45 degrees, 0.414 at slope 1/2
    assert smooth < rough / gain  # measured: 0.074 and 0.109


@pytest.mark.parametrize("scale", SCALES)
def test_easu_repeats_the_pixels_at_the_border(pool, scale):
    image = soft_noise(12, 24)
    wide = np.pad(image, ((0, 0), (12, 12), (12, 12)), mode="edge")
    edge = int(12 * scale)
    np.testing.assert_allclose(easu(image, scale, pool), easu(wide, scale, pool)[:, edge:-edge, edge:-edge], atol=1e-5)


def test_rcas_steepens_a_soft_edge_and_never_clips(pool):
    ramp = np.clip((np.arange(16, dtype=np.float32) - 6) / 4, 0, 1)
    image = np.broadcast_to(ramp, (3, 8, 16)).copy()
    out = rcas(image, FULL, pool)
    np.testing.assert_allclose(out[:, 0], out[:, 7], atol=1e-6)
    # what is black or white already has no room: no halo there
    np.testing.assert_allclose(out[:, :, :6], 0, atol=1e-6)
    np.testing.assert_allclose(out[:, :, 11:], 1, atol=1e-6)
    assert np.diff(out[0, 4]).min() >= 0
    grey = 0.25 + 0.5 * image
    assert np.diff(rcas(grey, FULL, pool)[0, 4]).max() > 1.2 * np.diff(grey[0, 4]).max()


def test_rcas_equals_its_definition(pool):
    image = soft_noise(12, 20)
    padded = np.pad(image, ((0, 0), (1, 1), (1, 1)), mode="edge").astype(np.float64)
    ring = np.stack([padded[:, :-2, 1:-1], padded[:, 2:, 1:-1], padded[:, 1:-1, :-2], padded[:, 1:-1, 2:]])
    low, high = ring.min(axis=0), ring.max(axis=0)
    lobe = np.maximum(-low / (4 * high), (1 - high) / (4 * low - 4)).max(axis=0)
    lobe = np.clip(lobe, -0.1875, 0) * FULL
    expected = (lobe * ring.sum(axis=0) + image) / (4 * lobe + 1)
    np.testing.assert_allclose(rcas(image, FULL, pool), np.clip(expected, 0, 1), atol=1e-5)


def test_less_sharpness_is_softer():
    image = soft_noise(24, 24)[None]
    spread = [float(Fsr(Fraction(2), stops).infer(image).std()) for stops in (0.0, 0.2, 2.0)]
    assert spread == sorted(spread, reverse=True)


def easu_pixel(image, scale, y, x):
    """One output pixel, step by step as the algorithm is described."""
    side = image.shape[1]

    def at(row, column):
        return image[:, min(max(row, 0), side - 1), min(max(column, 0), side - 1)].astype(np.float64)

    def bright(row, column):
        red, green, blue = at(row, column)
        return green + 0.5 * (red + blue)

    fy, fx = (y + 0.5) / scale - 0.5, (x + 0.5) / scale - 0.5
    row, column = int(np.floor(fy)), int(np.floor(fx))
    fy, fx = fy - row, fx - column
    direction, amount = np.zeros(2), 0.0
    for dy, dx, part in [
        (0, 0, (1 - fx) * (1 - fy)), (0, 1, fx * (1 - fy)), (1, 0, (1 - fx) * fy), (1, 1, fx * fy),
    ]:  # fmt: skip
        for axis, (up, left) in enumerate([(0, 1), (1, 0)]):
            here = bright(row + dy, column + dx)
            before, after = (bright(row + dy + s * up, column + dx + s * left) for s in (-1, 1))
            direction[axis] += (after - before) * part
            amount += part * min(abs(after - before) / max(abs(after - here), abs(here - before), 1e-9), 1) ** 2
    direction = np.array([1.0, 0.0]) if direction @ direction < 1 / 32768 else direction / np.linalg.norm(direction)
    amount = (amount / 2) ** 2
    stretch = np.array([1 + (1 / abs(direction).max() - 1) * amount, 1 - 0.5 * amount])
    lobe = 0.5 + (0.25 - 0.04 - 0.5) * amount
    colour, total = np.zeros(3), 0.0
    for dy in range(-1, 3):
        for dx in range(-1, 3):
            if dy in (-1, 2) and dx in (-1, 2):
                continue
            away = np.array([dx - fx, dy - fy])
            turned = np.array([away @ direction, away[1] * direction[0] - away[0] * direction[1]]) * stretch
            d = min(turned @ turned, 1 / lobe)
            weight = (25 / 16 * (0.4 * d - 1) ** 2 - 9 / 16) * (lobe * d - 1) ** 2
            colour += weight * at(row + dy, column + dx)
            total += weight
    four = [at(row + dy, column + dx) for dy in (0, 1) for dx in (0, 1)]
    return np.clip(colour / total, np.min(four, axis=0), np.max(four, axis=0))
