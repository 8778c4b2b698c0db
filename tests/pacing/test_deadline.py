"""What happens to late frames, on a clock that is only an argument."""

import random
from itertools import pairwise

import pytest

from rtsr.pacing.deadline import CostModel, Ladder, Late, Least, Rate, Treatment, treat

MS = 1e6


@pytest.mark.parametrize(
    ("late", "left_ms", "how"),
    [
        (Late.DEGRADE, 12, Treatment.REFINE),
        (Late.DEGRADE, 10, Treatment.REFINE),
        (Late.DEGRADE, 9, Treatment.INTERPOLATE),
        (Late.DEGRADE, 0, Treatment.REPEAT),
        (Late.DEGRADE, -100, Treatment.REPEAT),
        (Late.DEGRADE, -101, Treatment.DROP),
        (Late.REPEAT, 9, Treatment.REPEAT),
        (Late.REPEAT, -101, Treatment.DROP),
        (Late.DROP, 10, Treatment.REFINE),
        (Late.DROP, 9, Treatment.DROP),
    ],
)
def test_treatment_of_what_is_left(late: Late, left_ms: float, how: Treatment) -> None:
    assert treat(late, 500 * MS, (500 + left_ms) * MS, 10 * MS, 100 * MS) is how


def test_one_stall_does_not_end_refining() -> None:
    least = Least(12 * MS)
    least.observe(1000 * MS)
    waited = 0
    while least.ns > 16 * MS:
        least.fade()
        waited += 1
    assert 0 < waited < 10
    for _ in range(100):
        least.observe(5 * MS)
    assert least.ns == pytest.approx(5 * MS, rel=0.01)
    for _ in range(8):
        least.observe(50 * MS)
    assert least.ns > 40 * MS  # What lasts is believed.


def test_a_ladder_starts_where_it_fits_with_something_to_spare() -> None:
    assert Ladder().next([0, 10, 84, 200], 100).rung == 2
    assert Ladder().next([0, 10, 86, 200], 100).rung == 1
    assert Ladder().next([0, 95, 200], 100).rung == 1  # A network that only just fits is better than none.
    assert Ladder().next([0, 110], 100).rung == 0


def test_a_network_that_only_just_fits_is_taken_again() -> None:
    ladder = Ladder(rung=0)
    for _ in range(ladder.patience):
        ladder = ladder.next([0, 95, 99], 100)
    assert ladder.rung == 1
    for _ in range(5 * ladder.patience):
        ladder = ladder.next([0, 95, 99], 100)
    assert ladder.rung == 1


def test_a_ladder_steps_down_at_once_and_climbs_slowly() -> None:
    costs = [0, 10, 40, 80]
    ladder = Ladder().next(costs, 100)
    ladder = ladder.next(costs, 30)
    assert ladder.rung == 1
    rungs = []
    for _ in range(2 * ladder.patience):
        ladder = ladder.next(costs, 100)
        rungs.append(ladder.rung)
    assert rungs == [1] * 7 + [2] * 8 + [3]


def test_a_first_measurement_that_was_a_stall_is_soon_forgotten() -> None:
    least, faded = Least(), 0
    least.observe(500 * MS)
    while least.ns > 10 * MS:
        least.fade()
        faded += 1
    assert faded < 8
    least.observe(5 * MS)
    assert least.ns == 5 * MS and least.sure


def test_a_ladder_does_not_swing_where_a_rung_only_just_fits() -> None:
    chance = random.Random(1)
    ladder, rungs = Ladder(), []
    for _ in range(1000):
        ladder = ladder.next([0, 10, chance.uniform(80, 110)], 100)
        rungs.append(ladder.rung)
    changes = sum(before != after for before, after in pairwise(rungs))
    assert changes < 10  # It would be hundreds if the next rung were taken whenever it fits.


def test_waits_are_left_time_for_however_short_the_stage() -> None:
    costs = CostModel({"stage 1": Rate(0.1 * MS, 0)})
    for _ in range(20):
        costs.observe("stage 1", 1, 0.3 * MS)
    assert costs.reserve_ns == 0, "the tolerance covers it"
    for _ in range(4):
        costs.observe("stage 1", 1, 3 * MS)
    assert 1.5 * MS < costs.reserve_ns < 2.5 * MS
    before = costs.reserve_ns
    costs.observe("stage 1", 1, 50 * MS)
    assert costs.reserve_ns < before, "a stall is no wait"
    for _ in range(500):
        costs.observe("stage 1", 1, 0.1 * MS)
    assert costs.reserve_ns == 0


def test_a_lost_core_is_learnt_at_once_and_a_stall_is_not() -> None:
    lost, stalled = (CostModel({"stage 1": Rate(5 * MS, 0)}) for _ in range(2))
    for _ in range(3):
        lost.observe("stage 1", 1, 10 * MS)
    stalled.observe("stage 1", 1, 500 * MS)
    assert lost.cautious_ns("stage 1", 1) > 10 * MS > lost.expected_ns("stage 1", 1) > 7 * MS
    assert stalled.expected_ns("stage 1", 1) < 7 * MS
