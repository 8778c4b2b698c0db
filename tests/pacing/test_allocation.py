"""A frame's budget buys as much as it can."""

from itertools import pairwise, product

import numpy as np
import pytest

from rtsr.pacing.allocation import allocate, bisect, choose

COSTS = np.array([0.0, 1.0, 2.5, 5.0])


def situation(tiles: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Gains that mostly grow with the exit, some falling, some negative; costs that differ a little by tile."""
    random = np.random.default_rng(seed)
    steps = random.gamma(0.7, 1.0, (tiles, 4)) * random.choice([1, 1, 1, -0.5], (tiles, 4))
    steps[:, 0] = 0
    return steps.cumsum(axis=1), COSTS * random.uniform(0.8, 1.2, (tiles, 1))


def total(table: np.ndarray, exits: np.ndarray) -> float:
    return float(table[np.arange(len(exits)), exits].sum())


@pytest.mark.parametrize("seed", range(40))
def test_never_over_the_budget_and_never_far_from_the_best(seed: int) -> None:
    gains, costs = situation(5, seed)
    budget = float(np.random.default_rng(seed).uniform(0, 20))
    found = allocate(gains, costs, budget)
    assert total(costs, found.exits) <= budget + 1e-9
    assert found.gain == pytest.approx(total(gains, found.exits)) and found.cost == pytest.approx(
        total(costs, found.exits)
    )
    affordable = (np.array(exits) for exits in product(range(4), repeat=5))
    best = max(total(gains, exits) for exits in affordable if total(costs, exits) <= budget)
    # A relaxation's gap is at most one edge of one tile.
    assert found.gain >= best - gains.max() - 1e-9


@pytest.mark.parametrize("seed", range(40))
def test_the_walk_is_as_good_as_the_search(seed: int) -> None:
    gains, costs = situation(300, seed)
    budget = float(costs.max(axis=1).sum() * np.random.default_rng(seed).uniform(0.05, 0.95))
    walked, searched = allocate(gains, costs, budget), bisect(gains, costs, budget)
    assert walked.gain >= searched.gain - 1e-6 and searched.cost <= budget
    # At the slope where the walk ended, equation 9 chooses the same.
    agreeing = choose(gains, costs, walked.eta * (1 - 1e-9)) == walked.exits
    assert agreeing.mean() > 0.99


def test_more_budget_never_gains_less() -> None:
    gains, costs = situation(60, 7)
    reached = [allocate(gains, costs, budget).gain for budget in np.linspace(0, 400, 60)]
    assert all(a <= b + 1e-9 for a, b in pairwise(reached)) and reached[-1] > reached[0]


def test_what_gains_nothing_is_left_alone_however_much_there_is_to_spend() -> None:
    gains = np.array([[0, -1.0, -2.0, -3.0], [0, 1.0, 3.0, 2.0], [0, 0, 0, 0]])
    assert allocate(gains, np.tile(COSTS, (3, 1)), 1e9).exits.tolist() == [0, 2, 0]


def test_without_a_budget_or_without_tiles_nothing_is_bought() -> None:
    gains, costs = situation(4, 1)
    nothing = allocate(gains, costs, 0)
    assert not nothing.exits.any() and nothing.cost == 0 and nothing.eta == float("inf")
    assert len(allocate(gains[:0], costs[:0], 5).exits) == 0


def test_what_was_reached_is_kept_and_paid_for_once() -> None:
    gains, costs = situation(50, 3)
    reached = np.random.default_rng(3).integers(0, 4, 50)
    nothing = allocate(gains, costs, 0, reached)
    assert (nothing.exits == reached).all() and nothing.cost == 0
    some = allocate(gains, costs, 40, reached)
    on = some.exits != reached
    assert on.any()
    assert costs[on, some.exits[on]].sum() == pytest.approx(some.cost) and some.cost <= 40
    assert (gains[on, some.exits[on]] > gains[on, reached[on]]).all()


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("begun", [False, True])
def test_exits_may_be_in_any_order(seed: int, begun: bool) -> None:
    gains, costs = situation(50, seed)
    reached = np.random.default_rng(seed).integers(0, 4, 50) if begun else None
    order = np.array([0, 3, 1, 2])
    places = np.argsort(order)
    usual = allocate(gains, costs, 40, reached)
    other = allocate(gains[:, order], costs[:, order], 40, None if reached is None else places[reached])
    assert order[other.exits].tolist() == usual.exits.tolist() and other.gain == pytest.approx(usual.gain)


def test_what_is_too_dear_by_itself_keeps_nothing_else() -> None:
    gains, costs = np.array([[0, 1, 90.0], [0, 1, 2]]), np.array([[0, 1, 30.0], [0, 1, 2]])
    assert allocate(gains, costs, 10).exits.tolist() == [1, 2]
    reached = np.array([1, 1])
    assert allocate(gains, costs, 10, reached).exits.tolist() == [1, 2]


@pytest.mark.parametrize("seed", range(200))
def test_edges_in_one_line_are_walked_to_their_end(seed: int) -> None:
    times = np.random.default_rng(seed).uniform(0.1, 3)
    gains, costs = np.array([[0, 0.1, 0.2, 0.3]]) * times, np.array([[0, 0.7, 1.4, 2.1]]) / times
    found = allocate(gains, costs, 1e9)
    assert found.exits.tolist() == [3] and found.gain == pytest.approx(gains[0, 3])
