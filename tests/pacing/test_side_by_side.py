"""Regions are refined by several threads at once: with the same result, by the quicker one where time is short."""

import threading
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

from rtsr.engine.choice import Means
from rtsr.engine.fake import FakeStagedEngine
from rtsr.errors import OutOfMemory
from rtsr.frame import Colour, Frame
from rtsr.pacing.anytime import Refiner
from rtsr.pacing.calibration import calibrate_exits
from rtsr.pacing.deadline import TOLERANCE_NS, CostModel, Rate
from rtsr.pacing.mixed import open_ways
from rtsr.pacing.workers import EFFICIENCY, Queue, Workers
from rtsr.processor import cores
from rtsr.regions import Region
from rtsr.resources import Network, networks

RATES = {f"exit {k}": Rate(1e5, 100.0 * k) for k in (1, 2, 3)}
"""Nanoseconds: a tile takes half a millisecond at the first exit."""


class Together(FakeStagedEngine):
    """Its first two runs wait for each other; it knows which threads ran it."""

    at_once = 2

    def __init__(self) -> None:
        super().__init__(Fraction(2))
        self.met, self.threads = threading.Barrier(2, timeout=20), list[str]()

    def exit(self, k, tiles):
        self.threads.append(threading.current_thread().name)
        if len(self.threads) <= 2:
            self.met.wait()
        return super().exit(k, tiles)


class Noted(FakeStagedEngine):
    """Knows which threads ran it."""

    at_once = 2

    def exit(self, k, tiles):
        self.threads = [*getattr(self, "threads", []), threading.current_thread()]
        return super().exit(k, tiles)


def frame(seed: int) -> Frame:
    random = np.random.default_rng(seed)
    planes = [random.integers(16, 236, shape, np.uint8) for shape in ((256, 448), (128, 224), (128, 224))]
    return Frame(*planes, Colour("bt709"))


def test_two_regions_are_refined_at_once() -> None:
    engine = Together()
    refine = Refiner(engine, lambda: 0.0, CostModel(dict(RATES)))
    refine.within(frame(0), 8e6)
    assert len(set(engine.threads[:2])) == 2
    refine.close()


def test_costs_are_those_beside_each_other() -> None:
    engine = Together()
    costs = calibrate_exits(engine)
    assert len(set(engine.threads[:2])) == 2 and costs.caution < CostModel({}).caution


@pytest.mark.parametrize("quality", [0.3, 0.7, 1.0])
def test_results_are_the_same_to_the_bit(quality: float) -> None:
    network = networks()["enaf-quicksrnet-medium-x2-photo"]
    found = []
    for threads in (1, 2):
        with open_ways(network, float("inf"), Means("onnx", threads=threads, precision="fp32")) as engine:
            assert engine.at_once == threads
            refine = Refiner(engine, lambda: 0.0, CostModel({}))
            found.append([refine.share(frame(seed), quality) for seed in (0, 0, 1)])
            refine.close()
    for (alone, spent), (together, also) in zip(*found, strict=True):
        for plane, other in zip(alone, together, strict=True):
            np.testing.assert_array_equal(plane, other)
        assert spent.tiles.tolist() == also.tiles.tolist() and spent.reused == also.reused
        assert spent.macs == pytest.approx(also.macs)


@pytest.mark.parametrize("other", [True, False])
def test_what_fails_in_any_thread_is_an_error_here_and_ends_all(other: bool) -> None:
    engine = Together()
    refine, run = Refiner(engine, lambda: 0.0, CostModel(dict(RATES)), reuse=False), engine.exit
    refine.within(frame(0), 20e6)
    regions = len(engine.threads)
    engine.threads.clear()

    def fails(k, tiles):
        made = run(k, tiles)  # Both are at work by then.
        if (threading.current_thread() is not threading.main_thread()) == other:
            raise RuntimeError("out of order")
        return made

    engine.exit = fails
    with pytest.raises(RuntimeError, match="out of order"):
        refine.within(frame(0), 20e6)
    assert len(engine.threads) <= 4 < regions
    engine.exit = run
    _, spent = refine.within(frame(0), 20e6)
    assert spent.tiles[1:].sum() > 0
    refine.close()


