"""Frames are refined as far as their time allows, and no further; unchanged tiles are taken over as they are."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from rtsr.cubic import enlarge
from rtsr.engine.fake import FakeStagedEngine
from rtsr.frame import Colour, Frame
from rtsr.pacing.anytime import Refiner
from rtsr.pacing.deadline import TOLERANCE_NS, CostModel, Rate
from rtsr.regions import Region
from rtsr.surface import Captured, Upscaled

MS = 1e6
RATES = {"exit 1": Rate(0.1 * MS, 80), "exit 2": Rate(0.2 * MS, 120), "exit 3": Rate(0.3 * MS, 200)}
"""Nanoseconds: the whole of a 320x192 frame takes 12 ms at the last exit."""
WIDTH, HEIGHT = 320, 192


class Scripted(FakeStagedEngine):
    """Takes the time that a script says, on a clock that only this engine moves."""

    def __init__(self, slowness: Callable[[float], float], scale: Fraction = Fraction(2)) -> None:
        super().__init__(scale)
        self.slowness = slowness
        self.now = 0.0

    def exit(self, k, tiles):
        self._take(f"exit {k}", tiles)
        return super().exit(k, tiles)

    def _take(self, name: str, image: np.ndarray) -> None:
        self.now += RATES[name].cost_ns(image.shape[2] * image.shape[3]) * self.slowness(self.now)


def refiner(slowness: Callable[[float], float], **options) -> Refiner:
    engine = Scripted(slowness)
    return Refiner(engine, lambda: engine.now, CostModel(RATES), **options)


def ticking() -> Refiner:
    """On a steady machine; interpolating all takes 4 ms and colours 3 ms, and tiles are judged without an estimator."""
    refine = refiner(lambda now: 1.0)
    exits = tuple(replace(found, gain=1.0 + k) for k, found in enumerate(refine.card.exits))
    refine.card = replace(refine.card, exits=exits)
    refine.surface = Ticking(refine.engine)
    return refine


class Ticking(Captured):
    def __init__(self, engine: Scripted) -> None:
        super().__init__()
        self.engine = engine

    def enlarge(self, frame: Frame, scale: Fraction) -> Upscaled:
        self.engine.now += 4 * MS * share(frame)
        return super().enlarge(frame, scale)

    def rgb(self, frame: Frame) -> np.ndarray:
        self.engine.now += 3 * MS * share(frame)
        return super().rgb(frame)


def share(part: Frame) -> float:
    return part.width * part.height / (WIDTH * HEIGHT)


def frame(seed: int, flat: float = 0.5) -> Frame:
    """Noise on the right, a flat part on the left."""
    random = np.random.default_rng(seed)
    y = random.integers(16, 236, (HEIGHT, WIDTH), np.uint8)
    u, v = (random.integers(100, 150, (HEIGHT // 2, WIDTH // 2), np.uint8) for _ in range(2))
    for plane, grey in ((y, 100), (u, 128), (v, 128)):
        plane[:, : int(plane.shape[1] * flat)] = grey
    return Frame(y, u, v, Colour("bt709"))


def jitter(seed: int) -> Callable[[float], float]:
    random = np.random.default_rng(seed)
    return lambda _: float(random.uniform(0.8, 1.5))


def rival(seed: int) -> Callable[[float], float]:
    """From 500 ms on another process has one of two cores, in turns: a stage takes up to twice its time."""
    random = np.random.default_rng(seed)
    return lambda now: 1.0 if now < 500 * MS else float(random.uniform(1, 2))


SITUATIONS = {
    "steady": lambda seed: lambda now: 1.0,
    "slow machine": lambda seed: lambda now: 3.0,
    "jitter": jitter,
    "doubled half-way": lambda seed: lambda now: 1.0 if now < 500 * MS else 2.0,
    "a core shared from half-way": lambda seed: rival(seed),
}


@pytest.mark.parametrize("name", SITUATIONS)
@pytest.mark.parametrize("budget_ms", [1, 3, 5, 10, 20])
@pytest.mark.parametrize("seed", range(3))
def test_deadlines_hold_whatever_the_machine_does(name: str, budget_ms: int, seed: int) -> None:
    refine = refiner(SITUATIONS[name](seed), reuse=False)
    engine = refine.engine
    pictures = [frame(seed), frame(seed + 1)]
    late, used = 0, []
    for i in range(120):
        due = engine.now + budget_ms * MS
        began = engine.now
        refine.within(pictures[i % 2], due)
        late += engine.now > due + TOLERANCE_NS
        used.append((engine.now - began) / (budget_ms * MS))
        engine.now = max(engine.now, due)
    # At first a slow machine is not known to be one.
    assert late <= 2
    if budget_ms == 5 and name in ("steady", "slow machine"):
        assert np.mean(used[20:]) > 0.6


def test_a_stall_costs_the_frame_that_it_hits_and_no_other() -> None:
    stalled = []

    def slowness(now: float) -> float:
        if now > 400 * MS and not stalled:
            stalled.append(now)
            return 500 * MS / RATES["exit 1"].cost_ns(2000)
        return 1.0

    refine = refiner(slowness, reuse=False)
    engine, late, tiles = refine.engine, [], []
    for i in range(100):
        due = engine.now + 8 * MS
        _, spent = refine.within(frame(i % 3), due)
        late.append(engine.now > due + TOLERANCE_NS)
        tiles.append(spent.tiles[1:].sum())
        engine.now = max(engine.now, due)
    assert sum(late) == 1 and stalled
    hit = late.index(True)
    assert tiles[hit + 15] >= 0.9 * tiles[hit - 1], "the model stays frightened"


@pytest.mark.parametrize("budget_ms", [6, 12, 24])
def test_waits_for_a_shared_core_are_allowed_for(budget_ms: int) -> None:
    """From 500 ms on, one stage in twenty waits up to 3 ms, however short it is, and all take up to twice as long."""
    random = np.random.default_rng(budget_ms)
    refine = refiner(rival(budget_ms), reuse=False)
    engine, take, late, refined = refine.engine, refine.engine._take, 0, 0

    def with_waits(name: str, image: np.ndarray) -> None:
        take(name, image)
        if engine.now > 500 * MS and random.random() < 0.05:
            engine.now += random.uniform(0, 3 * MS)

    engine._take = with_waits
    for i in range(150):
        due = engine.now + budget_ms * MS
        _, spent = refine.within(frame(i % 3), due)
        late += engine.now > due + TOLERANCE_NS
        refined += spent.tiles[1:].any()
        engine.now = max(engine.now, due)
    assert late <= 3 and refined > 140


@pytest.mark.parametrize("budget_ms", [4.5, 6, 7.1, 7.5, 8, 12, 20])
def test_time_to_get_ready_is_counted(budget_ms: float) -> None:
    refine = ticking()
    late, macs = [], []
    for i in range(40):
        due = refine.engine.now + budget_ms * MS
        _, spent = refine.within(frame(i % 3), due)
        late.append(refine.engine.now - due)
        macs.append(spent.macs)
    assert max(late[1:]) <= TOLERANCE_NS  # How long colours take is seen in the first frame.
    assert (macs[-1] > 0) == (budget_ms > 7.5)


def test_what_can_be_done_at_least_is_rehearsed() -> None:
    refine = ticking()
    needed = refine.rehearse(frame(1)) + refine.least_ns()
    assert 7 * MS < needed < 9 * MS
    _, less = refine.within(frame(1), refine.engine.now + 0.95 * needed)
    _, enough = refine.within(frame(2), refine.engine.now + 1.05 * needed)
    assert less.macs == 0 and enough.macs > 0


def test_a_still_picture_goes_on_only_where_there_is_time_for_its_colours() -> None:
    refine = ticking()
    for budget_ms in (9, 2.9, 5, 5):
        due = refine.engine.now + budget_ms * MS
        _, spent = refine.within(frame(1), due)
        assert refine.engine.now - due <= TOLERANCE_NS
        assert (spent.macs > 0) == (budget_ms > 3)


def test_more_time_takes_tiles_further() -> None:
    expected = []
    for budget_ms in (0, 2, 4, 8, 16, 1000):
        refine = refiner(lambda _: 1.0)
        _, spent = refine.within(frame(1), budget_ms * MS)
        expected.append(spent.expected_psnr)
    assert all(a <= b for a, b in pairwise(expected)) and expected[-1] > expected[0] + 1


def test_without_time_a_frame_is_interpolated() -> None:
    refine = refiner(lambda _: 1.0)
    picture = frame(2)
    planes, spent = refine.within(picture, 0)
    want = enlarge((picture.y, picture.u, picture.v), Fraction(2), True)
    assert all((a == b).all() for a, b in zip(planes, want, strict=True))
    assert spent.macs == 0 and spent.tiles.tolist() == [15, 0, 0, 0]


def test_flat_tiles_are_left_to_interpolation() -> None:
    _, spent = refiner(lambda _: 1.0).share(frame(3, flat=0.4), 1.0)
    assert spent.tiles.tolist() == [6, 0, 0, 9]


@pytest.mark.parametrize("quality", [0.0, 0.2, 0.5, 1.0])
def test_a_share_is_not_exceeded_halos_included(quality: float) -> None:
    _, spent = refiner(lambda _: 1.0).share(frame(4, flat=0), quality)
    assert 0.5 * quality * spent.full_macs <= spent.macs <= quality * spent.full_macs * (1 + 1e-6)


@pytest.mark.parametrize("scale", [Fraction(3, 2), Fraction(2)])
@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("odd", [0, 1])
def test_reuse_changes_nothing_but_the_work(scale: Fraction, left: bool, odd: int) -> None:
    with_reuse, without = (
        Refiner(engine, lambda: 0.0, CostModel(RATES), reuse)
        for reuse, engine in ((True, FakeStagedEngine(scale)), (False, FakeStagedEngine(scale)))
    )
    picture = frame(5)
    for i in range(6):
        y, u = picture.y[odd:, odd:].copy(), picture.u.copy()
        y[40:60, 200 + 8 * i : 220 + 8 * i] = 30 * i
        u[80:90, 100 : 102 + i] = 200
        now = Frame(y, u, picture.v, replace(picture.colour, chroma_left=left))
        (a, spent), (b, full) = with_reuse.share(now, 0.6), without.share(now, 0.6)
        assert all((p == q).all() for p, q in zip(a, b, strict=True))
        assert (spent.tiles == full.tiles).all()
        if i:
            assert spent.reused > 8 and spent.macs < 0.7 * full.macs


def test_a_paused_picture_gets_better_until_it_is_done_and_then_costs_nothing() -> None:
    refine = refiner(lambda _: 1.0)
    picture, reached, macs = frame(6, flat=0), [], []
    for _ in range(30):
        planes, spent = refine.within(picture, refine.engine.now + 4 * MS)
        reached.append(spent.expected_psnr)
        macs.append(spent.macs)
    assert all(a <= b for a, b in pairwise(reached)) and reached[-1] > reached[0]
    assert macs[-1] == 0 and (refine.within(picture, refine.engine.now + 4 * MS)[0][0] == planes[0]).all()


@pytest.mark.parametrize("best", [1, 2, 3])
def test_a_paused_picture_that_is_done_leaves_the_cost_model_as_it_was(best: int) -> None:
    """Which exit is best for a tile is not a matter of their order."""
    refine = ticking()
    exits = tuple(replace(found, gain=3.0 - abs(k - best)) for k, found in enumerate(refine.card.exits, 1))
    refine.card = replace(refine.card, exits=exits)
    costs, picture = [], frame(6, flat=0)
    for _ in range(60):
        _, spent = refine.within(picture, refine.engine.now + 12 * MS)
        costs.append((refine.costs.deviation, refine.costs.slowness))
    assert spent.tiles[best] == spent.tiles.sum() and spent.macs == 0
    assert len(set(costs[30:])) == 1


class Stalling(Ticking):
    """The first conversion of colours after `stall` was set takes so many milliseconds more."""

    stall = 0.0

    def rgb(self, frame: Frame) -> np.ndarray:
        self.engine.now += self.stall * MS
        self.stall = 0.0
        return super().rgb(frame)


def test_a_paused_picture_goes_on_getting_better_after_a_stall() -> None:
    refine = ticking()
    refine.surface = surface = Stalling(refine.engine)
    for i in range(400):
        surface.stall = 30.0 if i == 3 else 0.0
        due = refine.engine.now + (12 if i == 0 else 5) * MS
        _, spent = refine.within(frame(1, flat=0), due)
        refine.engine.now = max(refine.engine.now, due)
    assert spent.tiles[-1] == spent.tiles.sum() and spent.macs == 0


@pytest.mark.parametrize("stall", [10.0, 100.0, 500.0])
def test_a_stall_in_the_first_frame_costs_few_of_the_next(stall: float) -> None:
    refine = ticking()
    refine.surface = surface = Stalling(refine.engine)
    surface.stall, refined = stall, []
    for i in range(20):
        due = refine.engine.now + 12 * MS
        _, spent = refine.within(frame(i % 3, flat=0), due)
        refined.append(spent.macs > 0)
        refine.engine.now = max(refine.engine.now, due)
    assert all(refined[8:])


def test_what_was_handed_out_is_not_written_to_again() -> None:
    refine = refiner(lambda _: 1.0)
    picture = frame(8, flat=0)
    handed_out = []
    for _ in range(8):
        planes, _ = refine.within(picture, refine.engine.now + 3 * MS)
        handed_out.append((planes, [plane.copy() for plane in planes]))
    assert any((a != b).any() for a, b in zip(handed_out[0][1], handed_out[-1][1], strict=True))
    for planes, copies in handed_out:
        assert all((a == b).all() for a, b in zip(planes, copies, strict=True))


def test_time_that_was_not_needed_is_used() -> None:
    """Everything takes half of what was measured at the start: the first plan is done early, and a second one made."""
    refine = refiner(lambda _: 0.5)
    _, spent = refine.within(frame(9, flat=0), 5 * MS)
    cautious = refiner(lambda _: 1.0)
    _, planned = cautious.within(frame(9, flat=0), 5 * MS)
    assert refine.engine.now > 0.7 * 5 * MS and not spent.short
    assert spent.macs > 1.4 * planned.macs and spent.expected_psnr > planned.expected_psnr


def test_what_there_is_no_time_for_goes_to_an_earlier_exit() -> None:
    """The machine becomes three times slower behind the plan: the one tile that it is about does not reach exit 3."""
    refine = refiner(lambda _: 1.0)
    picture = frame(10, flat=0)
    small = Frame(picture.y[:64, :64], picture.u[:32, :32], picture.v[:32, :32], picture.colour)
    plan = refine._planner.plan

    def slowed(*given, **named):
        refine.costs.slowness = 3.0 if refine.engine.now == 0 else refine.costs.slowness
        return np.full_like(plan(*given, **named), 3)

    refine._planner.plan = slowed
    _, spent = refine.within(small, 2 * MS)
    assert spent.tiles.tolist() == [0, 1, 0, 0] and spent.short == 1


@pytest.mark.parametrize(
    ("left", "now_ms", "found"),
    [
        ([9, 5, 4, 3], 1.0, 2),
        ([9, 4, 5, 3], 1.0, 1),
        ([9, 5, 4, 3], 1.5, 1),
        ([9, 10, 11, 3], 1.0, 0),
        ([2, 5, 4, 3], 1.0, 0),
    ],
)
def test_what_there_is_no_time_for_goes_to_the_best_there_is_time_for(
    left: list[float], now_ms: float, found: int
) -> None:
    """Exits 1 to 3 would take 0.44, 0.71 and 1.15 ms; never is a tile made worse, nor interpolated once more."""
    refine = refiner(lambda _: 1.0)
    state = refine._begin(frame(10, flat=0))
    refine._take_over(state, ~state.fresh)
    state.errors = np.tile(np.array(left, float), (*state.fresh.shape, 1))
    refine.engine.now = now_ms * MS
    refine.costs.deviation = 0.0
    refine._refine_region(state, Region(0, 0, 1, 1), 3, 2 * MS, refine.costs)
    assert state.exits[0, 0] == found and not state.exits.ravel()[1:].any()


def test_what_removes_most_for_its_time_is_first() -> None:
    refine = refiner(lambda _: 1.0)
    state = refine._begin(frame(10, flat=0))
    state.errors = np.tile(np.array([9.0, 8.0, 7.0, 6.0]), (*state.fresh.shape, 1))
    one, price = Region(0, 0, 1, 1), refine._price()
    worth = [refine._worth(state, one, k, price) for k in (1, 2, 3)]
    rates = [(k * 64**2) / RATES[f"exit {k}"].cost_ns(65**2) for k in (1, 2, 3)]  # Chroma takes a pixel more.
    assert worth == pytest.approx(rates)
    large = refine._worth(state, Region(0, 0, 2, 2), 3, price)
    assert large > worth[2], "more for each start"
    state.errors[0, 0] *= 2
    assert refine._worth(state, one, 3, price) == pytest.approx(2 * worth[2])


def test_another_size_or_colour_starts_anew() -> None:
    refine = refiner(lambda _: 1.0)
    picture = frame(7)
    refine.share(picture, 1.0)
    smaller = Frame(picture.y[:100], picture.u[:50], picture.v[:50], picture.colour)
    planes, spent = refine.share(smaller, 1.0)
    assert planes[0].shape == (200, 640) and spent.reused == 0


def test_a_rehearsal_counts_planning_each_time() -> None:
    refine = ticking()
    plan = refine._planner.plan

    def slow_plan(errors, grid, price, budget, *more):
        refine.engine.now += 5 * MS * (budget > 0)  # Without time there is nothing to plan.
        return plan(errors, grid, price, budget, *more)

    refine._planner.plan = slow_plan  # type: ignore[method-assign]
    for _ in range(3):
        assert refine.rehearse(frame(1)) == 12 * MS
