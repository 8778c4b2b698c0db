"""Whole frames by networks with one exit, in both forms where 8 bits are quicker."""

from collections.abc import Sequence

import numpy as np
import pytest

from rtsr.engine.base import Engine
from rtsr.engine.int8 import Trial, trial
from rtsr.frame import Colour, Frame
from rtsr.pacing.deadline import CostModel, Rate
from rtsr.pacing.paced import Pace, PacedUpscaler
from rtsr.resources import networks

SMALL, MEDIUM = "quicksrnet-small-x2-photo", "quicksrnet-medium-x2-photo"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which 8 bits take half of the time."""
    if not trial(networks()[SMALL], 1).right:
        pytest.skip("sums of 8-bit products overflow on this processor")
    monkeypatch.setattr("rtsr.pacing.mixed.trial", lambda network, threads: Trial(True, 0.5))


def timed(*times_ms: float):
    """In place of measuring: what the rungs take, whole frames of any size."""

    def calibrate(engines: Sequence[Engine]) -> CostModel:
        assert len(engines) == len(times_ms)
        return CostModel({f"rung {i}": Rate(ms * 1e6, 0) for i, ms in enumerate(times_ms)}, deviation=0.05)

    return calibrate


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("times", "kept"), [((13, 22, 25, 59), [0, 1, 2, 3]), ((13, 26, 25, 59), [0, 2, 3]), ((30, 26, 61, 59), [1, 3])]
)
def test_a_rung_takes_less_time_than_every_better_one(
    times: tuple[float, ...], kept: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{SMALL} in 8 bits", SMALL, f"{MEDIUM} in 8 bits", MEDIUM]
    monkeypatch.setattr("rtsr.pacing.whole.calibrate_whole", timed(*times))
    y, half = np.full((48, 64), 90, np.uint8), np.full((24, 32), 128, np.uint8)
    with PacedUpscaler(2, Pace(deadline=0.042), model="quicksrnet-medium-photo", threads=1) as paced:
        assert paced.exits == ("bicubic", *(names[i] for i in kept))
        assert paced.engine.card.name == MEDIUM
        _, spent = paced.frame(Frame(y, half, half, Colour("bt709")), 128, 96)
    # 0.85 of the deadline may be needed, and deviations are counted with: 31 ms.
    fitting = [name for name in paced.exits[1:] if times[names.index(name)] < 31]
    assert spent.tiles.tolist() == [name == fitting[-1] for name in paced.exits]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("precision", "whole"), [("fp32", [False, False]), ("int8", [True, True])])
def test_a_precision_leaves_one_form(precision: str, whole: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtsr.pacing.whole.calibrate_whole", timed(10, 20))
    with PacedUpscaler(2, Pace(deadline=0.1), model="quicksrnet-medium-photo", precision=precision, threads=1) as paced:
        assert [name.endswith(" in 8 bits") for name in paced.exits[1:]] == whole


def test_a_processor_that_is_no_quicker_runs_floats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtsr.pacing.mixed.trial", lambda network, threads: Trial(True, 0.9))
    with PacedUpscaler(2, Pace(deadline=10), model="quicksrnet-medium-photo", threads=1) as paced:
        assert paced.exits == ("bicubic", SMALL, MEDIUM)