@pytest.mark.parametrize("slow", ["this", "the other"])
def test_a_thread_without_time_leaves_regions_to_the_quicker(slow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Noted(Fraction(2))
    costs = CostModel(dict(RATES), slowness=50.0 if slow == "this" else 1.0)
    refine = Refiner(engine, lambda: 0.0, costs)
    _, other = refine._workers.costs
    other.slowness = 51.0 - costs.slowness
    rounds, once = [], refine._refine
    monkeypatch.setattr(refine, "_refine", lambda *args: rounds.append(once(*args)) or rounds[-1])
    # On a clock that stands still there is time for every region by the quicker thread, and for none by the other.
    _, spent = refine.within(frame(3), 60e6)
    assert spent.tiles[-1] == spent.tiles.sum() and rounds[:2] == [True, False]
    assert {thread is threading.main_thread() for thread in engine.threads} == {slow == "the other"}
    refine.close()


def test_one_region_is_refined_though_this_thread_is_slow() -> None:
    engine = Noted(Fraction(2))
    refine = Refiner(engine, lambda: 0.0, CostModel(dict(RATES), slowness=50.0))
    refine._workers.costs[1].slowness = 1.0
    small = frame(4)
    small = replace(small, y=small.y[:64, :64], u=small.u[:32, :32], v=small.v[:32, :32])
    _, spent = refine.within(small, 10e6)
    assert spent.tiles.tolist() == [0, 0, 0, 1]
    refine.close()


def test_who_has_no_time_for_a_region_takes_another_or_leaves_it_whole() -> None:
    def queue(*jobs: tuple[Region, int], due_ns: float = 10e6) -> Queue:
        return Queue(list(jobs), workers, due_ns, lambda: 0.0, lambda job: 10_000 * job[0].rows, float("inf"))

    large, small, short = (Region(0, 0, 4, 1), 3), (Region(4, 0, 1, 1), 3), (Region(4, 0, 1, 1), 1)
    workers = Workers(CostModel({"exit 1": Rate(0, 100), "exit 3": Rate(0, 150)}, deviation=0.0), 1)
    quick, slow = workers.costs
    slow.slowness = 4.0
    assert queue(large, small).take(quick) == small, "the last first; 1.5 ms"
    assert queue(small, large).take(slow) == small, "6 ms; the large one takes 24, and the quick thread 6"
    found = queue(large)
    assert found.take(slow) is None and found.left_over == [slow] and found.take(quick) == large, "in one piece"
    assert found.take(quick) is None and found.left_over == [slow], "nothing is left"
    found = queue(large, large)
    assert found.take(quick) == large, "done after 6 ms; another one would be late"
    assert found.take(slow) == (Region(2, 0, 1, 1), 3), "a quarter; the next half is for the quick thread"
    found = queue(large, large, due_ns=13e6)
    assert found.take(quick) == large and found.take(slow) is None, "the quick thread has time for both"
    found = queue(due_ns=3e6)
    assert found.take(quick) is None, "it is not to come back"
    found.put_back(small)
    assert found.take(slow) == small, "for an earlier exit"
    quick.wait_ns = 10e6
    assert queue(short, due_ns=5e6).take(slow) == short, "the quick thread often waits too long"
    assert queue(short, due_ns=0.0).take(slow) is None


def test_what_is_too_large_for_the_memory_is_halved_by_any_thread() -> None:
    class Small(Noted):
        def exit(self, k, tiles):
            made = super().exit(k, tiles)
            if tiles.shape[2] * tiles.shape[3] > 20_000:
                raise OutOfMemory("too large")
            return made

    refine = Refiner(Small(Fraction(2)), lambda: 0.0, CostModel({}))
    for seed in range(5):
        _, spent = refine.share(frame(seed), 1.0)
        assert spent.tiles[-1] == spent.tiles.sum()
    assert refine._room <= 448 * 256
    refine.close()


def test_all_of_a_plan_counts_and_the_longest_run_is_by_one() -> None:
    workers = Workers(CostModel({}, wait_ns=TOLERANCE_NS / 2), 1)
    assert workers.budget_ns(10e6, 2e6) == pytest.approx(8e6 * (1 + EFFICIENCY))
    workers.costs[1].slowness, workers.costs[1].wait_ns = 2.0, TOLERANCE_NS / 2 + 2e6
    assert workers.budget_ns(10e6, 2e6) == pytest.approx(8e6 + EFFICIENCY * 3e6)
    assert workers.left_ns(10e6, 2e6) == 8e6


@pytest.mark.parametrize(("threads", "runs"), [(1, 1), (2, 2), (3, 1), (4, 1), (None, 2 if cores() == 2 else 1)])
@pytest.mark.parametrize("provider", ["cpu", "cuda"])
def test_two_cores_have_a_run_each(
    threads: int | None, runs: int, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[int | None] = []

    def opening(means: Means, network: Network, *rest: object, **more: object) -> FakeStagedEngine:
        opened.append(means.threads)
        engine = FakeStagedEngine(Fraction(2))
        engine.provider = SimpleNamespace(name=provider)
        return engine

    monkeypatch.setattr(Means, "open", opening)
    network, means = networks()["enaf-quicksrnet-medium-x2-photo"], Means("onnx", threads=threads, precision="fp32")
    for most, expected in ((float("inf"), runs if provider == "cpu" else 1), (network.card.macs_per_pixel, 1)):
        opened.clear()
        assert open_ways(network, most, means).at_once == expected
        assert set(opened[1:]) == {1 if expected == 2 else threads}, "what is opened first may be opened again"
