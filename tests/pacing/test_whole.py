"""Whole frames by networks with one exit, in both forms where 8 bits are quicker."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest

from rtsr.card import card_in_8_bits
from rtsr.engine.base import Engine
from rtsr.engine.int8 import Trial, trial
from rtsr.errors import CardError, UsageError
from rtsr.frame import Colour, Frame
from rtsr.pacing.deadline import CostModel, Rate
from rtsr.pacing.paced import Pace, PacedUpscaler
from rtsr.resources import folder, networks
from rtsr.upscaler import Upscaler

SMALL, MEDIUM = "quicksrnet-small-x2-photo", "quicksrnet-medium-x2-photo"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which 8 bits take half of the time."""
    if not trial(networks()[SMALL], 1).right:
        pytest.skip("sums of 8-bit products overflow on this processor")
    monkeypatch.setattr("rtsr.pacing.whole.trial", lambda network, threads: Trial(True, 0.5))


def timed(*times_ms: float):
    """In place of measuring: what the rungs take, whole frames of any size."""

    def calibrate(engines: Sequence[Engine]) -> CostModel:
        assert len(engines) == len(times_ms)
        return CostModel({f"rung {i}": Rate(ms * 1e6, 0) for i, ms in enumerate(times_ms)}, deviation=0.05)

    return calibrate


