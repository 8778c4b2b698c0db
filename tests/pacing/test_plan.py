"""Plans keep to their budget, with the halos of all the pieces that they are carried out in."""

from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from rtsr.card import Card
from rtsr.pacing.plan import Planner
from rtsr.regions import Grid
from rtsr.resources import find_network

GRID = Grid(480, 270, 64)


@pytest.fixture(params=[Fraction(3, 2), Fraction(2)], ids=["x1.5", "x2"])
def card(request: pytest.FixtureRequest) -> Card:
    return find_network("enaf-quicksrnet-medium-photo", request.param).card


def errors_of(card: Card, seed: int) -> NDArray[np.float64]:
    """Tiles of very different detail, each exit as much better as on photographs."""
    detail = np.random.default_rng(seed).lognormal(-7, 1.5, (GRID.rows, GRID.columns, 1))
    return detail * 10 ** (-np.array([0.0, *(exit.gain for exit in card.exits)]) / 10)


def whole(planner: Planner) -> float:
    return planner.compute(len(planner.macs) - 1, GRID.width * GRID.height)


@pytest.mark.parametrize("part", [1, 3, 10])
@pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0, 1.3])
@pytest.mark.parametrize("already", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_all_pieces_fit_the_budget(card: Card, share: float, part: int, already: bool, seed: int) -> None:
    planner = Planner(card)
    budget = share * whole(planner) * (1 + 1e-9)
    reached = np.zeros((GRID.rows, GRID.columns), np.intp)
    if already:
        reached = np.random.default_rng(seed).integers(0, len(planner.macs), reached.shape)
    wanted = planner.plan(errors_of(card, seed), GRID, planner.compute, budget, reached, budget / part)
    todo = np.where(wanted > reached, wanted, 0)
    pieces = planner.pieces(GRID, todo, planner.compute, budget / part)
    costs = [planner.compute(k, planner.window(GRID, region, k).area) for region, k in pieces]
    assert sum(costs) <= budget
    small = [region.rows * region.columns == 1 for region, _ in pieces]
    assert all(cost <= budget / part or alone for cost, alone in zip(costs, small, strict=True))
    covered = np.zeros_like(wanted)
    for region, k in pieces:
        assert (covered[region.tiles] == 0).all()
        covered[region.tiles] = k
    assert (covered == todo).all() and (wanted >= reached).all()


def test_a_larger_budget_leaves_less_error(card: Card) -> None:
    planner, errors = Planner(card), errors_of(card, 1)
    left = []
    for share in (0.0, 0.1, 0.3, 0.5, 0.8, 1.0):
        wanted = planner.plan(errors, GRID, planner.compute, share * whole(planner) * (1 + 1e-9))
        left.append(float((np.take_along_axis(errors, wanted[..., None], 2)[..., 0] * GRID.areas()).sum()))
    assert left == sorted(left, reverse=True) and left[-1] < 0.7 * left[0]


def test_tiles_that_are_further_already_stay_and_cost_nothing(card: Card) -> None:
    planner = Planner(card)
    last = len(planner.macs) - 1
    reached = np.zeros((GRID.rows, GRID.columns), np.intp)
    reached[:4] = last
    budget = 0.4 * whole(planner)  # The fifth row has 14 lines of 270.
    wanted = planner.plan(errors_of(card, 2), GRID, planner.compute, budget, reached)
    assert (wanted == last).all()


def test_what_is_best_on_the_whole_does_not_hide_what_others_want() -> None:
    """On the left tiles have exit 3, best for them and on the whole; on the right others are, and there is time."""
    card = find_network("enaf-quicksrnet-medium-photo", Fraction(2)).card
    planner = Planner(card)
    reached, errors = np.zeros((GRID.rows, GRID.columns), np.intp), np.empty((GRID.rows, GRID.columns, 4))
    errors[:, :4], errors[:, 4:] = [4.0, 3.0, 2.0, 1.0], [0.4, 0.3, 0.2, 0.5]
    reached[:, :4] = 3
    budget = 0.1 * whole(planner)
    wanted = planner.plan(errors, GRID, planner.compute, budget, reached)
    assert (wanted[:, :4] == 3).all() and (wanted[:, 4:] > 0).any() and not (wanted[:, 4:] == 3).any()


def test_few_tiles_gain_though_most_would_lose() -> None:
    planner = Planner(find_network("enaf-quicksrnet-medium-photo", Fraction(2)).card)
    errors = np.tile([1.0, 2.0, 2.0, 2.0], (GRID.rows, GRID.columns, 1))
    errors[1, 1:5] = [9.0, 8.0, 7.0, 6.0]
    wanted = planner.plan(errors, GRID, planner.compute, 0.1 * whole(planner))
    assert (wanted[1, 1:5] > 0).any() and np.count_nonzero(wanted) == np.count_nonzero(wanted[1, 1:5])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("already", [False, True])
def test_plans_do_not_depend_on_the_order_of_exits(card: Card, seed: int, already: bool) -> None:
    planner, count = Planner(card), len(card.exits) + 1
    order = np.array([0, *np.random.default_rng(seed).permutation(np.arange(1, count))])
    places = np.argsort(order)
    other = Planner(card)
    other.macs, other.halos = planner.macs[order], [planner.halos[k] for k in order]
    errors, reached = errors_of(card, seed), np.zeros((GRID.rows, GRID.columns), np.intp)
    if already:
        reached = np.random.default_rng(seed).integers(0, count, reached.shape)
    for share in (0.05, 0.3, 0.8):
        budget = share * whole(planner)
        usual = planner.plan(errors, GRID, planner.compute, budget, reached, budget / 3)
        found = other.plan(errors[..., order], GRID, other.compute, budget, places[reached], budget / 3)
        np.testing.assert_array_equal(order[found], usual)
    assert order[other.least(other.compute)[0]] == planner.least(planner.compute)[0] == 1
