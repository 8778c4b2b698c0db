"""Crops line up with their truth, and depend on seed and step alone."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rtsr.errors import TrainError
from rtsr.quality.imresize import imresize
from rtsr.train.crops import Crops, Example, load_examples
from rtsr.train.recipe import Recipe


def smooth(random: np.random.Generator, height: int, width: int) -> np.ndarray:
    return imresize(random.integers(40, 216, (height // 12, width // 12, 3), np.uint8), height, width)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    random = np.random.default_rng(1)
    for folder in ("photos", "games"):
        (tmp_path / folder).mkdir()
        for i in range(3):
            Image.fromarray(smooth(random, 144, 180)).save(tmp_path / folder / f"{i}.png")
    return tmp_path


def recipe(scale: Fraction, flavour: str = "photo") -> Recipe:
    games = ("games",) if flavour == "capture" else ()
    return Recipe("r", "quicksrnet-small", scale, flavour, ("photos",), games, batch=6, patch=24)


@pytest.mark.parametrize("scale", [Fraction(2), Fraction(3, 2)])
@pytest.mark.parametrize("flavour", ["photo", "capture"])
def test_low_and_high_show_the_same_place(data: Path, scale: Fraction, flavour: str) -> None:
    crops = Crops(load_examples(recipe(scale, flavour), data), recipe(scale, flavour))
    low, high, errors = crops.batch(0)
    pictures = 6 if flavour == "photo" else 5
    assert errors.shape == (6,) and (errors[:pictures] > 0).all() and (errors[pictures:] == 0).all()
    assert low.shape == (6, 3, 24, 24) and high.shape == (6, 3, int(24 * scale), int(24 * scale))
    assert low.dtype == high.dtype == np.float32 and low.min() >= 0 and high.max() <= 1
    for a, b in zip(low, high, strict=True):
        grey, shrunk = a.mean(0), imresize(b.mean(0, dtype=np.float64), 24, 24)
        inner = (slice(3, -3), slice(3, -3))
        for axis in (0, 1):
            shifted = np.roll(shrunk, 2, axis)
            assert np.abs(grey - shrunk)[inner].mean() < 0.6 * np.abs(grey - shifted)[inner].mean()


def test_a_batch_depends_on_seed_and_step_alone(data: Path) -> None:
    examples = load_examples(recipe(Fraction(2)), data)
    first, again = Crops(examples, recipe(Fraction(2))), Crops(examples, recipe(Fraction(2)))
    first.batch(1)
    assert np.array_equal(first.batch(7)[0], again.batch(7)[0])
    assert not np.array_equal(first.batch(7)[0], first.batch(8)[0])


def test_a_folder_without_pictures_is_named(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(TrainError, match="no pictures in"):
        load_examples(recipe(Fraction(2)), tmp_path)


def test_the_truth_has_the_mean_colour_of_what_a_codec_made_of_it() -> None:
    random = np.random.default_rng(2)
    high = smooth(random, 96, 96)
    low = imresize(high, 48, 48)
    brighter = low + np.array([3, 0, 5], np.uint8)
    whole = Recipe("r", "quicksrnet-small", Fraction(2), "capture", ("photos",), batch=20, patch=48)
    given, truth, errors = Crops([Example(high, (low, brighter), 1.0)], whole).batch(0)
    pictures = errors > 0
    assert pictures.sum() == 17
    seen = 255 * given[pictures].mean((2, 3))
    assert np.ptp(seen.sum(1)) > 7  # Both versions are among them, and some have their channels in another order.
    np.testing.assert_allclose(255 * truth[pictures].mean((2, 3)), seen, atol=0.05)
