"""A frame, as good as its time allows: interpolated first, then refined region by region, best bargains first.

Nothing here waits or owns a clock: the clock is handed in, and read before every stage of every region.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import lcm
from typing import Any, ParamSpec, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from rtsr.card import Card
from rtsr.errors import OutOfMemory
from rtsr.pacing.allocation import allocate
from rtsr.pacing.budget import exit_costs
from rtsr.pacing.deadline import CostModel
from rtsr.pacing.judge import by_estimator, by_likeness
from rtsr.regions import Grid, Rect, Region, join, window
from rtsr.surface import Captured, Sized, Surface, Upscaled

SIDE = 64
"""Input pixels along a tile: smaller ones are mostly halo, larger ones cannot follow what is in the picture."""
MARGIN = 2
"""More halo than the network needs, in input pixels: reducing chroma looks one output pixel further."""
SLICE = 3
"""A region takes no more than this part of a frame's time, so that the clock is read often enough."""
ROUNDS = 4
"""Times that a plan is made anew because its regions, with their halos, would cost more than it counted with."""

Array = NDArray[np.float32]
Price = Callable[[int, int], float]
"""What an exit costs over so many input pixels, in any unit."""
P = ParamSpec("P")
Result = TypeVar("Result")


class StagedEngine(Protocol):
    """What `Refiner` needs of an engine with several exits; see `rtsr.engine.stages`."""

    card: Card

    def stage(self, k: int, features: tuple[Any, ...]) -> tuple[Any, ...]: ...
    def head(self, k: int, features: tuple[Any, ...]) -> Array: ...
    def estimate(self, patches: Array) -> Array: ...


@dataclass(slots=True, eq=False)
class Spent:
    """What one frame got."""

    tiles: NDArray[np.intp]
    """Tiles whose output comes from exit 0, 1, ...; reused ones count where they were computed."""
    reused: int = 0
    """Tiles taken from the last frame's output, unchanged."""
    macs: float = 0.0
    """Multiply-adds of stages and heads, halos included."""
    full_macs: float = 0.0
    """Multiply-adds of the whole frame at the last exit."""
    short: int = 0
    """Tiles that there was no time to take as far as planned."""
    expected_psnr: float = float("nan")
    """What the frame is estimated to reach, in dB."""
    begin_ns: float = float("nan")
    """Time before anything is refined: comparing with the last frame, interpolating, judging tiles."""


@dataclass(slots=True, eq=False)
class _State:
    """A frame, done or on its way; arrays by tile are (rows, columns)."""

    frame: Sized
    grid: Grid
    fresh: NDArray[np.bool_]
    """Tiles that differ from the last frame's, halo included."""
    large: Upscaled
    exits: NDArray[np.intp]
    """Exit that each tile's output comes from so far."""
    errors: NDArray[np.floating]
    """Expected mean squared error, white being 1, by exit: (rows, columns, exits + 1)."""
    spent: Spent
    rgb: Array | None = None


