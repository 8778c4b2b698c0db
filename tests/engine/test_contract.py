"""What holds for every engine: those that need no file, and networks in ONNX Runtime, whole and in stages."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from rtsr.engine import RESAMPLERS, open_engine
from rtsr.engine.base import Engine
from rtsr.engine.exits import OneExit
from rtsr.engine.fake import FakeEngine, FakeStagedEngine
from rtsr.engine.resample import steep_bicubic
from rtsr.errors import EngineError
from tests.networks import exported

FREE = {
    "fake": FakeEngine,
    "fake-staged": FakeStagedEngine,
    "fake-one-exit": lambda scale: OneExit(FakeStagedEngine(scale), 3),
    "steep-bicubic": steep_bicubic,
    **RESAMPLERS,
}
NETWORKS = {"onnx": "quicksrnet-small", "stages": "enaf-quicksrnet-medium"}
SCALES = [Fraction(2), Fraction(3, 2), Fraction(3), Fraction(4, 3)]
CASES = [(kind, scale) for kind in (*FREE, *NETWORKS) for scale in (SCALES if kind in FREE else SCALES[:2])]


@dataclass(frozen=True)
class Maker:
    """Makes an engine of one kind and scale."""

    kind: str
    scale: Fraction
    folder: Path
    """Where exported networks are kept for other tests."""

    def __call__(self) -> Engine:
        if self.kind in FREE:
            return FREE[self.kind](self.scale)
        network = exported(NETWORKS[self.kind], self.scale, self.folder)
        return open_engine(network.card, network.path)


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-x{case[1]}")
def make(request, networks):
    return Maker(*request.param, networks)


@pytest.fixture
def tiles():
    return np.random.default_rng(7).random((3, 3, 24, 36), np.float32)


def test_gives_the_scaled_size_in_float32_within_0_and_1(make, tiles):
    with make() as engine:
        out = engine.infer(tiles)
    assert out.shape == (3, 3, 24 * make.scale, 36 * make.scale)
    assert out.dtype == np.float32
    assert out.flags.c_contiguous
    assert out.min() >= 0 and out.max() <= 1


def test_a_batch_equals_its_images_one_by_one(make, tiles):
    with make() as engine:
        together = engine.infer(tiles)
        for tile, expected in zip(tiles, together, strict=True):
            np.testing.assert_array_equal(engine.infer(tile[None])[0], expected)


def test_a_tile_with_a_halo_of_the_radius_equals_the_whole(make):
    image = np.random.default_rng(8).random((1, 3, 48, 60), np.float32)
    with make() as engine:
        whole = engine.infer(image)
        multiple = engine.card.size_multiple
        halo = -(-engine.card.radius // multiple) * multiple
        tile = engine.infer(image[:, :, 12 - halo : 24 + halo, 24 - halo : 36 + halo])
    edge, side, top, left = (int(length * make.scale) for length in (halo, 12, 12, 24))
    np.testing.assert_allclose(
        tile[:, :, edge : edge + side, edge : edge + side],
        whole[:, :, top : top + side, left : left + side],
        atol=1e-5,
    )


def test_leaves_its_input_alone(make, tiles):
    before = tiles.copy()
    make().infer(tiles)
    np.testing.assert_array_equal(tiles, before)


def test_takes_the_smallest_input(make):
    engine = make()
    side = engine.card.size_multiple
    out = engine.infer(np.full((1, 3, side, side), 0.25, np.float32))
    assert out.shape == (1, 3, side * make.scale, side * make.scale)
    if make.kind in FREE:
        np.testing.assert_allclose(out, 0.25, atol=1e-6)


def test_its_card_says_what_it_is(make):
    card = make().card
    assert card.scale == make.scale
    assert card.size_multiple == make.scale.denominator
    assert (card.flavour == "none") == (make.kind in FREE)
    assert card.summary or make.kind in NETWORKS


def test_refuses_sides_that_have_no_whole_result(make):
    if make.scale.denominator == 1:
        make().infer(np.zeros((1, 3, 4, 5), np.float32))
        return
    with pytest.raises(EngineError, match="pad"):
        make().infer(np.zeros((1, 3, 4, 5), np.float32))


def test_the_fake_repeats_pixels():
    tile = np.arange(4, dtype=np.float32).reshape(1, 1, 2, 2).repeat(3, 1)
    twice = FakeEngine(Fraction(2)).infer(tile)
    np.testing.assert_array_equal(twice[0, 0], [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]])
    half_more = FakeEngine(Fraction(3, 2)).infer(tile)
    np.testing.assert_array_equal(half_more[0, 0], [[0, 1, 1], [2, 3, 3], [2, 3, 3]])
