"""A frame, as good as its time allows: interpolated first, then refined region by region, best bargains first.

Nothing here waits or owns a clock: the clock is handed in, and read before every stage of every region.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import lcm
from typing import ParamSpec, Protocol, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from rtsr.allocation import allocate
from rtsr.budget import BLANK, exit_costs
from rtsr.card import Card
from rtsr.deadline import CostModel
from rtsr.regions import Grid, Rect, Region, join, window, window_sums
from rtsr.surface import Captured, Sized, Surface, Upscaled

SIDE = 32
"""Input pixels along a tile; the estimator judges patches of this size."""
MARGIN = 2
"""More halo than the network needs, in input pixels: reducing chroma looks one output pixel further."""
SLICE = 8
"""A region takes no more than this part of a frame's time, so that the clock is read often enough."""
GAMMA = 1.0
"""Weight of the blank test in dB; the paper has 1.0 to 1.5."""
ROUNDS = 4
"""Times that the exits which a share affords are chosen, each time with halos of the last choice in mind."""
FLOOR_NS = 1_000_000
"""Regions are not made smaller than what takes this long: small ones are mostly halo."""

Array = NDArray[np.float32]
P = ParamSpec("P")
Result = TypeVar("Result")


class StagedEngine(Protocol):
    """What `Refiner` needs of an engine with several exits; see `rtsr.engine.stages`."""

    card: Card

    def stage(self, k: int, features: tuple[Array, ...]) -> tuple[Array, ...]: ...
    def head(self, k: int, features: tuple[Array, ...]) -> Array: ...
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
    errors: Array
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
        self._halo = 2 * -(-(max(exit.radius for exit in self.card.exits) + MARGIN) // 2)
        self._overhead = 1.4
        """Pixels of windows over pixels of their regions, running mean."""
        self._last: _State | None = None

    def within(self, frame: Sized, due_ns: float) -> tuple[Upscaled, Spent]:
        """The upscaled planes of `frame`, as good as can be had until `due_ns`."""
        state = self._begin(frame)
        reached = np.zeros_like(state.exits) if self._last is None else np.where(state.fresh, 0, self._last.exits)
        per_tile = np.array([self._exit_ns(k) for k in range(len(self._macs))])
        costs = state.grid.areas()[..., None] * per_tile * self._overhead / SIDE**2
        now = self.clock()
        wanted = _allocate(state, costs, due_ns - now, reached)
        most = max(due_ns - now, SLICE * FLOOR_NS) / SLICE / (per_tile[-1] * self._overhead)
        planes, spent = self._finish(state, wanted, int(most) + 1, due_ns)
        if state.fresh.any() and not spent.macs:
            self.costs.relax()
        return planes, spent

    def share(self, frame: Sized, quality: float) -> tuple[Upscaled, Spent]:
        """The upscaled planes of `frame` for the share `quality`, 0 to 1, of the compute of its last exit."""
        state = self._begin(frame)
        return self._finish(state, self._affordable(state, quality), state.exits.size, float("inf"))

    def _affordable(self, state: _State, quality: float) -> NDArray[np.intp]:
        """Exits for all tiles that cost `quality` of the whole frame at the last exit, halos included.

        What was spent on the last frame plays no part, so that a frame gets the same whatever came before it.
        """
        costs = state.grid.areas()[..., None] * self._macs
        full = float(costs[..., -1].sum())
        budget = allowed = quality * full * (1 + 1e-9)
        wanted = _allocate(state, costs, allowed)
        for _ in range(ROUNDS):
            spent = self._with_halos(state.grid, wanted)
            if spent <= budget:
                return wanted
            if budget >= full:
                return np.full_like(wanted, len(self._macs) - 1)  # In one piece there are no halos.
            allowed *= budget / spent
            wanted = _allocate(state, costs, allowed)
        return wanted

    def _with_halos(self, grid: Grid, wanted: NDArray[np.intp]) -> float:
        """Multiply-adds of taking tiles to the exits `wanted`."""
        return sum(
            self._macs[k] * self._seen(grid.rect_of(region), grid).area
            for k in range(1, len(self._macs))
            for region in join(wanted == k, wanted.size)
        )

    def _seen(self, rect: Rect, grid: Grid) -> Rect:
        """What a network must see to compute `rect`."""
        return window(rect, self._halo, grid, lcm(self.card.size_multiple, self.card.alignment))

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
        errors = np.empty((*fresh.shape, len(self._macs)), np.float32) if last is None else last.errors.copy()
        spent = Spent(np.zeros(len(self._macs), np.intp), full_macs=grid.width * grid.height * float(self._macs[-1]))
        state = _State(frame, grid, fresh, large, np.zeros(fresh.shape, np.intp), errors, spent)
        if fresh.any():
            state.errors[fresh] = self._expected_errors(state)
        spent.begin_ns = self.clock() - began
        return state

    def _changed(self, frame: Sized, grid: Grid) -> NDArray[np.bool_]:
        last = self._last
        if not self.reuse or last is None or last.grid != grid:
            self._last = None
            return np.ones((grid.rows, grid.columns), bool)
        return self.surface.changed(last.frame, frame, grid, self._halo)

    def _expected_errors(self, state: _State) -> Array:
        """Expected errors of the fresh tiles, (N, exits + 1), white being 1.

        They are made of what the estimator says in dB (ENAF, equation 7); bicubic is thought better by `GAMMA` dB
        on blank tiles (equation 8). Tiles that are cut off by the frame's border are judged filled with their
        mirror image.
        """
        assert self.card.estimator is not None
        estimates = self.card.estimator.sign * self.engine.estimate(_tiles(self._colours(state)[0], state.fresh))
        estimates[:, 0] += GAMMA * (_edge_scores(self.surface.luma(state.frame), state.grid)[state.fresh] <= BLANK)
        return np.power(10, -estimates / 10, dtype=np.float32)

    def _finish(self, state: _State, wanted: NDArray[np.intp], most: int, due_ns: float) -> tuple[Upscaled, Spent]:
        """Take over what need not be done again, refine the rest in regions of at most `most` tiles, and remember."""
        kept = self._take_over(state, wanted)
        todo = (wanted > 0) & ~kept
        regions = [(region, k) for k in range(1, len(self._macs)) for region in join(todo & (wanted == k), most)]
        for region, k in sorted(regions, key=lambda job: -self._worth(state, *job)):
            self._refine(state, region, k, due_ns)
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
        rect = state.grid.rect_of(region)
        seen = self._seen(rect, state.grid)
        self._overhead += 0.02 * (seen.area / rect.area - self._overhead)
        rows, columns = seen.pixels
        features: tuple[Array, ...] = (np.ascontiguousarray(self._colours(state)[:, :, rows, columns]),)
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
        needed = self.costs.cautious_ns(f"stage {k}", pixels) + self.costs.cautious_ns(f"head {k}", pixels)
        return self.clock() + needed <= due_ns

    def least_ns(self) -> float:
        """Expected time of the smallest refinement: one tile with its halo to the first exit."""
        pixels = (SIDE + 2 * self._halo) ** 2
        return self.costs.expected_ns("stage 1", pixels) + self.costs.expected_ns("head 1", pixels)

    def _exit_ns(self, k: int) -> float:
        """Expected time that a tile takes to exit `k` in the midst of others."""
        stages = sum(self.costs.expected_ns(f"stage {i}", SIDE**2) for i in range(1, k + 1))
        return stages + self.costs.expected_ns(f"head {k}", SIDE**2) if k else 0.0

    def _timed(self, name: str, pixels: int, work: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
        began = self.clock()
        result = work(*args, **kwargs)
        self.costs.observe(name, pixels, self.clock() - began)
        return result

    def _colours(self, state: _State) -> Array:
        """The whole frame as the network's input, (1, 3, H, W); made when first needed."""
        if state.rgb is None:
            rgb, multiple = self.surface.rgb(state.frame), self.card.size_multiple
            state.rgb = np.pad(rgb, ((0, 0), (0, 0), *((0, -side % multiple) for side in rgb.shape[2:])), mode="edge")
        return state.rgb


def _tiles(planes: NDArray, chosen: NDArray[np.bool_]) -> NDArray:
    """The `chosen` tiles of `planes` (C, H, W), mirrored at the right and at the bottom: (N, C, SIDE, SIDE)."""
    rows, columns = chosen.shape
    missing = [(0, n * SIDE - side) for n, side in zip(chosen.shape, planes.shape[1:], strict=True)]
    whole = np.pad(planes, ((0, 0), *missing), mode="symmetric")
    tiles = whole.reshape(-1, rows, SIDE, columns, SIDE).transpose(1, 3, 0, 2, 4)
    return np.ascontiguousarray(tiles[chosen] if not chosen.all() else tiles.reshape(-1, len(planes), SIDE, SIDE))


def _edge_scores(luma: NDArray[np.uint8], grid: Grid) -> NDArray[np.floating]:
    """Mean |Laplacian| of every tile of a luma plane, (rows, columns), as the blank test takes it."""
    edges = cv2.convertScaleAbs(cv2.Laplacian(luma, cv2.CV_16S, ksize=3)).astype(np.uint8, copy=False)
    return window_sums(edges, grid) / grid.areas()


def _allocate(
    state: _State, costs: NDArray[np.float64], budget: float, reached: NDArray[np.intp] | None = None
) -> NDArray[np.intp]:
    """The exit wanted for every tile, (rows, columns)."""
    errors = state.errors.reshape(-1, state.errors.shape[-1])
    gains = (errors[:, :1] - errors) * state.grid.areas().reshape(-1, 1)
    start = None if reached is None else reached.ravel()
    return allocate(gains, costs.reshape(gains.shape), budget, start).exits.reshape(state.exits.shape)


def _expected_psnr(state: _State) -> float:
    """Peak signal-to-noise ratio that the estimates promise for the whole frame, in dB."""
    errors = np.take_along_axis(state.errors, state.exits[..., None], axis=2)[..., 0]
    return float(-10 * np.log10(np.average(errors, weights=state.grid.areas())))
