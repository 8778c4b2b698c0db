"""The published low-resolution images, bit for bit."""

import cv2
import numpy as np
import pytest

from rtsr.quality.imresize import imresize


@pytest.mark.parametrize(("dataset", "scale", "count"), [("Set5", 2, 5), ("Set14", 3, 14), ("BSD100", 4, 5)])
def test_makes_the_published_images(shared, dataset, scale, count):
    folder = shared / "data" / "benchmarks" / dataset
    files = sorted((folder / "HR").glob("*.png"))[:count]
    assert len(files) == count
    for file in files:
        high = cv2.imread(str(file))
        low = cv2.imread(str(folder / "LR_bicubic" / f"X{scale}" / f"{file.stem}x{scale}.png"))
        assert high is not None and low is not None
        height, width = low.shape[:2]
        np.testing.assert_array_equal(imresize(high[: height * scale, : width * scale], height, width), low, file.stem)


def test_keeps_type_and_axes():
    image = np.random.default_rng(0).random((12, 18)).astype(np.float32)
    assert imresize(image, 8, 12).dtype == np.float32
    assert imresize(image, 8, 12).shape == (8, 12)
    assert imresize(image, 12, 18) is image
    assert imresize((image * 255).astype(np.uint8), 24, 36).dtype == np.uint8


def test_shrinking_keeps_the_mean_and_growing_keeps_a_slope():
    image = np.random.default_rng(0).random((64, 64))
    assert imresize(image, 32, 32).mean() == pytest.approx(image.mean(), abs=0.002)
    slope = np.broadcast_to(np.arange(20.0), (20, 20))
    inner = imresize(slope, 20, 40)[10, 6:-6]
    np.testing.assert_allclose(np.diff(inner), 0.5, atol=1e-9)


def test_refuses_to_make_nothing():
    with pytest.raises(ValueError, match="0x5"):
        imresize(np.zeros((4, 4)), 5, 0)