def ladder(times_ms: tuple[float, ...], monkeypatch: pytest.MonkeyPatch, **wish: object) -> PacedUpscaler:
    monkeypatch.setattr("rtsr.pacing.whole.calibrate_whole", timed(*times_ms))
    named = {"scale": 2, "pace": Pace(deadline=0.042), "model": "quicksrnet-medium-photo", "threads": 1}
    return PacedUpscaler(**{**named, **wish})  # type: ignore[arg-type]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("times", "kept"),
    [
        ((13, 22, 25, 59), [0, 1, 2, 3]),
        ((13, 26, 25, 59), [0, 1, 2, 3]),  # as measured; a stall is as likely
        ((13, 30, 25, 59), [0, 2, 3]),
        ((13, 22, 70, 59), [0, 1, 3]),
        ((90, 26, 61, 59), [0, 1, 2, 3]),  # the first is what slow machines have
    ],
)
def test_a_rung_that_takes_longer_than_a_better_one_is_left_out(
    times: tuple[float, ...], kept: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{SMALL} in 8 bits", SMALL, f"{MEDIUM} in 8 bits", MEDIUM]
    y, half = np.full((48, 64), 90, np.uint8), np.full((24, 32), 128, np.uint8)
    with ladder(times, monkeypatch) as paced:
        assert paced.exits == ("bicubic", *(names[i] for i in kept))
        assert paced.engine.card == networks()[MEDIUM].card
        _, spent = paced.frame(Frame(y, half, half, Colour("bt709")), 128, 96)
    # 0.85 of the deadline may be needed, and deviations are counted with: 31 ms.
    best = [name for name in paced.exits[1:] if times[names.index(name)] < 31][-1]
    assert spent.tiles.tolist() == [name == best for name in paced.exits]


@pytest.mark.usefixtures("quick")
def test_rungs_are_compared_at_the_frames_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """8 bits of Medium cost a million pixels' worth more at the start, and half as much for each pixel."""
    rates = [Rate(0, 1), Rate(0, 2), Rate(3e6, 1), Rate(0, 4)]
    costs = CostModel({f"rung {i}": rate for i, rate in enumerate(rates)})
    for size, count in (((64, 48), 4), ((2000, 2000), 5)):
        monkeypatch.setattr("rtsr.pacing.whole.calibrate_whole", lambda _: costs)
        with PacedUpscaler(2, Pace(deadline=1.0), model="quicksrnet-medium-photo", threads=1, size=size) as paced:
            assert len(paced.exits) == count


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("flavour", ["photo", "capture"])
@pytest.mark.parametrize("scale", [1.5, 2, 3, 4])
def test_every_rung_is_better_than_the_one_before(scale: float, flavour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if flavour == "capture" and scale > 2:
        return  # There are none.
    with ladder((10, 20, 30, 40), monkeypatch, scale=scale, model=f"quicksrnet-medium-{flavour}") as paced:
        names = paced.exits[1:]
    assert [name.endswith(" in 8 bits") for name in names].count(True) == 2 and not names[-1].endswith(" in 8 bits")
    reached = []
    for name in names:
        card = networks()[name.removesuffix(" in 8 bits")].card
        floats = fmean(score.psnr for score in card.quality.values())
        whole = fmean(score.psnr for score in card_in_8_bits(card).quality.values())
        reached.append(min(floats, whole) if name.endswith(" in 8 bits") else floats)
    assert reached == sorted(reached)


@pytest.mark.usefixtures("quick")
def test_a_copied_card_runs_without_its_form_in_8_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for ending in ("toml", "onnx"):
        shutil.copy(folder("engines") / f"{MEDIUM}.{ending}", tmp_path)
    with ladder((10, 20, 30), monkeypatch, model=tmp_path / f"{MEDIUM}.toml") as paced:
        assert paced.exits == ("bicubic", f"{SMALL} in 8 bits", SMALL, MEDIUM)
    with pytest.raises(CardError, match=f"{MEDIUM}.int8.onnx"):
        ladder((10, 20, 30), monkeypatch, model=tmp_path / f"{MEDIUM}.toml", precision="int8")


@pytest.mark.usefixtures("quick")
def test_what_was_named_is_the_last_rung_though_it_reaches_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = (folder("engines") / f"{MEDIUM}.toml").read_text("utf-8")
    (tmp_path / f"{MEDIUM}.toml").write_text(card[: card.index("[int8]")].replace("psnr = 3", "psnr = 2"), "utf-8")
    shutil.copy(folder("engines") / f"{MEDIUM}.onnx", tmp_path)
    with ladder((10, 20, 30), monkeypatch, model=tmp_path / f"{MEDIUM}.toml") as paced:
        assert paced.exits == ("bicubic", f"{SMALL} in 8 bits", SMALL, MEDIUM)


@pytest.mark.usefixtures("quick")
def test_what_is_left_out_is_closed_and_the_rest_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    closed, close = [], Upscaler.close
    monkeypatch.setattr(Upscaler, "close", lambda self: closed.append(self) or close(self))
    with ladder((13, 80, 25, 59), monkeypatch) as paced:
        assert len(paced.exits) == 4 and len(closed) == 1
    assert len(set(map(id, closed))) == 4


def test_8_bits_that_no_rung_has_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of Small's card, without the form; there is nothing smaller."""
    card = (folder("engines") / f"{SMALL}.toml").read_text("utf-8")
    (tmp_path / f"{SMALL}.toml").write_text(card[: card.index("[int8]")], "utf-8")
    shutil.copy(folder("engines") / f"{SMALL}.onnx", tmp_path)
    with pytest.raises(UsageError, match="has no form in 8 bits"):
        ladder((10,), monkeypatch, model=tmp_path / f"{SMALL}.toml", precision="int8", engine="onnx")


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("precision", "whole"), [("fp32", [False, False]), ("int8", [True, True])])
def test_a_precision_leaves_one_form(precision: str, whole: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtsr.pacing.whole.calibrate_whole", timed(10, 20))
    with PacedUpscaler(2, Pace(deadline=0.1), model="quicksrnet-medium-photo", precision=precision, threads=1) as paced:
        assert [name.endswith(" in 8 bits") for name in paced.exits[1:]] == whole


def test_a_processor_that_is_no_quicker_runs_floats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtsr.pacing.whole.trial", lambda network, threads: Trial(True, 0.9))
    with ladder((10, 20), monkeypatch) as paced:
        assert paced.exits == ("bicubic", SMALL, MEDIUM)
