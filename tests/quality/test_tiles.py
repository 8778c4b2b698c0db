"""Patches cover a picture, and together are the picture again."""

from fractions import Fraction

import numpy as np
import pytest

from rtsr.engine.fake import FakeEngine
from rtsr.quality.tiles import Tile, grid, merge, pad, split

SIZES = [(32, 32), (33, 60), (60, 61), (88, 144), (59, 116), (117, 34)]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_every_pixel_is_covered_and_every_tile_inside(height, width):
    tiles = grid(height, width)
    covered = np.zeros((height, width), int)
    for tile in tiles:
        inside = tile.of(covered)
        assert inside.shape == (32, 32)
        inside += 1
    assert covered.min() >= 1
    assert len(set(tiles)) == len(tiles)


def test_one_every_28_pixels_and_the_last_at_the_border():
    assert [tile.x for tile in grid(32, 100)] == [0, 28, 56, 68]
    assert [tile.y for tile in grid(88, 32)] == [0, 28, 56]
    assert [(tile.x, tile.y) for tile in grid(60, 60)] == [(0, 0), (28, 0), (0, 28), (28, 28)]


@pytest.mark.parametrize("scale", ["2", "3", "4", "3/2", "4/3"])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_what_was_split_and_upscaled_by_repeating_pixels_merges_to_the_whole(scale, height, width):
    engine = FakeEngine(Fraction(scale))
    side = 30 if scale == "4/3" else 32
    step = side - side % engine.card.size_multiple - engine.card.size_multiple
    image = np.random.default_rng(height).integers(0, 256, (3, height, width)).astype(np.float32)
    padded = pad(image, side, engine.card.size_multiple)
    tiles = grid(*padded.shape[1:], side, step)
    merged = merge(engine.infer(split(padded, tiles)), tiles, engine.card.scale)
    np.testing.assert_array_equal(merged, engine.infer(padded[None])[0])


def test_overlaps_are_averaged():
    tiles = grid(4, 6, side=4, step=2)
    patches = np.stack([np.zeros((1, 8, 8)), np.ones((1, 8, 8))])
    merged = merge(patches, tiles, Fraction(2))
    np.testing.assert_array_equal(merged[0], np.repeat([[0, 0, 0.5, 0.5, 1, 1]], 8, 0).repeat(2, 1))


def test_leading_axes_are_kept():
    images = np.random.default_rng(0).random((2, 3, 40, 50), np.float32)
    tiles = grid(40, 50)
    patches = split(images, tiles)
    assert patches.shape == (len(tiles), 2, 3, 32, 32)
    np.testing.assert_allclose(merge(patches, tiles, Fraction(1)), images, rtol=1e-6)


@pytest.mark.parametrize(("height", "width", "padded"), [(5, 9, (32, 32)), (33, 40, (34, 40)), (32, 34, (32, 34))])
def test_padding_repeats_the_last_pixels(height, width, padded):
    image = np.random.default_rng(0).random((3, height, width))
    larger = pad(image, multiple=2)
    assert larger.shape == (3, *padded)
    np.testing.assert_array_equal(larger[:, :height, :width], image)
    np.testing.assert_array_equal(larger[:, height:, :width], np.repeat(image[:, -1:], padded[0] - height, 1))
    np.testing.assert_array_equal(larger[:, :height, width:], np.repeat(image[:, :, -1:], padded[1] - width, 2))


def test_what_cannot_be():
    with pytest.raises(ValueError, match="has area"):
        Tile(0, 0, 0, 1)
    with pytest.raises(ValueError, match="cannot cover 40x31"):
        grid(31, 40)
    with pytest.raises(ValueError, match="every 33 pixels"):
        grid(64, 64, 32, 33)
    with pytest.raises(ValueError, match="whole pixels"):
        Tile(1, 0, 32, 32).scaled(Fraction(3, 2))
    with pytest.raises(ValueError, match="do not fit 1 tiles"):
        merge(np.zeros((2, 3, 64, 64)), grid(32, 32), Fraction(2))
    with pytest.raises(ValueError, match="uncovered"):
        merge(np.zeros((1, 3, 32, 32)), [Tile(4, 0, 32, 32)], Fraction(1))
