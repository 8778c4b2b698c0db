"""Which exit each tile gets, so that a frame's budget buys the most.

Source: ENAF, section 3.3.2, equation 9, with gain and cost in any unit. Choosing argmax(gain - eta * cost) tile by
tile is Lagrange's relaxation of "the largest sum of gains within a sum of costs"; its solutions are the corners of
each tile's upper convex hull of gain over cost, and eta is the slope at which the budget runs out. Walking all
hulls at once, steepest edge first, reaches that slope without a search (docs/decisions/0008-who-judges-tiles.md).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Allocation:
    """The exit of every tile, and what it is all thought to gain and to cost."""

    exits: NDArray[np.intp]
    """(N,); 0 is bicubic interpolation."""
    gain: float
    cost: float
    eta: float
    """Gain per cost of the last edge that the budget paid for; infinite where it paid for none."""


def allocate(
    gains: NDArray[np.floating],
    costs: NDArray[np.floating],
    budget: float,
    reached: NDArray[np.intp] | None = None,
) -> Allocation:
    """Exits that gain the most within `budget`: the greedy walk over the tiles' convex hulls.

    `gains` and `costs` are (N, K): of exit k over exit 0, so that column 0 is 0; exits are in any order. One that gains
    nothing is never chosen, however large the budget, and neither is one that costs more than all of it. Tiles that
    have `reached` an exit already (N,) start there: going on from it costs the full price of the new exit.
    """
    if reached is not None:
        gains = gains - gains[np.arange(len(gains)), reached][:, None]
        gains[:, 0] = 0.0  # Where they stand.
    tiles, ends, slopes, rise, run = _edges(np.where(costs > budget, 0.0, gains), costs)
    order = np.argsort(-slopes, kind="stable")
    within = np.cumsum(run[order]) <= budget
    # Edges behind the first that is too dear may still fit, but not one whose own predecessor was left out:
    # stopping there keeps every tile on its hull.
    paid = order[: len(within) if within.all() else int(np.argmin(within))]
    exits = np.zeros(len(gains), np.intp) if reached is None else reached.copy()
    exits[tiles[paid]] = ends[paid]  # A tile's own are in order: the last counts.
    eta = float(slopes[paid[-1]]) if len(paid) else float("inf")
    return Allocation(exits, float(rise[paid].sum()), float(run[paid].sum()), eta)


def choose(gains: NDArray[np.floating], costs: NDArray[np.floating], eta: float) -> NDArray[np.intp]:
    """Exits (N,) that maximise gain - eta * cost tile by tile (equation 9); the first of equals."""
    return np.argmax(gains - eta * costs, axis=1)


def bisect(gains: NDArray[np.floating], costs: NDArray[np.floating], budget: float, rounds: int = 30) -> Allocation:
    """As `allocate`, by bisection for eta: the plain way, kept to check the other and to compare with it."""
    rows = np.arange(len(gains))
    with np.errstate(divide="ignore", invalid="ignore"):
        slopes = np.nan_to_num(gains[:, 1:] / costs[:, 1:], nan=0.0, posinf=0.0)
    low, high = 0.0, float(slopes.max(initial=0.0)) + 1e-12
    if costs[rows, choose(gains, costs, low)].sum() <= budget:
        high = low
    for _ in range(rounds if high > low else 0):
        middle = (low + high) / 2
        if costs[rows, choose(gains, costs, middle)].sum() <= budget:
            high = middle
        else:
            low = middle
    exits = choose(gains, costs, high)
    return Allocation(exits, float(gains[rows, exits].sum()), float(costs[rows, exits].sum()), high)


def _edges(gains: NDArray[np.floating], costs: NDArray[np.floating]) -> tuple[NDArray, ...]:
    """The rising edges of every tile's hull, a tile's own in order: tile, exit at the end, slope, gain, cost."""
    count, exits = gains.shape
    rows = np.arange(count)
    here, before = np.zeros(count, np.intp), np.full(count, np.inf)
    found = []
    for _ in range(exits - 1):
        rise = gains - gains[rows, here][:, None]
        run = costs - costs[rows, here][:, None]
        slope = np.divide(rise, run, out=np.full_like(rise, -np.inf), where=run > 0)
        best = slope.argmax(axis=1)
        # Where edges are in one line, rounding must not change their order.
        before = steepest = np.minimum(slope[rows, best], before)
        rising = steepest > 0
        if not rising.any():
            break
        at = rows[rising], best[rising]
        found.append((rows[rising], best[rising], steepest[rising], rise[at], run[at]))
        here[rising] = best[rising]
    if not found:
        empty = np.zeros(0)
        return empty.astype(np.intp), empty.astype(np.intp), empty, empty, empty
    return tuple(np.concatenate(parts) for parts in zip(*found, strict=True))
