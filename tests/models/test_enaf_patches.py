"""ENAF's released FSRCNN as it is used: exported, each exit measured, exits chosen patch by patch."""

from fractions import Fraction

import pytest

from rtsr.engine import open_engine
from rtsr.export import export
from rtsr.models.multi_exit import RELEASED_SIGN, MultiExit
from rtsr.quality.evaluate import evaluate_exits
from rtsr.quality.tradeoff import weigh
from tests.models.released import released

X4 = Fraction(4)
PAPER_COSTS = (0, 146.42, 315.45, 468.2)
"""MFLOPs a patch as the authors count them."""


@pytest.fixture(scope="module")
def engine(shared, tmp_path_factory):
    model = released(shared, "enaf-fsrcnn", 4, "enaf_fsrcnn_x4.t7")
    assert isinstance(model, MultiExit)
    model.estimator_sign = RELEASED_SIGN
    folder = tmp_path_factory.mktemp("released")
    card = export(model, "fsrcnn", "enaf-fsrcnn", "photo", folder)
    return open_engine(card, folder / "fsrcnn", threads=1)


def test_each_exit_on_set5(shared, engine):
    results = evaluate_exits(engine, shared / "data" / "benchmarks" / "Set5", X4)
    assert [result.psnr for result in results] == pytest.approx([28.63, 30.20, 30.52, 30.62], abs=0.01)


@pytest.fixture(scope="module")
def curves(shared, engine):
    """On the large photograph, by gamma."""
    etas = [0.1 * step for step in range(11)]
    return {gamma: weigh(engine, shared / "data" / "large", X4, etas, gamma, PAPER_COSTS) for gamma in (0.0, 1.0)}


def test_large_pictures_cost_half_at_full_quality_and_more_without_the_blank_vector(curves):
    """Tables 1 and 2: 31 to 49 % on the paper's large pictures, and up to 15 % more without the blank vector."""
    cheapest = {gamma: curve.cheapest() for gamma, curve in curves.items()}
    assert cheapest[1.0].cost < 0.4 * 468.2
    assert cheapest[1.0].cost + 0.15 * 468.2 < cheapest[0.0].cost < 0.7 * 468.2


def test_cost_falls_as_eta_grows(curves):
    for curve in curves.values():
        costs = [point.cost for point in curve.points]
        assert costs == sorted(costs, reverse=True) and costs[-1] < 0.7 * costs[0]


def test_the_estimator_foretells_psnr_in_decibels(shared, engine):
    """Table 3 has 2.9 dB at every exit, of SRResNet's estimator on other pictures."""
    result = weigh(engine, shared / "data" / "benchmarks" / "Set14", X4, [0.5])
    assert all(2.6 < error < 2.8 for error in result.estimator_errors)
