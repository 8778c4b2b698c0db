"""A frame, as good as its time allows: interpolated first, then refined region by region, best bargains first.

Nothing here waits or owns a clock: the clock is handed in, and read before every region.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtsr.engine.base import ExitsEngine
from rtsr.errors import OutOfMemory
from rtsr.pacing.deadline import CostModel, Least
from rtsr.pacing.judge import by_estimator, by_likeness
from rtsr.pacing.plan import SIDE, Planner
from rtsr.regions import Grid, Region, join
from rtsr.surface import Captured, Sized, Surface, Upscaled

SLICE = 3
"""A region of several tiles takes no more than this part of a frame's time, so that the clock is read often enough."""

Array = NDArray[np.float32]


@dataclass(slots=True, eq=False)
class Spent:
    """What one frame got."""

    tiles: NDArray[np.intp]
    """Tiles whose output comes from exit 0, 1, ...; reused ones count where they were computed."""
    reused: int = 0
    """Tiles taken from the last frame's output, unchanged."""
    macs: float = 0.0
    """Multiply-adds of the exits that ran, halos included."""
    full_macs: float = 0.0
    """Multiply-adds of the whole frame by the network that was named; exits of others may take more."""
    short: int = 0
    """Tiles that there was no time to take as far as planned."""
    expected_psnr: float = float("nan")
    """What the frame is estimated to reach, in dB."""
    begin_ns: float = float("nan")
    """Time before anything is refined: comparing with the last frame, interpolating, judging tiles; not a number
    where nothing was to be interpolated."""


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
        engine: ExitsEngine,
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
        self._planner = Planner(self.card, self.surface.margin)
        self._colouring, self._planning = Least(), Least()
        self._last: _State | None = None
        self._room = float("inf")
        """Pixels of a window for which the engine has memory, as far as is known."""

    def within(self, frame: Sized, due_ns: float) -> tuple[Upscaled, Spent]:
        """The upscaled planes of `frame`, as good as can be had until `due_ns`."""
        state = self._begin(frame)
        reached = np.zeros_like(state.exits) if self._last is None else np.where(state.fresh, 0, self._last.exits)
        due_ns -= self.costs.reserve_ns
        wanted, most = reached, (due_ns - self.clock()) / SLICE
        if due_ns - self.clock() > self._ready_ns(state) + self.least_ns():
            if state.fresh.any():
                self._colours(state)
            wanted = self._plan(state, due_ns, reached, most)
        kept = self._take_over(state, wanted)
        self._refine(state, wanted, due_ns, most)
        while due_ns - self.clock() > self._ready_ns(state) + self.least_ns():
            # Less was needed than expected, or halos left room for something small.
            if not self._refine(state, self._plan(state, due_ns, state.exits, most), due_ns, most):
                break
        kept &= state.exits == wanted
        state.spent.short = int((state.exits < wanted).sum())
        if not state.spent.macs and (state.fresh.any() or (state.exits < len(self._planner.macs) - 1).any()):
            self.costs.relax()  # There was something to do, and no time for it.
            self._colouring.fade()
            self._planning.fade()
        return self._finish(state, kept)

    def share(self, frame: Sized, quality: float) -> tuple[Upscaled, Spent]:
        """The upscaled planes of `frame` for the share `quality`, 0 to 1, of the network's full compute."""
        state = self._begin(frame)
        budget = quality * state.spent.full_macs * (1 + 1e-9)
        wanted = self._planner.plan(state.errors, state.grid, self._planner.compute, budget)
        kept = self._take_over(state, wanted)
        self._refine(state, wanted)
        return self._finish(state, kept)

    def untouched(self, frame: Sized) -> Spent:
        """What `frame` counts as where no network does anything for it."""
        grid, exits = self._grid(frame), len(self._planner.macs)
        tiles = np.zeros(exits, np.intp)
        tiles[0] = grid.rows * grid.columns
        return Spent(tiles, full_macs=self.card.macs_per_pixel * grid.width * grid.height)

    def forget(self) -> None:
        """Take nothing over from the last frame."""
        self._last = None

    def rehearse(self, frame: Sized) -> float:
        """Nanoseconds that `frame` takes until it can be refined; what comes next starts anew."""
        began = self.clock()
        state = self._begin(frame)
        self._colours(state)
        self._plan(state, self.clock() + self._ready_ns(state) + 2 * self.least_ns(), None, float("inf"))
        self.forget()
        return self.clock() - began

    def _ready_ns(self, state: _State) -> float:
        """Expected time from now to the first refinement of `state`: a plan, and the network's input."""
        return self._planning.ns + (self._colouring.ns if state.rgb is None else 0.0)

    def _plan(self, state: _State, due_ns: float, reached: NDArray[np.intp] | None, most: float) -> NDArray[np.intp]:
        """The exit wanted for every tile where refining ends at `due_ns`."""
        began = self.clock()
        budget = due_ns - began - self._ready_ns(state)
        wanted = self._planner.plan(state.errors, state.grid, self._exit_ns, budget, reached, most)
        if budget > 0:
            self._planning.observe(self.clock() - began)
        return wanted

    def _begin(self, frame: Sized) -> _State:
        """The interpolated frame, what changed since the last one, and what exits are expected to reach."""
        began = self.clock()
        grid, spent = self._grid(frame), self.untouched(frame)
        fresh, last = self._changed(frame, grid), self._last
        large = last.large if last is not None and not fresh.any() else self.surface.enlarge(frame, self.card.scale)
        errors = last.errors if last is not None and not fresh.any() else np.empty((*fresh.shape, len(spent.tiles)))
        state = _State(frame, grid, fresh, large, np.zeros(fresh.shape, np.intp), errors, spent)
        if fresh.any():
            state.errors = self._judge(state)
            spent.begin_ns = self.clock() - began
        return state

    def _grid(self, frame: Sized) -> Grid:
        multiple = self.card.size_multiple
        width, height = (-(-side // multiple) * multiple for side in (frame.width, frame.height))
        return Grid(width, height, SIDE)

    def _finish(self, state: _State, kept: NDArray[np.bool_]) -> tuple[Upscaled, Spent]:
        """Sum up, and remember the frame; `kept` are the tiles that were taken over."""
        spent = state.spent
        spent.reused = int(kept.sum())
        spent.tiles = np.bincount(state.exits.ravel(), minlength=len(spent.tiles))
        spent.expected_psnr = _expected_psnr(state)
        state.rgb = None
        self._last = state
        return state.large, spent

    def _changed(self, frame: Sized, grid: Grid) -> NDArray[np.bool_]:
        last = self._last
        if not self.reuse or last is None or (frame.width, frame.height) != (last.frame.width, last.frame.height):
            self._last = None
            return np.ones((grid.rows, grid.columns), bool)
        return self.surface.changed(last.frame, frame, grid, max(self._planner.halos))

    def _judge(self, state: _State) -> NDArray[np.floating]:
        if self.card.exits[-1].gain or self.card.estimator is None:
            return by_likeness(self.surface.luma(state.frame), state.grid, self.card)
        rgb, luma = self._colours(state)[0], self.surface.luma(state.frame)
        return by_estimator(rgb, luma, state.grid, self.card.estimator, self.engine.estimate)

    def _take_over(self, state: _State, wanted: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Start from the last output where the input is the same; returns the tiles that need no more than that."""
        last = self._last
        if last is None:
            return np.zeros_like(state.fresh)
        usable = ~state.fresh & (wanted >= last.exits)
        kept = usable & (wanted == last.exits)
        state.exits[usable] = last.exits[usable]
        if usable.all():
            state.large = last.large  # Copied before it is written to.
            return kept
        if state.large is last.large:
            state.large = self.surface.enlarge(state.frame, self.card.scale)
        for region in join(usable & (last.exits > 0), usable.size):
            self.surface.copy(state.grid.rect_of(region), self.card.scale, last.large, state.large)
        return kept

    def _refine(
        self, state: _State, wanted: NDArray[np.intp], due_ns: float = float("inf"), most_ns: float = float("inf")
    ) -> bool:
        """Take tiles to the exits `wanted`, or as far as there is time, in regions of at most `most_ns`.

        Tiles that are there already stay. Returns whether any went further.
        """
        before, todo, timed = state.spent.macs, np.where(wanted > state.exits, wanted, 0), due_ns < float("inf")
        price = self._exit_ns if timed else self._planner.compute
        regions = self._planner.pieces(state.grid, todo, price, most_ns)
        # The last is next: best bargains first, and a region that is too long for the time in two halves.
        regions.sort(key=lambda job: self._worth(state, *job))
        while regions and self.clock() < due_ns:
            region, k = regions.pop()
            area, divisible = self._planner.window(state.grid, region, k).area, region.rows * region.columns > 1
            dear = timed and self._exit_ns(k, area) > due_ns - self.clock()
            if divisible and (dear or area >= self._room):
                regions += [(half, k) for half in reversed(region.halves())]
                continue
            try:
                self._refine_region(state, region, k, due_ns)
            except OutOfMemory:
                if not divisible:
                    raise
                self._room = area
                regions.append((region, k))
        return state.spent.macs > before

    def _worth(self, state: _State, region: Region, k: int) -> float:
        """Error that taking `region` to exit `k` removes, for each pixel and cost."""
        errors = state.errors[region.tiles]
        return float((_at(errors, state.exits[region.tiles]) - errors[..., k]).mean() / self._planner.macs[k])

    def _refine_region(self, state: _State, region: Region, k: int, due_ns: float) -> None:
        """Take `region` to exit `k`, or to the furthest before it that there is time for."""
        reached, rgb = int(state.exits[region.tiles].max()), self._colours(state)
        if self._last is not None and state.large is self._last.large:
            state.large = tuple(plane.copy() for plane in state.large)
        while k > reached and not self._in_time(k, self._planner.window(state.grid, region, k).area, due_ns):
            k -= 1
        if k <= reached:
            return
        seen = self._planner.window(state.grid, region, k)
        rows, columns = seen.pixels
        began = self.clock()
        upscaled = self.engine.exit(k, np.ascontiguousarray(rgb[:, :, rows, columns]))[0]
        rect = state.grid.rect_of(region)
        self.surface.paste(rect, seen, upscaled, self.card.scale, state.frame, state.large)
        if self.costs.rates:  # None where no time is kept.
            self.costs.observe(f"exit {k}", seen.area, self.clock() - began)
        state.exits[region.tiles] = k
        state.spent.macs += self._planner.compute(k, seen.area)

    def _in_time(self, k: int, pixels: int, due_ns: float) -> bool:
        """Whether exit `k` over `pixels` would be done by `due_ns`."""
        return due_ns == float("inf") or self.clock() + self.costs.cautious_ns(f"exit {k}", pixels) <= due_ns

    def least_ns(self) -> float:
        """Time that the smallest refinement will rarely exceed: one tile with its halo to the first exit."""
        return self.costs.cautious_ns("exit 1", (SIDE + 2 * self._planner.halos[1]) ** 2)

    def _exit_ns(self, k: int, pixels: int) -> float:
        """Expected time of exit `k` over a window of `pixels`."""
        return self.costs.expected_ns(f"exit {k}", pixels) if k else 0.0

    def _colours(self, state: _State) -> Array:
        """The whole frame as the network's input, (1, 3, H, W); made when first needed."""
        if state.rgb is None:
            began = self.clock()
            rgb, multiple = self.surface.rgb(state.frame), self.card.size_multiple
            state.rgb = np.pad(rgb, ((0, 0), (0, 0), *((0, -side % multiple) for side in rgb.shape[2:])), mode="edge")
            self._colouring.observe(self.clock() - began)
        return state.rgb


def _at(errors: NDArray[np.floating], exits: NDArray[np.intp]) -> NDArray[np.floating]:
    """The error of each tile's exit, (rows, columns); `errors` are (rows, columns, exits + 1)."""
    return np.take_along_axis(errors, exits[..., None], axis=2)[..., 0]


def _expected_psnr(state: _State) -> float:
    """Peak signal-to-noise ratio that the estimates promise for the whole frame, in dB."""
    return float(-10 * np.log10(np.average(_at(state.errors, state.exits), weights=state.grid.areas())))
