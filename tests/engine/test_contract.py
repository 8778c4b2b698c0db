"""What holds for every engine that needs no file."""

from fractions import Fraction

import numpy as np
import pytest

from rtsr.engine import RESAMPLERS
from rtsr.engine.exits import OneExit
from rtsr.engine.fake import FakeEngine, FakeStagedEngine
from rtsr.engine.resample import steep_bicubic
from rtsr.errors import EngineError

ENGINES = {
    "fake": FakeEngine,
    "fake-staged": FakeStagedEngine,
    "fake-one-exit": lambda scale: OneExit(FakeStagedEngine(scale), 3),
    "steep-bicubic": steep_bicubic,
    **RESAMPLERS,
}
SCALES = [Fraction(2), Fraction(3, 2), Fraction(3), Fraction(4, 3)]


@pytest.fixture(params=ENGINES)
def make(request):
    return ENGINES[request.param]


@pytest.fixture
def tiles():
    return np.random.default_rng(7).random((3, 3, 24, 36), np.float32)


@pytest.mark.parametrize("scale", SCALES)
def test_gives_the_scaled_size_in_float32_within_0_and_1(make, scale, tiles):
    with make(scale) as engine:
        out = engine.infer(tiles)
    assert out.shape == (3, 3, 24 * scale, 36 * scale)
    assert out.dtype == np.float32
    assert out.flags.c_contiguous
    assert out.min() >= 0 and out.max() <= 1


@pytest.mark.parametrize("scale", SCALES)
def test_a_batch_equals_its_images_one_by_one(make, scale, tiles):
    with make(scale) as engine:
        together = engine.infer(tiles)
        for tile, expected in zip(tiles, together, strict=True):
            np.testing.assert_array_equal(engine.infer(tile[None])[0], expected)


@pytest.mark.parametrize("scale", SCALES)
def test_a_tile_with_a_halo_of_the_radius_equals_the_whole(make, scale):
    image = np.random.default_rng(8).random((1, 3, 48, 60), np.float32)
    with make(scale) as engine:
        whole = engine.infer(image)
        multiple = engine.card.size_multiple
        halo = -(-engine.card.radius // multiple) * multiple
        tile = engine.infer(image[:, :, 12 - halo : 24 + halo, 24 - halo : 36 + halo])
    edge, side = int(halo * scale), int(12 * scale)
    top, left = int(12 * scale), int(24 * scale)
    np.testing.assert_allclose(
        tile[:, :, edge : edge + side, edge : edge + side],
        whole[:, :, top : top + side, left : left + side],
        atol=1e-5,
    )


def test_leaves_its_input_alone(make, tiles):
    before = tiles.copy()
    make(Fraction(2)).infer(tiles)
    np.testing.assert_array_equal(tiles, before)


def test_takes_the_smallest_input(make):
    for scale in SCALES:
        side = scale.denominator
        tile = np.full((1, 3, side, side), 0.25, np.float32)
        np.testing.assert_allclose(make(scale).infer(tile), 0.25, atol=1e-6)


def test_its_card_says_what_it_is(make):
    card = make(Fraction(3, 2)).card
    assert card.scale == Fraction(3, 2)
    assert card.size_multiple == 2
    assert card.flavour == "none"
    assert card.summary


def test_refuses_sides_that_have_no_whole_result(make):
    with pytest.raises(EngineError, match="pad"):
        make(Fraction(3, 2)).infer(np.zeros((1, 3, 4, 5), np.float32))


def test_the_fake_repeats_pixels():
    tile = np.arange(4, dtype=np.float32).reshape(1, 1, 2, 2).repeat(3, 1)
    twice = FakeEngine(Fraction(2)).infer(tile)
    np.testing.assert_array_equal(twice[0, 0], [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]])
    half_more = FakeEngine(Fraction(3, 2)).infer(tile)
    np.testing.assert_array_equal(half_more[0, 0], [[0, 1, 1], [2, 3, 3], [2, 3, 3]])
