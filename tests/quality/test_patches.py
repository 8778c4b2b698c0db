"""Patches of a picture at every exit, on the engine whose results are easily foretold."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from rtsr.engine import open_engine
from rtsr.engine.exits import OneExit, every_exit
from rtsr.engine.fake import FakeStagedEngine
from rtsr.engine.resample import steep_bicubic
from rtsr.errors import UsageError
from rtsr.quality.evaluate import upscale
from rtsr.quality.metrics import LUMA
from rtsr.quality.patches import BATCH, examine
from rtsr.quality.tiles import merge, split
from tests.networks import exported

X2, X15 = Fraction(2), Fraction(3, 2)


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(40, 256, (height, width, 3), np.uint8)


@pytest.fixture
def low():
    """Four times five patches; the upper left is flat, all else noise."""
    picture = noise(100, 140)
    picture[:32, :32] = 90
    return picture


@pytest.mark.parametrize("scale", [X2, X15])
@pytest.mark.parametrize("size", [(100, 140), (32, 34), (10, 40), (8, 12)])
def test_all_patches_at_one_exit_are_the_picture_at_that_exit(scale, size):
    engine, low = FakeStagedEngine(scale), noise(*size)
    high = upscale(engine, low)
    patches = examine(engine, low, high)
    for k in (1, 2, 3):
        whole = upscale(OneExit(engine, k), low).astype(int)
        got = patches.merged(np.full(len(patches.tiles), k)).astype(int)
        assert got.shape == high.shape
        assert np.abs(got - whole).max() <= 1  # half precision, rounded


def test_patches_at_different_exits(low):
    engine = FakeStagedEngine(X2)
    high = upscale(engine, low)
    patches = examine(engine, low, high)
    exits = np.full(len(patches.tiles), 3)
    exits[0] = 1
    got = patches.merged(exits).astype(int)
    assert np.abs(got[:56, :56] - (90 - 8)).max() <= 1  # exit 1 is 8 levels too dark
    assert np.abs(got[58:62, 8:50] - (90 - 4)).max() <= 1  # half of it, half of exit 3
    assert np.abs(got[64:, 64:] - high[64:, 64:]).max() <= 1


def test_blank_patches_and_estimates(low):
    engine = FakeStagedEngine(X2)
    patches = examine(engine, low, upscale(engine, low))
    assert np.flatnonzero(patches.blank).tolist() == [0]
    assert patches.estimates.argmax(1).tolist() == [0] + 19 * [3]
    backwards = examine(FakeStagedEngine(X2, sign=-1), low, upscale(engine, low))
    np.testing.assert_array_equal(backwards.estimates, patches.estimates)


def test_what_each_exit_reaches_on_each_patch(low):
    engine = FakeStagedEngine(X2)
    high = upscale(engine, low)
    patches = examine(engine, low, high)
    assert np.isinf(patches.reached[:, 3]).all()
    # Luma has 219 steps where RGB has 255.
    np.testing.assert_allclose(patches.reached[:, 1], 20 * np.log10(255 / 8 * 255 / 219), atol=1e-3)
    np.testing.assert_allclose(patches.reached[:, 2], 20 * np.log10(255 / 4 * 255 / 219), atol=1e-3)
    patch = low[:32, 56:88].transpose(2, 0, 1)[None] / np.float32(255)
    error = steep_bicubic(X2).infer(patch) - high[:64, 112:176].transpose(2, 0, 1) / np.float32(255)
    assert patches.reached[2, 0] == pytest.approx(-10 * np.log10(np.mean((error[0].transpose(1, 2, 0) @ LUMA) ** 2)))


def test_the_network_sees_few_patches_at_a_time_and_each_once(low):
    engine = FakeStagedEngine(X2)
    seen, stage = [], engine.stage
    engine.stage = lambda k, features: seen.append((k, len(features[0]))) or stage(k, features)
    told = []
    examine(engine, low, upscale(engine, low), told.append)
    assert seen == [(1, BATCH), (2, BATCH), (3, BATCH), (1, 4), (2, 4), (3, 4)]
    assert told == [0.8, 1]


def test_patches_are_of_the_side_that_the_estimator_wants(low):
    engine = FakeStagedEngine(X2)
    engine.card = replace(engine.card, estimator=replace(engine.card.estimator, patch=16))
    patches = examine(engine, low, upscale(engine, low))
    assert {(tile.w, tile.h) for tile in patches.tiles} == {(16, 16)}
    assert [tile.x for tile in patches.tiles[:3]] == [0, 14, 28]


@pytest.mark.parametrize("scale", [X2, X15])
def test_a_network_in_stages(networks, scale):
    network = exported("enaf-quicksrnet-medium", scale, networks)
    engine = open_engine(network.card, network.path, threads=1)
    low = noise(60, 88)
    patches = examine(engine, low, noise(int(60 * scale), int(88 * scale)))
    assert len(patches.tiles) == 6
    planes = split(low.transpose(2, 0, 1), patches.tiles).astype(np.float32) / 255
    np.testing.assert_allclose(patches.estimates, engine.estimate(planes), rtol=1e-4, atol=1e-4)
    for k in (1, 2, 3):
        whole = merge(engine.exit(k, planes), patches.tiles, scale).transpose(1, 2, 0) * 255
        assert np.abs(patches.merged(np.full(6, k)) - whole).max() < 0.6  # rounded, from half precision


def test_needs_an_estimator(low):
    engine = FakeStagedEngine(X2)
    assert len(list(every_exit(engine, np.zeros((1, 3, 4, 4), np.float32)))) == 4
    engine.card = replace(engine.card, estimator=None)
    with pytest.raises(UsageError, match="fake-staged has no exits to choose between"):
        examine(engine, low, upscale(engine, low))
