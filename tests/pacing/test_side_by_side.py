"""Regions are refined by several threads at once: with the same result, by the quicker one where time is short."""

import os
import threading
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

from rtsr.engine.choice import Means
from rtsr.engine.fake import FakeStagedEngine
from rtsr.frame import Colour, Frame
from rtsr.pacing.anytime import Refiner
from rtsr.pacing.calibration import calibrate_exits
from rtsr.pacing.deadline import CostModel, Rate
from rtsr.pacing.mixed import open_ways, side_by_side
from rtsr.resources import networks

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
    """Knows which threads ran it; those but the main one may fail."""

    at_once = 2
    fails = False

    def exit(self, k, tiles):
        self.threads = [*getattr(self, "threads", []), threading.current_thread()]
        if self.fails and threading.current_thread() is not threading.main_thread():
            raise RuntimeError("out of order")
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
        with open_ways(network, network.card.macs_per_pixel, Means("onnx", threads=threads)) as engine:
            assert engine.at_once == threads
            refine = Refiner(engine, lambda: 0.0, CostModel({}))
            found.append([refine.share(frame(seed), quality) for seed in (0, 0, 1)])
            refine.close()
    for (alone, spent), (together, also) in zip(*found, strict=True):
        for plane, other in zip(alone, together, strict=True):
            np.testing.assert_array_equal(plane, other)
        assert spent.tiles.tolist() == also.tiles.tolist() and spent.reused == also.reused
        assert spent.macs == pytest.approx(also.macs)


def test_what_fails_in_any_thread_is_an_error_here() -> None:
    engine = Noted(Fraction(2))
    refine = Refiner(engine, lambda: 0.0, CostModel({}), reuse=False)
    engine.fails = True
    with pytest.raises(RuntimeError, match="out of order"):
        for seed in range(50):  # The other thread gets its turn sooner or later.
            refine.share(frame(seed), 1.0 if seed % 2 else 0.5)
    engine.fails = False
    large, spent = refine.share(frame(0), 1.0)
    assert spent.tiles[-1] == spent.tiles.sum() and large
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


def test_side_by_side_runs_are_for_processors_with_several_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    own = FakeStagedEngine(Fraction(2))
    own.provider = SimpleNamespace(name="cpu")
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert side_by_side(own, Means()) == (2, Means(threads=1))
    assert side_by_side(own, Means(threads=1)) == (1, Means(threads=1))
    assert side_by_side(own, Means(threads=4)) == (2, Means(threads=3))
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert side_by_side(own, Means()) == (2, Means())
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert side_by_side(own, Means()) == (1, Means())
    own.provider = SimpleNamespace(name="cuda")
    assert side_by_side(own, Means(threads=4)) == (1, Means(threads=4))
    assert side_by_side(FakeStagedEngine(Fraction(2)), Means(threads=4))[0] == 1
