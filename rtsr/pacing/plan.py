"""Which exit each tile of a frame is to be taken to, so that all of it fits a budget, halos included.

Knows a network's card and no clock.
"""

from collections.abc import Callable
from functools import partial
from math import lcm

import numpy as np
from numpy.typing import NDArray

from rtsr.card import Card
from rtsr.pacing.allocation import allocate
from rtsr.pacing.budget import exit_costs
from rtsr.regions import Grid, Rect, Region, join, spans, window

SIDE = 64
"""Input pixels along a tile: smaller ones are mostly halo, larger ones cannot follow what is in the picture."""
ROUNDS = 8
"""Times that a plan is made anew because its regions, with their halos, would cost more than it counted with."""

Price = Callable[[int, int], float]
"""What an exit costs over so many input pixels, in any unit."""


class Planner:
    """Plans for frames that the network of `card` upscales.

    `margin` are input pixels around a rectangle whose upscaled ones its own chroma is made of.
    """

    def __init__(self, card: Card, margin: int = 0) -> None:
        self.macs = exit_costs(card)
        """Multiply-adds per input pixel of every exit; exit 0 counts as free."""
        self.halos = [0, *(exit.radius + margin for exit in card.exits)]
        """Input pixels around a region that every exit must see."""
        self._multiple = lcm(card.size_multiple, card.alignment)
        self._spans: dict[Grid, list[tuple[list[int], ...]]] = {}
        """Where windows begin and end, across and down, by exit: of the last grid, as plans ask for them often."""

    def window(self, grid: Grid, region: Region, k: int) -> Rect:
        """What the network must see of a frame to take `region` to exit `k`."""
        return window(grid.rect_of(region), self.halos[k], grid, self._multiple)

    def compute(self, k: int, pixels: int) -> float:
        """Multiply-adds: a `Price`."""
        return float(self.macs[k]) * pixels

    def plan(
        self,
        errors: NDArray[np.floating],
        grid: Grid,
        price: Price,
        budget: float,
        reached: NDArray[np.intp] | None = None,
        most: float = float("inf"),
        longest: float = float("inf"),
    ) -> NDArray[np.intp]:
        """The exit wanted for every tile, (rows, columns), such that all `pieces` with their halos fit the budget.

        `errors` (rows, columns, exits + 1) are what each exit is expected to leave; tiles that have `reached` an exit
        already (rows, columns) are not taken to it again. No run is to cost more than `longest`, and none of several
        tiles more than `most`.
        """
        last = len(self.macs) - 1
        if budget <= 0:
            return np.zeros((grid.rows, grid.columns), np.intp) if reached is None else reached.copy()
        areas, least = grid.areas().reshape(-1, 1), self.least(price)[0]
        gains = (errors[..., :1] - errors).reshape(-1, last + 1) * areas
        prices = np.array([price(k, SIDE**2) / SIDE**2 for k in range(last + 1)]) * areas
        long = [
            self._too_long(k, grid, price, budget, most if k != least else longest, longest) for k in range(last + 1)
        ]
        prices[:, long] = np.inf
        start = None if reached is None else reached.ravel()
        overhead, wanted = 1.0, np.zeros((grid.rows, grid.columns), np.intp)
        best = int(gains.sum(axis=0).argmax())
        everything = np.full_like(wanted, best)
        if reached is not None:
            everything = np.where(errors[..., best] < left_by(errors, reached), best, reached)
        total = partial(_total, errors, grid)
        rest: float | None = None
        for _ in range(ROUNDS):
            allocation = allocate(gains, prices * overhead, budget, start)
            wanted = allocation.exits.reshape(wanted.shape)
            cost = self._cost(grid, new(wanted, reached), price, most)
            if cost <= budget:
                break
            rest = self._cost(grid, new(everything, reached), price, most) if rest is None else rest
            rest = rest if np.isfinite(prices[:, best]).all() else float("inf")
            if rest <= min(budget, cost) and total(everything) <= total(wanted):
                return everything  # Large pieces have few halos.
            halos = cost / allocation.cost if allocation.cost else 2.0
            overhead *= min(max(halos, 1.03), 2.0)
        if rest is not None and rest <= budget and total(everything) < total(wanted):
            return everything
        return wanted

    def _too_long(self, k: int, grid: Grid, price: Price, budget: float, most: float, longest: float) -> bool:
        """Whether a tile of exit `k` would be longer than pieces are to be, in a frame that needs pieces."""
        height, width = (min(SIDE + 2 * self.halos[k], side) for side in (grid.height, grid.width))
        tile, whole = price(k, height * width), price(k, grid.height * grid.width)
        return tile > longest or (tile > most and whole > budget)

    def least(self, price: Price) -> tuple[int, int]:
        """The smallest piece of work that does anything: the exit whose tile costs least, and its window's pixels."""
        tiles = [(SIDE + 2 * halo) ** 2 for halo in self.halos]
        k = min(range(1, len(tiles)), key=lambda k: price(k, tiles[k]))
        return k, tiles[k]

    def pieces(
        self, grid: Grid, wanted: NDArray[np.intp], price: Price, most: float = float("inf")
    ) -> list[tuple[Region, int]]:
        """Rectangles of tiles that want the same exit, and it; halved to what costs at most `most`, or one tile."""
        return [(region, k) for region, k, _ in self._priced(grid, wanted, price, most)]

    def _cost(self, grid: Grid, wanted: NDArray[np.intp], price: Price, most: float) -> float:
        return sum(cost for _, _, cost in self._priced(grid, wanted, price, most))

    def _priced(
        self, grid: Grid, wanted: NDArray[np.intp], price: Price, most: float
    ) -> list[tuple[Region, int, float]]:
        """`pieces`, each with its price."""
        if grid not in self._spans:
            sides = (grid.width, grid.height)
            around = [[spans(side, grid.side, halo, self._multiple) for side in sides] for halo in self.halos]
            self._spans = {grid: [(*across, *down) for across, down in around]}
        windows, left, found = self._spans[grid], regions_of(wanted), []
        while left:
            region, k = left.pop()
            lefts, rights, tops, bottoms = windows[k]
            width = rights[region.column + region.columns - 1] - lefts[region.column]
            height = bottoms[region.row + region.rows - 1] - tops[region.row]
            cost = price(k, width * height)
            if cost > most and region.rows * region.columns > 1:
                left += [(half, k) for half in region.halves()]
            else:
                found.append((region, k, cost))
        return found


def left_by(errors: NDArray[np.floating], exits: NDArray[np.intp]) -> NDArray[np.floating]:
    """The error of each tile's exit, (rows, columns); `errors` are (rows, columns, exits + 1)."""
    return np.take_along_axis(errors, exits[..., None], axis=2)[..., 0]


def _total(errors: NDArray[np.floating], grid: Grid, exits: NDArray[np.intp]) -> float:
    """The squared error of a frame whose tiles have these `exits`."""
    return float((left_by(errors, exits) * grid.areas()).sum())


def new(wanted: NDArray[np.intp], reached: NDArray[np.intp] | None) -> NDArray[np.intp]:
    """What is `wanted` of tiles that have `reached` another exit; 0 of others."""
    return wanted if reached is None else np.where(wanted != reached, wanted, 0)


def regions_of(wanted: NDArray[np.intp]) -> list[tuple[Region, int]]:
    """Rectangles of tiles that want the same exit, and that exit; tiles that want exit 0 are in none."""
    return [(region, k) for k in range(1, int(wanted.max(initial=0)) + 1) for region in join(wanted == k, wanted.size)]
