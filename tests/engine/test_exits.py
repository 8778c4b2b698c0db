"""Exits one by one, on the engine whose results are easily foretold."""

from fractions import Fraction

import numpy as np
import pytest

from rtsr.engine.exits import OneExit, every_exit
from rtsr.engine.fake import FakeStagedEngine
from rtsr.engine.resample import steep_bicubic
from rtsr.errors import UsageError

X2 = Fraction(2)


@pytest.fixture
def tiles():
    return np.random.default_rng(7).random((2, 3, 8, 12), np.float32)


def test_every_exit_equals_each_alone_and_bicubic_comes_first(tiles):
    engine = FakeStagedEngine(X2)
    every = list(every_exit(engine, tiles))
    assert len(every) == 4
    np.testing.assert_array_equal(every[0], steep_bicubic(X2).infer(tiles))
    for k, upscaled in enumerate(every):
        np.testing.assert_array_equal(OneExit(engine, k).infer(tiles), upscaled)
    np.testing.assert_array_equal(every[3], engine.infer(tiles))
    np.testing.assert_allclose(every[1], np.clip(every[3] - 8 / 255, 0, 1), atol=1e-6)


def test_no_stage_runs_twice(tiles):
    engine = FakeStagedEngine(X2)
    ran, stage = [], engine.stage
    engine.stage = lambda k, features: ran.append(k) or stage(k, features)
    list(every_exit(engine, tiles))
    assert ran == [1, 2, 3]


@pytest.mark.parametrize("k", [-1, 4])
def test_there_are_no_other_exits(k):
    with pytest.raises(UsageError, match=rf"fake-staged has exits 0 \(bicubic\) to 3, not {k}"):
        OneExit(FakeStagedEngine(X2), k)


def test_estimates_follow_the_sign_and_the_patch():
    patches = np.stack([np.full((3, 32, 32), 0.5, np.float32), np.indices((3, 32, 32))[0].astype(np.float32) % 2])
    thought = FakeStagedEngine(X2).estimate(patches)
    np.testing.assert_allclose(thought[0], [40.25, 36, 38, 40])
    assert thought[1, 0] < 0 and np.array_equal(thought[1, 1:], [36, 38, 40])
    np.testing.assert_array_equal(FakeStagedEngine(X2, sign=-1).estimate(patches), -thought)
