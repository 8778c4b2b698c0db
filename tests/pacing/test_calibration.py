"""What exits cost, on a clock that only their work moves: in proportion, with few runs of what takes long."""

from fractions import Fraction

import numpy as np
import pytest

from rtsr.engine.fake import FakeStagedEngine
from rtsr.pacing.calibration import LONG_NS, ROUNDS, SIDES, calibrate_exits, calibrate_whole


class Slow(FakeStagedEngine):
    """Exit k takes k times `pixel_ns` a pixel, and a millisecond; twice that when it sees a size for the first time."""

    def __init__(self, pixel_ns: float, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(Fraction(2))
        self.pixel_ns, self.runs, self.now = pixel_ns, [], 0.0
        monkeypatch.setattr("rtsr.pacing.calibration.perf_counter_ns", lambda: self.now)

    def exit(self, k: int, tiles: np.ndarray) -> np.ndarray:
        first = (k, tiles.shape[-1]) not in self.runs
        self.runs.append((k, tiles.shape[-1]))
        self.now += (1 + first) * (1e6 + k * self.pixel_ns * tiles.shape[-1] * tiles.shape[-2])
        return super().infer(tiles)

    def infer(self, tiles: np.ndarray) -> np.ndarray:
        self.now += self.pixel_ns * tiles.shape[-1] * tiles.shape[-2]
        return super().infer(tiles)


def test_every_exit_gets_its_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Slow(200.0, monkeypatch)
    costs = calibrate_exits(engine)
    for k in (1, 2, 3):
        assert costs.expected_ns(f"exit {k}", 100_000) == pytest.approx(1e6 + k * 20e6)
    assert len(engine.runs) == len(SIDES) * (ROUNDS + 1) * 3


def test_what_takes_long_is_timed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Slow(LONG_NS / SIDES[1] ** 2 / 2.5, monkeypatch)  # The third exit, over the larger picture.
    costs = calibrate_exits(engine)
    assert engine.runs.count((3, SIDES[1])) == 2  # And once for nothing.
    assert engine.runs.count((2, SIDES[1])) == engine.runs.count((3, SIDES[0])) == ROUNDS + 1
    assert costs.expected_ns("exit 3", SIDES[1] ** 2) == pytest.approx(1e6 + 3 / 2.5 * LONG_NS)


@pytest.mark.parametrize("turn", range(ROUNDS + 1))
def test_a_stall_is_no_cost(turn: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is opening an engine, which may happen in the first run."""
    engine, run = Slow(200.0, monkeypatch), Slow.exit

    def stalls(self: Slow, k: int, tiles: np.ndarray) -> np.ndarray:
        self.now += 800e6 * (self.runs.count((k, tiles.shape[-1])) == turn and k == 1)
        return run(self, k, tiles)

    monkeypatch.setattr(Slow, "exit", stalls)
    assert calibrate_exits(engine).expected_ns("exit 1", 100_000) == pytest.approx(21e6)


def test_whole_networks_are_rungs(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Slow(10.0, monkeypatch)
    costs = calibrate_whole([engine, engine])
    assert [costs.expected_ns(f"rung {i}", 50_000) for i in (0, 1)] == pytest.approx([5e5, 5e5])