class Refiner:
    """Upscales the frames of one stream, in order, with a multi-exit engine, for a time or a share of its compute.

    `clock` gives nanoseconds. `reuse`: tiles whose input, halo included, equals the last frame's are taken from the
    last output, bit for bit. `surface` says what frames and planes are; by default `Frame`s in 8-bit 4:2:0.
    """

    def __init__(
        self,
        engine: StagedEngine,
        clock: Callable[[], float],
        costs: CostModel,
        reuse: bool = True,
        surface: Surface | None = None,
    ) -> None:
        self.engine = engine
        self.card = engine.card
        self.clock = clock
        self.costs = costs
        self.reuse = reuse
        self.surface: Surface = Captured() if surface is None else surface
        self._macs = exit_costs(self.card)
        self._halos = [0, *(2 * -(-(exit.radius + MARGIN) // 2) for exit in self.card.exits)]
        self._last: _State | None = None
        self._room = float("inf")
        """Pixels of a window for which the engine has memory, as far as is known."""

    def within(self, frame: Sized, due_ns: float) -> tuple[Upscaled, Spent]:
        """The upscaled planes of `frame`, as good as can be had until `due_ns`."""
        state = self._begin(frame)
        reached = np.zeros_like(state.exits) if self._last is None else np.where(state.fresh, 0, self._last.exits)
        due_ns -= self.costs.reserve_ns
        left = due_ns - self.clock()
        wanted = self._plan(state, self._exit_ns, left, reached)
        planes, spent = self._finish(state, wanted, due_ns, left / SLICE)
        if state.fresh.any() and not spent.macs:
            self.costs.relax()
        return planes, spent

    def share(self, frame: Sized, quality: float) -> tuple[Upscaled, Spent]:
        """The upscaled planes of `frame` for the share `quality`, 0 to 1, of the compute of its last exit."""
        state = self._begin(frame)
        budget = quality * state.spent.full_macs * (1 + 1e-9)
        wanted = self._plan(state, lambda k, pixels: self._macs[k] * pixels, budget)
        return self._finish(state, wanted)

    def forget(self) -> None:
        """Take nothing over from the last frame."""
        self._last = None

    def _begin(self, frame: Sized) -> _State:
        """The interpolated frame, what changed since the last one, and what exits are expected to reach."""
        began = self.clock()
        multiple = self.card.size_multiple
        width, height = (-(-side // multiple) * multiple for side in (frame.width, frame.height))
        grid = Grid(width, height, SIDE)
        fresh, last = self._changed(frame, grid), self._last
        large = last.large if last is not None and not fresh.any() else self.surface.enlarge(frame, self.card.scale)
        errors = last.errors if last is not None and not fresh.any() else np.empty((*fresh.shape, len(self._macs)))
        spent = Spent(np.zeros(len(self._macs), np.intp), full_macs=grid.width * grid.height * float(self._macs[-1]))
        state = _State(frame, grid, fresh, large, np.zeros(fresh.shape, np.intp), errors, spent)
        if fresh.any():
            state.errors = self._judge(state)
        spent.begin_ns = self.clock() - began
        return state

    def _changed(self, frame: Sized, grid: Grid) -> NDArray[np.bool_]:
        last = self._last
        if not self.reuse or last is None or last.grid != grid:
            self._last = None
            return np.ones((grid.rows, grid.columns), bool)
        return self.surface.changed(last.frame, frame, grid, max(self._halos))

    def _judge(self, state: _State) -> NDArray[np.floating]:
        if self.card.exits[-1].gain or self.card.estimator is None:
            return by_likeness(self.surface.luma(state.frame), state.grid, self.card)
        rgb, luma = self._colours(state)[0], self.surface.luma(state.frame)
        return by_estimator(rgb, luma, state.grid, self.card.estimator, self.engine.estimate)

    def _plan(
        self, state: _State, price: Price, budget: float, reached: NDArray[np.intp] | None = None
    ) -> NDArray[np.intp]:
        """The exit wanted for every tile, (rows, columns), such that all regions with their halos fit the budget."""
        errors = state.errors.reshape(-1, len(self._macs))
        areas = state.grid.areas().reshape(-1, 1)
        gains = (errors[:, :1] - errors) * areas
        prices = np.array([price(k, SIDE**2) / SIDE**2 for k in range(len(self._macs))]) * areas
        start = None if reached is None else reached.ravel()
        whole = price(len(self._macs) - 1, state.grid.width * state.grid.height)
        overhead, wanted = 1.0, np.zeros_like(state.exits)
        for _ in range(ROUNDS):
            wanted = allocate(gains, prices * overhead, budget, start).exits.reshape(state.exits.shape)
            todo = wanted if reached is None else np.where(wanted > reached, wanted, 0)
            cost = sum(price(k, self._window(state.grid, region, k).area) for region, k in _regions(todo))
            if cost <= budget:
                break
            if whole <= min(budget, cost):
                return np.full_like(wanted, len(self._macs) - 1)  # In one piece there are no halos.
            overhead *= min(max(cost / budget, 1.03), 2.0) if budget > 0 else 2.0
        return wanted

    def _finish(
        self, state: _State, wanted: NDArray[np.intp], due_ns: float = float("inf"), most_ns: float = float("inf")
    ) -> tuple[Upscaled, Spent]:
        """Take over what need not be done again, refine the rest in regions of at most `most_ns`, and remember."""
        kept = self._take_over(state, wanted)
        regions = _regions(np.where(kept, 0, wanted))
        # The last is next: best bargains first, and a region that is too long for the time in two halves.
        regions.sort(key=lambda job: self._worth(state, *job))
        while regions:
            region, k = regions.pop()
            area = self._window(state.grid, region, k).area
            ns = self._exit_ns(k, area) if due_ns < float("inf") else 0.0
            divisible = region.rows * region.columns > 1
            if divisible and (ns > min(most_ns, due_ns - self.clock()) or area >= self._room):
                regions += [(half, k) for half in reversed(region.halves())]
                continue
            try:
                self._refine(state, region, k, due_ns)
            except OutOfMemory:
                if not divisible:
                    raise
                self._room = area
                regions.append((region, k))
        spent = state.spent
        spent.reused = int(kept.sum())
        spent.tiles += np.bincount(state.exits.ravel(), minlength=len(spent.tiles))
        spent.expected_psnr = _expected_psnr(state)
        state.rgb = None
        self._last = state
        return state.large, spent

    def _take_over(self, state: _State, wanted: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Start from the last output where the input is the same; returns the tiles that need no more than that."""
        last = self._last
        if last is None:
            return np.zeros_like(state.fresh)
        usable = ~state.fresh & (wanted >= last.exits)
        kept = usable & (wanted == last.exits)
        state.exits[usable] = last.exits[usable]
        if usable.all():
            state.large = last.large if kept.all() else tuple(plane.copy() for plane in last.large)
            return kept
        if state.large is last.large:
            state.large = self.surface.enlarge(state.frame, self.card.scale)
        for region in join(usable & (last.exits > 0), usable.size):
            self.surface.copy(state.grid.rect_of(region), self.card.scale, last.large, state.large)
        return kept

    def _worth(self, state: _State, region: Region, k: int) -> float:
        """Error that taking `region` to exit `k` removes, for each pixel and cost."""
        errors = state.errors[region.tiles].reshape(-1, len(self._macs))
        return float((errors[:, 0] - errors[:, k]).mean() / self._macs[k])

    def _refine(self, state: _State, region: Region, target: int, due_ns: float) -> None:
        """Take `region` to the exit `target`, or as far as there is time."""
        rect, seen = state.grid.rect_of(region), self._window(state.grid, region, target)
        if not self._in_time(1, seen.area, due_ns):
            state.spent.short += region.rows * region.columns
            return
        rows, columns = seen.pixels
        features: tuple[Any, ...] = (np.ascontiguousarray(self._colours(state)[:, :, rows, columns]),)
        reached = 0
        while reached < target and self._in_time(reached + 1, seen.area, due_ns):
            reached += 1
            features = self._timed(f"stage {reached}", seen.area, self.engine.stage, reached, features)
            state.spent.macs += self.card.exits[reached - 1].stage_macs * seen.area
        if reached:
            self._timed(f"head {reached}", seen.area, self._put, state, reached, features, rect, seen)
            state.exits[region.tiles] = reached
            state.spent.macs += self.card.exits[reached - 1].head_macs * seen.area
        if reached < target:
            state.spent.short += region.rows * region.columns

    def _put(self, state: _State, k: int, features: tuple[Array, ...], rect: Rect, seen: Rect) -> None:
        upscaled = self.engine.head(k, features)[0]
        self.surface.paste(rect, seen, upscaled, self.card.scale, state.frame, state.large)

    def _in_time(self, k: int, pixels: int, due_ns: float) -> bool:
        """Whether stage and head `k` would be done by `due_ns`."""
        if due_ns == float("inf"):
            return True
        needed = self.costs.cautious_ns(f"stage {k}", pixels) + self.costs.cautious_ns(f"head {k}", pixels)
        return self.clock() + needed <= due_ns

    def least_ns(self) -> float:
        """Expected time of the smallest refinement: one tile with its halo to the first exit."""
        return self._exit_ns(1, (SIDE + 2 * self._halos[1]) ** 2)

    def _exit_ns(self, k: int, pixels: int) -> float:
        """Expected time of a window of `pixels` to exit `k`."""
        stages = sum(self.costs.expected_ns(f"stage {i}", pixels) for i in range(1, k + 1))
        return stages + self.costs.expected_ns(f"head {k}", pixels) if k else 0.0

    def _window(self, grid: Grid, region: Region, k: int) -> Rect:
        """What the network must see of a frame to take `region` to exit `k`."""
        return window(grid.rect_of(region), self._halos[k], grid, lcm(self.card.size_multiple, self.card.alignment))

    def _timed(self, name: str, pixels: int, work: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
        began = self.clock()
        result = work(*args, **kwargs)
        if self.costs.rates:  # None where no time is kept.
            self.costs.observe(name, pixels, self.clock() - began)
        return result

    def _colours(self, state: _State) -> Array:
        """The whole frame as the network's input, (1, 3, H, W); made when first needed."""
        if state.rgb is None:
            rgb, multiple = self.surface.rgb(state.frame), self.card.size_multiple
            state.rgb = np.pad(rgb, ((0, 0), (0, 0), *((0, -side % multiple) for side in rgb.shape[2:])), mode="edge")
        return state.rgb


def _regions(wanted: NDArray[np.intp]) -> list[tuple[Region, int]]:
    """Rectangles of tiles that want the same exit, and that exit; tiles that want exit 0 are in none."""
    return [(region, k) for k in range(1, int(wanted.max(initial=0)) + 1) for region in join(wanted == k, wanted.size)]


def _expected_psnr(state: _State) -> float:
    """Peak signal-to-noise ratio that the estimates promise for the whole frame, in dB."""
    errors = np.take_along_axis(state.errors, state.exits[..., None], axis=2)[..., 0]
    return float(-10 * np.log10(np.average(errors, weights=state.grid.areas())))
