"""A frame, as good as its time allows: interpolated first, then refined region by region, best bargains first.

Nothing here waits or owns a clock: the clock is handed in, and read before every region.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from rtsr.engine.base import ExitsEngine
from rtsr.errors import OutOfMemory
from rtsr.pacing.deadline import CostModel, Least
from rtsr.pacing.judge import by_estimator
from rtsr.pacing.picture import Picture
from rtsr.pacing.plan import Planner, Price, left_by, new
from rtsr.pacing.workers import Queue, Workers
from rtsr.regions import Grid, Region
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

    picture: Picture
    fresh: NDArray[np.bool_]
    """Tiles that differ from the last frame's, halo included."""
    spent: Spent
    errors: NDArray[np.floating] = field(init=False)
    """Expected mean squared error, white being 1, by exit: (rows, columns, exits + 1)."""
    large: Upscaled = ()
    taken: NDArray[np.bool_] = field(init=False)
    """Tiles that start from the last frame's output."""
    ran: list[CostModel] = field(default_factory=list)
    """Costs of the threads that refined something, once for each time."""
    left_over: list[CostModel] = field(default_factory=list)
    """Costs of those that had no time for something."""
    exits: NDArray[np.intp] = field(init=False)
    """Exit that each tile's output comes from so far."""

    def __post_init__(self) -> None:
        self.exits, self.taken = np.zeros(self.fresh.shape, np.intp), np.zeros_like(self.fresh)


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
        self._planner = Planner(self.card, self.surface.step // 2)
        self._colouring, self._planning = Least(), Least()
        self._last: _State | None = None
        self._room = float("inf")
        """Pixels of a window for which the engine has memory, as far as is known."""
        self._workers = Workers(costs, engine.at_once - 1)
        self._lock = Lock()
        """Held while what the threads share is read or changed."""

    def close(self) -> None:
        """Let go of its threads: nothing is to be upscaled any more."""
        self._workers.close()

    def within(self, frame: Sized, due_ns: float) -> tuple[Upscaled, Spent]:
        """The upscaled planes of `frame`, as good as can be had until `due_ns`."""
        state = self._begin(frame)
        self._take_over(state, ~state.fresh)
        reached, wanted, most = state.exits.copy(), state.exits, self._left_ns(due_ns) / SLICE
        if self._left_ns(due_ns) > self._ready_ns(state) + self.least_ns():
            if not state.picture.few(state.fresh):
                self._colours(state)
            wanted = self._plan(state, due_ns, reached, most)
        self._refine(state, wanted, due_ns, most)
        while self._left_ns(due_ns) > self._ready_ns(state) + self.least_ns():
            # Less was needed than expected, or halos left room for something small.
            if not self._refine(state, self._plan(state, due_ns, state.exits, most), due_ns, most):
                break
        state.spent.short = int((left_by(state.errors, state.exits) > left_by(state.errors, wanted)).sum())
        idle = self._workers.costs if not state.spent.macs else state.left_over
        if state.fresh.any() or (left_by(state.errors, state.exits) > state.errors.min(axis=2)).any():
            # There was something to do, and some, or all, had no time for it.
            for costs in self._workers.costs:
                if any(costs is each for each in idle) and not any(costs is each for each in state.ran):
                    costs.relax()
            if not state.spent.macs:
                self._colouring.fade()
                self._planning.fade()
        return self._finish(state)

    def share(self, frame: Sized, quality: float) -> tuple[Upscaled, Spent]:
        """The upscaled planes of `frame` for the share `quality`, 0 to 1, of the network's full compute."""
        state = self._begin(frame)
        budget = quality * state.spent.full_macs * (1 + 1e-9)
        wanted = self._planner.plan(state.errors, state.picture.grid, self._planner.compute, budget)
        last = self._last
        self._take_over(state, np.zeros_like(state.fresh) if last is None else ~state.fresh & (wanted == last.exits))
        self._refine(state, wanted)
        return self._finish(state)

    def untouched(self, frame: Sized) -> Spent:
        """What `frame` counts as where no network does anything for it."""
        return self._untouched(Picture(frame, self.surface, self.card).grid)

    def _untouched(self, grid: Grid) -> Spent:
        tiles = np.zeros(len(self._planner.macs), np.intp)
        tiles[0] = grid.rows * grid.columns
        return Spent(tiles, full_macs=self.card.macs_per_pixel * grid.width * grid.height)

    def forget(self) -> None:
        """Take nothing over from the last frame."""
        self._last = None

    def rehearse(self, frame: Sized) -> float:
        """Nanoseconds that `frame` takes until it can be refined; what comes next starts anew."""
        began = self.clock()
        state = self._begin(frame)
        self._take_over(state, ~state.fresh)
        self._colours(state)
        self._plan(state, self.clock() + self._ready_ns(state) + 2 * self.least_ns(), None, float("inf"))
        self.forget()
        return self.clock() - began

    def _ready_ns(self, state: _State) -> float:
        """Expected time from now to the first refinement of `state`: a plan, and the network's input."""
        return self._planning.ns + (self._colouring.ns if state.picture.rgb is None else 0.0)

    def _plan(self, state: _State, due_ns: float, reached: NDArray[np.intp] | None, most: float) -> NDArray[np.intp]:
        """The exit wanted for every tile where refining ends at `due_ns`."""
        began = self.clock()
        ready = began + self._ready_ns(state)
        budget, alone = self._workers.budget_ns(due_ns, ready), self._workers.left_ns(due_ns, ready)
        wanted = self._planner.plan(state.errors, state.picture.grid, self._price(), budget, reached, most, alone)
        if budget > 0:
            self._planning.observe(self.clock() - began)
        return wanted

    def _begin(self, frame: Sized) -> _State:
        """What changed in `frame` since the last one, and what exits are expected to reach."""
        began = self.clock()
        picture = Picture(frame, self.surface, self.card)
        state = _State(picture, self._changed(picture), self._untouched(picture.grid))
        state.errors = self._judge(state)
        if state.fresh.any():
            state.spent.begin_ns = self.clock() - began
        return state

    def _finish(self, state: _State) -> tuple[Upscaled, Spent]:
        """Sum up, and remember the frame."""
        spent = state.spent
        if self._last is not None:
            spent.reused = int((state.taken & (state.exits == self._last.exits)).sum())
        spent.tiles = np.bincount(state.exits.ravel(), minlength=len(spent.tiles))
        spent.expected_psnr = _expected_psnr(state)
        state.picture.rgb = None
        self._last = state
        return state.large, spent

    def _changed(self, picture: Picture) -> NDArray[np.bool_]:
        last, now, grid = self._last, picture.frame, picture.grid
        before = None if last is None else last.picture.frame
        if not self.reuse or before is None or (now.width, now.height) != (before.width, before.height):
            self._last = None
            return np.ones((grid.rows, grid.columns), bool)
        return self.surface.changed(before, now, grid, max(self._planner.halos))

    def _judge(self, state: _State) -> NDArray[np.floating]:
        """Expected mean squared errors: the last frame's where nothing changed."""
        last, fresh = self._last, state.fresh
        if last is not None and not fresh.any():
            return last.errors
        picture = state.picture
        if self.card.estimator is not None and not self.card.exits[-1].gain:
            rgb, luma = self._colours(state)[0], self.surface.luma(picture.frame)
            return by_estimator(rgb, luma, picture.grid, self.card.estimator, self.engine.estimate)
        if last is None or not picture.few(fresh):
            return picture.judged()
        errors = last.errors.copy()
        picture.judge(fresh, errors)
        return errors

    def _take_over(self, state: _State, usable: NDArray[np.bool_]) -> None:
        """Start from the last output where that is `usable`, and elsewhere interpolated."""
        began, last, picture = self.clock(), self._last, state.picture
        state.taken = usable
        if last is None or not usable.any():
            state.large = picture.enlarged()
        elif usable.all():
            state.large = last.large  # Copied before it is written to.
        elif picture.few(~usable):
            state.large = tuple(plane.copy() for plane in last.large)
            picture.enlarge(~usable, state.large)
        else:
            state.large = picture.enlarged()
            picture.copy(usable & (last.exits > 0), last.large, state.large)
        if last is not None:
            state.exits[usable] = last.exits[usable]
        state.spent.begin_ns += self.clock() - began

    def _refine(
        self, state: _State, wanted: NDArray[np.intp], due_ns: float = float("inf"), most_ns: float = float("inf")
    ) -> bool:
        """Take tiles to the exits `wanted`, or as far as there is time, in regions of at most `most_ns`.

        Tiles that are there already stay. Returns whether any went further.
        """
        before, todo, timed = state.spent.macs, new(wanted, state.exits), due_ns < float("inf")
        if not state.picture.few(todo > 0):
            self._colours(state)
        price = self._price() if timed else self._planner.compute
        regions = self._planner.pieces(state.picture.grid, todo, price, most_ns)
        # The last is next: best bargains first.
        regions.sort(key=lambda job: self._worth(state, *job, price))
        queue = Queue(regions, self._workers, due_ns, self.clock, partial(self._seen, state.picture.grid), self._room)
        try:
            self._workers.run(partial(self._drain, state, queue, due_ns))
        finally:
            queue.clear()  # Whoever waited may have been interrupted.
        self._room = queue.room
        state.left_over += queue.left_over
        return state.spent.macs > before

    def _drain(self, state: _State, queue: Queue, due_ns: float, costs: CostModel) -> None:
        """Refine what a thread whose work costs `costs` finds in `queue`."""
        try:
            while job := queue.take(costs):
                try:
                    self._refine_region(state, *job, due_ns - costs.reserve_ns, costs)
                except OutOfMemory:
                    if job[0].rows * job[0].columns == 1:
                        raise
                    queue.put_back(job)
        except BaseException:
            queue.clear()  # The other threads need not go on.
            raise

    def _worth(self, state: _State, region: Region, k: int, price: Price) -> float:
        """Error that taking `region` to exit `k` removes, for its cost."""
        errors, grid = state.errors[region.tiles], state.picture.grid
        removed = (left_by(errors, state.exits[region.tiles]) - errors[..., k]) * grid.areas()[region.tiles]
        return float(removed.sum()) / price(k, self._seen(grid, (region, k)))

    def _in_turn(self, state: _State, region: Region, wanted: int) -> Iterator[int]:
        """The exit `wanted`, and others that leave less of `region`'s error than it has, the least first."""
        yield wanted
        areas, errors = state.picture.grid.areas()[region.tiles], state.errors[region.tiles]
        now = (left_by(errors, state.exits[region.tiles]) * areas).sum()
        then = (errors * areas[..., None]).sum(axis=(0, 1))
        yield from (int(k) for k in np.argsort(then, kind="stable") if then[k] < now and k not in (0, wanted))

    def _refine_region(self, state: _State, region: Region, wanted: int, due_ns: float, costs: CostModel) -> None:
        """Take `region` to the exit `wanted`, or to the best that there is time for."""
        for k in self._in_turn(state, region, wanted):
            seen = self._planner.window(state.picture.grid, region, k)
            needed = 0.0 if due_ns == float("inf") else costs.cautious_ns(f"exit {k}", seen.area)
            if self.clock() + needed > due_ns:
                continue
            image = state.picture.input(seen)
            if self.clock() + needed <= due_ns:
                break
        else:
            return
        with self._lock:
            if self._last is not None and state.large is self._last.large:
                state.large = tuple(plane.copy() for plane in state.large)
        began = self.clock()
        upscaled = self.engine.exit(k, image)[0]
        rect = state.picture.grid.rect_of(region)
        self.surface.paste(rect, seen, upscaled, self.card.scale, state.picture.frame, state.large)
        took = self.clock() - began
        with self._lock:
            if costs.rates:  # None where no time is kept.
                costs.observe(f"exit {k}", seen.area, took)
                state.ran.append(costs)
            state.exits[region.tiles] = k
            state.spent.macs += self._planner.compute(k, seen.area)

    def _left_ns(self, due_ns: float) -> float:
        """Time until `due_ns`, less what is kept back for waits."""
        return self._workers.left_ns(due_ns, self.clock())

    def least_ns(self) -> float:
        """Time that the smallest refinement will rarely exceed: one tile with its halo to the quickest exit."""
        k, pixels = self._planner.least(self._price())
        return self._workers.cautious_ns(f"exit {k}", pixels)

    def _seen(self, grid: Grid, job: tuple[Region, int]) -> int:
        """How many input pixels the network sees of a frame to take a region to an exit."""
        return self._planner.window(grid, *job).area

    def _price(self) -> Price:
        """What exits take over windows, in nanoseconds, in the quickest thread."""
        quickest = self._workers.quickest
        return lambda k, pixels: quickest.expected_ns(f"exit {k}", pixels) if k else 0.0

    def _colours(self, state: _State) -> Array:
        """All of the frame as the network's input, timed where it is not there yet."""
        if state.picture.rgb is not None:
            return state.picture.rgb
        began = self.clock()
        rgb = state.picture.colours()
        self._colouring.observe(self.clock() - began)
        return rgb


def _expected_psnr(state: _State) -> float:
    """Peak signal-to-noise ratio that the estimates promise for the whole frame, in dB."""
    return float(-10 * np.log10(np.average(left_by(state.errors, state.exits), weights=state.picture.grid.areas())))
