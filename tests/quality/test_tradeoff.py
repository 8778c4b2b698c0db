"""Quality against cost, on the engine whose results are easily foretold."""

from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest

from rtsr.engine.exits import OneExit
from rtsr.engine.fake import FakeEngine, FakeStagedEngine
from rtsr.errors import SourceError, UsageError
from rtsr.quality import metrics
from rtsr.quality.evaluate import upscale
from rtsr.quality.tradeoff import parse_etas, weigh

X2 = Fraction(2)
ETAS = (0, 0.5, 1, 2, 5, 10, 20, 50)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Two pictures that the last exit gets right: one patch flat, one with little noise, all others with much."""
    folder = tmp_path_factory.mktemp("Mine")
    (folder / "HR").mkdir()
    (folder / "LR_bicubic" / "X2").mkdir(parents=True)
    for seed, name in enumerate("ab"):
        low = np.random.default_rng(seed).integers(60, 200, (60, 116 + 28 * seed, 3), np.uint8)
        low[:32, :32] = 120
        low[32:, :32] = low[32:, :32] // 24 + 115
        cv2.imwrite(str(folder / "LR_bicubic" / "X2" / f"{name}x2.png"), low)
        cv2.imwrite(str(folder / "HR" / f"{name}.png"), low.repeat(2, 0).repeat(2, 1))
    return folder


@pytest.fixture(scope="module")
def sweep(dataset):
    return weigh(FakeStagedEngine(X2), dataset, X2, ETAS)


def test_costs_are_the_cards_a_patch(sweep):
    assert sweep.costs == tuple(1024 * cost for cost in (0, 120, 220, 320))
    assert sweep.estimator_macs == 10 * 1024
    assert sweep.patches == 2 * 4 + 2 * 5
    assert (sweep.model, sweep.dataset, sweep.scale, sweep.gamma) == ("fake-staged", "Mine0", X2, 1.0)


def test_cost_falls_as_eta_grows_until_all_is_bicubic(sweep):
    assert [point.eta for point in sweep.points] == list(ETAS)
    costs = [point.cost for point in sweep.points]
    assert costs == sorted(costs, reverse=True) and len(set(costs)) > 2
    assert sweep.points[-1].shares == (1, 0, 0, 0) and costs[-1] == 0
    assert sweep.points[-1].psnr == sweep.fixed[0]
    for point in sweep.points:
        assert sum(point.shares) == pytest.approx(1)
        assert point.cost == pytest.approx(np.dot(point.shares, sweep.costs))


def test_without_eta_and_blank_each_patch_has_the_exit_thought_best(dataset):
    (point,) = weigh(FakeStagedEngine(X2), dataset, X2, [0], gamma=0).points
    # the fake thinks the last exit best, and bicubic as good on the one flat patch of each picture
    assert [score.counts for score in point.scores] == [(1, 0, 0, 7), (1, 0, 0, 9)]


def test_blank_patches_go_to_bicubic_where_gamma_outweighs_what_is_thought(dataset):
    for gamma, counts in ((0.0, (1, 0, 0, 7)), (1.0, (2, 0, 0, 6))):
        (point,) = weigh(FakeStagedEngine(X2), dataset, X2, [0], gamma).points
        assert point.scores[0].counts == counts


def test_fixed_exits_score_as_the_whole_picture(dataset, sweep):
    engine = FakeStagedEngine(X2)
    for k in (1, 2):
        expected = []
        for name in "ab":
            low, high = (
                cv2.imread(str(dataset / part))[:, :, ::-1]
                for part in (f"LR_bicubic/X2/{name}x2.png", f"HR/{name}.png")
            )
            expected.append(metrics.compare(upscale(OneExit(engine, k), low), high, 2)[0])
        assert sweep.fixed[k] == pytest.approx(np.mean(expected), abs=0.05)
    assert sweep.fixed[3] > 60


def test_the_estimators_error_is_that_of_the_finite_ones(sweep):
    # On luma exit 1 reaches 31.39 dB and is thought to reach 36, exit 2 reaches 37.41 and is thought to reach 38.
    assert sweep.estimator_errors[1] == pytest.approx(36 - 20 * np.log10(255 / 8 * 255 / 219), abs=0.01)
    assert sweep.estimator_errors[2] == pytest.approx(38 - 20 * np.log10(255 / 4 * 255 / 219), abs=0.01)


def test_the_cheapest_point_at_a_quality(dataset, sweep):
    result = weigh(FakeStagedEngine(X2), dataset, X2, [0, 0.3, 50], gamma=0)
    first, second, last = result.points
    assert first.psnr == second.psnr == result.fixed[-1] == np.inf  # bicubic errs on no flat patch
    assert result.cheapest() is first and first.cost < result.costs[-1]
    assert result.cheapest(np.inf) is last
    assert weigh(FakeStagedEngine(X2), dataset, X2, [50]).cheapest() is None
    finite = replace(sweep, fixed=(20, 25, 30, 35), points=tuple(p for p in sweep.points if np.isfinite(p.psnr)))
    for loss in (0.1, 3, 5):
        good = [point for point in finite.points if point.psnr > 35 - loss]
        assert finite.cheapest(loss) == min(good, key=lambda point: point.cost, default=None)


def test_costs_can_be_given(dataset, sweep):
    other = weigh(FakeStagedEngine(X2), dataset, X2, ETAS, costs=[0, 12, 22, 32])
    assert [point.shares for point in other.points] == [point.shares for point in sweep.points]
    assert [point.cost for point in other.points] == pytest.approx([point.cost / 10240 for point in sweep.points])


def test_only_some_pictures_and_how_far_it_is(dataset):
    told = []
    result = weigh(FakeStagedEngine(X2), dataset, X2, [0.5, 0.5], only=("b",), watch=told.append)
    assert [score.name for score in result.points[0].scores] == ["b"] and len(result.points) == 1
    assert told == [1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"etas": []}, "not negative"),
        ({"etas": [-1]}, "not negative"),
        ({"etas": [float("nan")]}, "not negative"),
        ({"etas": [0], "gamma": -1}, "not negative"),
        ({"etas": range(1001)}, "at most 1000 etas at once, not 1001"),
        ({"etas": [0], "costs": [0, 1]}, "fake-staged takes 4 costs"),
        ({"etas": [0], "costs": [0, 1, 2, 0]}, "the last above 0"),
        ({"etas": [0], "scale": Fraction(3)}, "upscales by 2, not by 3"),
    ],
)
def test_what_cannot_be_asked(dataset, options, message):
    with pytest.raises(UsageError, match=message):
        weigh(FakeStagedEngine(X2), dataset, **{"scale": X2, **options})


def test_networks_without_exits_and_folders_without_pictures(dataset, tmp_path):
    with pytest.raises(UsageError, match="fake has no exits to choose between"):
        weigh(FakeEngine(X2), dataset, X2, [0])
    with pytest.raises(SourceError, match="is not a data set"):
        weigh(FakeStagedEngine(X2), tmp_path, X2, [0])


@pytest.mark.parametrize(
    ("text", "etas"),
    [
        ("0.5", (0.5,)),
        ("0,0.1, 2", (0, 0.1, 2)),
        ("0:1:0.25", (0, 0.25, 0.5, 0.75, 1)),
        ("0:0.3:0.1", (0, 0.1, 0.2, 0.3)),
    ],
)
def test_lists_of_etas(text, etas):
    assert parse_etas(text) == etas


@pytest.mark.parametrize("text", ["", "a", "0,,1", "0:1", "0:1:0", "1:0:0.1", "0:1:0.0001", "0:inf:1", "0:1:nan"])
def test_what_is_no_list_of_etas(text):
    with pytest.raises(UsageError, match="eta"):
        parse_etas(text)
