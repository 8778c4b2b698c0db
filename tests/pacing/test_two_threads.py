"""Deadlines hold where two threads refine side by side: each on a clock of its own that only its runs move."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction

import numpy as np
import pytest

from rtsr.engine.fake import FakeStagedEngine
from rtsr.pacing.anytime import Refiner
from rtsr.pacing.calibration import CAUTION_AT_ONCE
from rtsr.pacing.deadline import TOLERANCE_NS, CostModel
from rtsr.pacing.workers import Workers
from tests.pacing.test_anytime import MS, RATES, frame

Script = Callable[[int, float], float]
"""How slow a thread, 0 or 1, is at a time in nanoseconds."""


class Scripted(FakeStagedEngine):
    """Two threads run it. Of those at work the one that is behind goes on, so that all happens in the order of time."""

    at_once = 2

    def __init__(self, slowness: Script) -> None:
        super().__init__(Fraction(2))
        self.slowness, self.now, self.runs = slowness, 0.0, [0, 0]
        self._times, self._ends = dict[int, float](), list[float]()
        self._turn = threading.Condition()

    def clock(self) -> float:
        """The time in this thread."""
        return self._times.get(which(), self.now)

    def exit(self, k, tiles):
        cost = RATES[f"exit {k}"].cost_ns(tiles.shape[2] * tiles.shape[3])
        with self._turn:
            self.runs[which()] += 1
            self._times[which()] += cost * self.slowness(which(), self.clock())
            self._wait()
        return super().exit(k, tiles)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """This thread works from now on; nobody begins before both do."""
        with self._turn:
            self._times[which()] = self.now
            self._turn.notify_all()
            assert self._turn.wait_for(lambda: len(self._times) == 2, 20)
            self._wait()
        try:
            yield
        finally:
            with self._turn:
                self._ends.append(self._times[which()])
                self._times[which()] = float("inf")
                self._turn.notify_all()

    def together(self) -> None:
        """Both are done: it is as late as it is for the later one."""
        self.now, self._ends = max(self._ends), []
        self._times.clear()

    def _wait(self) -> None:
        self._turn.notify_all()
        assert self._turn.wait_for(lambda: self._times[which()] == min(self._times.values()), 20)


class Threads(Workers):
    def __init__(self, engine: Scripted, costs: CostModel) -> None:
        super().__init__(costs, 1)
        self.engine = engine

    def run(self, work: Callable[[CostModel], None]) -> None:
        def working(costs: CostModel) -> None:
            with self.engine.at_work():
                work(costs)

        super().run(working)
        self.engine.together()


def costs_of() -> CostModel:
    """As they are for two threads."""
    return CostModel(RATES, caution=CAUTION_AT_ONCE)


def which() -> int:
    return int(threading.current_thread() is not threading.main_thread())


def refiner(slowness: Script) -> tuple[Refiner, Scripted]:
    engine = Scripted(slowness)
    refine = Refiner(engine, engine.clock, costs_of(), reuse=False)
    refine.close()
    refine._workers = Threads(engine, refine.costs)
    return refine, engine


def jitter(seed: int) -> Script:
    random = np.random.default_rng(seed)
    return lambda thread, now: float(random.uniform(0.8, 1.5))


def rival(seed: int, slow: int) -> Script:
    """From 200 ms on another process has the core of a thread in turns: what it does takes up to three times."""
    random = np.random.default_rng(seed)
    return lambda thread, now: 1.0 if now < 200 * MS or thread != slow else float(random.uniform(1, 3))


SITUATIONS: dict[str, Callable[[int], Script]] = {
    "steady": lambda seed: lambda thread, now: 1.0,
    "slow machine": lambda seed: lambda thread, now: 3.0,
    "one core is slow": lambda seed: lambda thread, now: 1.0 + 2 * (thread == seed % 2),
    "jitter": jitter,
    "doubled half-way": lambda seed: lambda thread, now: 1.0 if now < 200 * MS else 2.0,
    "a core shared from half-way": lambda seed: rival(seed, seed % 2),
}


@pytest.mark.parametrize("name", SITUATIONS)
@pytest.mark.parametrize("budget_ms", [3, 6])
@pytest.mark.parametrize("seed", range(2))
def test_deadlines_hold_whatever_either_thread_does(name: str, budget_ms: int, seed: int) -> None:
    refine, engine = refiner(SITUATIONS[name](seed))
    pictures = [frame(seed, 0.2), frame(seed + 1, 0.2)]
    late, used = 0, []
    for i in range(80):
        due = began = engine.now
        due += budget_ms * MS
        refine.within(pictures[i % 2], due)
        late += engine.now > due + TOLERANCE_NS
        used.append((engine.now - began) / (budget_ms * MS))
        engine.now = max(engine.now, due)
    refine._workers.close()
    assert late <= 2
    if budget_ms == 6 and name in ("steady", "slow machine", "one core is slow"):
        assert np.mean(used[20:]) > 0.6
    slow, quick = sorted(engine.runs)
    assert slow > 0
    if name == "one core is slow" and budget_ms == 6:
        assert quick > 1.5 * slow, "the quick thread does more"


def test_a_stall_of_one_thread_costs_the_frame_that_it_hits() -> None:
    stalled = []

    def slowness(thread: int, now: float) -> float:
        if thread == 1 and now > 300 * MS and not stalled:
            stalled.append(now)
            return 500 * MS / RATES["exit 1"].cost_ns(2000)
        return 1.0

    refine, engine = refiner(slowness)
    late, tiles = [], []
    for i in range(100):
        due = engine.now + 6 * MS
        _, spent = refine.within(frame(i % 3), due)
        late.append(engine.now > due + TOLERANCE_NS)
        tiles.append(spent.tiles[1:].sum())
        engine.now = max(engine.now, due)
    refine._workers.close()
    assert sum(late) == 1 and stalled
    hit = late.index(True)
    assert tiles[hit + 15] >= 0.9 * tiles[hit - 1], "the model stays frightened"


def test_two_threads_do_more_than_one_in_the_same_time() -> None:
    refine, engine = refiner(lambda thread, now: 1.0)
    _, spent = refine.within(frame(0), 5 * MS)
    assert min(engine.runs) > 0
    refine._workers.close()
    alone = Refiner(engine, engine.clock, costs_of(), reuse=False)
    alone.close()
    alone._workers = Threads(engine, alone.costs)
    alone._workers.costs[1].slowness = 1e3
    _, less = alone.within(frame(0), engine.now + 5 * MS)
    alone._workers.close()
    assert spent.macs > 1.5 * less.macs > 0
