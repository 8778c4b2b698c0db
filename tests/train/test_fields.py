"""Fields of colour and enlarged pixels show the same thing at both resolutions."""

from fractions import Fraction

import numpy as np
import pytest

from rtsr.quality.imresize import imresize
from rtsr.train.fields import colour_field, enlarged_pixels

SCALES = [Fraction(2), Fraction(3, 2)]


@pytest.mark.parametrize("scale", SCALES)
def test_fields_are_smooth_reach_the_corners_and_line_up(scale: Fraction) -> None:
    random = np.random.default_rng(3)
    fields = [colour_field(random, 24, scale) for _ in range(60)]
    flat = 0
    for low, high in fields:
        assert low.shape == (3, 24, 24) and high.shape == (3, int(24 * scale), int(24 * scale))
        assert (
            low.dtype == high.dtype == np.float32
            and min(low.min(), high.min()) >= 0
            and max(low.max(), high.max()) <= 1
        )
        assert np.abs(low * 255 - (low * 255).round()).max() < 1e-3
        assert np.abs(np.diff(low, axis=1)).max() < 0.3
        for plane, large in zip(low, high, strict=True):
            assert np.abs(imresize(large.astype(np.float64), 24, 24) - plane)[3:-3, 3:-3].max() < 0.03
        flat += bool(np.ptp(high, axis=(1, 2)).max() < 1e-6)
    assert 10 <= flat <= 30
    values = np.concatenate([low.ravel() for low, _ in fields])
    assert (values == 0).mean() > 0.05 and (values == 1).mean() > 0.05


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("size", [2.5, 4.0, 5.3])
def test_enlarged_pixels_are_hard_edged_and_as_large_as_asked(scale: Fraction, size: float) -> None:
    image = np.random.default_rng(4).integers(0, 256, (120, 180, 3), np.uint8)
    low, high = enlarged_pixels(image, size, scale)
    assert high.shape == image.shape and low.shape == (int(120 / scale), int(180 / scale), 3)
    for picture, wide in ((high, size), (low, size / scale)):
        changes = (np.diff(picture.astype(int), axis=1) != 0).any(axis=(0, 2)).sum()
        assert changes == int(picture.shape[1] / float(wide) + 1e-9) - 1 or changes == int(180 / size) - 1
    assert set(map(tuple, low.reshape(-1, 3))) <= set(map(tuple, high.reshape(-1, 3)))
