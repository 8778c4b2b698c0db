"""Icons that stand elsewhere are found, scenes that fit are left alone."""

import cv2
import numpy as np

from rtsr.quality.imresize import imresize
from rtsr.train.registration import misplaced


def scene() -> np.ndarray:
    return imresize(np.random.default_rng(8).integers(60, 160, (18, 24, 3), np.uint8), 288, 384)


def icon(image: np.ndarray, x: int, y: int, size: int) -> None:
    cv2.rectangle(image, (x, y), (x + size, y + size), (250, 240, 230), -1)
    cv2.circle(image, (x + size // 2, y + size // 2), size // 4, (10, 20, 30), -1)


def test_a_moved_icon_is_found_and_only_that() -> None:
    high, low = scene(), imresize(scene(), 144, 192)
    icon(high, 200, 120, 32)
    icon(low, 96, 60, 16)  # at half of 192, not of 200
    found = misplaced(low, high)
    assert found.shape == (288, 384)
    assert found[124:148, 196:220].any()
    far = np.ones_like(found)
    far[80:192, 152:280] = False
    assert not found[far].any()


def test_a_scene_that_fits_is_left_alone() -> None:
    high = scene()
    icon(high, 200, 120, 32)
    low = imresize(high, 144, 192)
    assert not misplaced(low, high).any()
