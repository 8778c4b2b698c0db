"""What is closed lets go of its networks, and says so where it is used nevertheless."""

import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from rtsr.engine import open_engine
from rtsr.engine.stages import StagedEngine
from rtsr.errors import EngineError
from rtsr.frame import Colour, Frame
from rtsr.pacing.paced import Pace, PacedUpscaler
from rtsr.resources import find_network
from rtsr.scale import as_scale
from rtsr.upscaler import Upscaler

TASKS = Path("/proc/self/task")
IMAGE = np.zeros((48, 64, 3), np.uint8)
FRAME = Frame(IMAGE[..., 0].copy(), IMAGE[::2, ::2, 0].copy(), IMAGE[::2, ::2, 0].copy(), Colour("bt709"))


@pytest.fixture
def uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.skipif(not TASKS.is_dir(), reason="native threads are counted in Linux's /proc")
@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("name", ["quicksrnet-small-capture", "enaf-quicksrnet-medium-capture"])
def test_an_engine_that_was_left_holds_no_threads(name: str) -> None:
    network, before = find_network(name, as_scale(2)), len(list(TASKS.iterdir()))
    with open_engine(network.card, network.path, threads=3) as engine:
        engine.infer(np.zeros((1, 3, 8, 8), np.float32))
        assert len(list(TASKS.iterdir())) >= before + 2
    assert len(list(TASKS.iterdir())) == before
    with pytest.raises(EngineError, match="is closed; open it anew"):
        engine.infer(np.zeros((1, 3, 8, 8), np.float32))
    if isinstance(engine, StagedEngine):
        with pytest.raises(EngineError, match="is closed"):
            engine.head(1, engine.stage(1, (np.zeros((1, 3, 8, 8), np.float32),)))


@pytest.mark.parametrize("engine", ["auto", "bicubic", "fsr"])
def test_an_upscaler_that_is_closed(engine: str) -> None:
    upscaler = Upscaler(2, engine=engine)
    under_way = upscaler.submit(FRAME, 128, 96)
    upscaler.close()
    upscaler.close()
    uses: list[Callable[[], object]] = [
        lambda: upscaler(IMAGE),
        lambda: upscaler.frame(FRAME, 128, 96),
        lambda: upscaler.submit(FRAME, 128, 96),
        lambda: upscaler.collect(under_way),
    ]
    for use in uses:
        with pytest.raises(EngineError, match="this Upscaler is closed; make another"):
            use()
    assert upscaler.describe()


@pytest.mark.parametrize("model", ["enaf-quicksrnet-medium-photo", "quicksrnet-small-photo"])
def test_a_paced_upscaler_that_is_closed(model: str) -> None:
    with PacedUpscaler(2, Pace(deadline=10.0), model=model) as upscaler:
        upscaler.frame(FRAME, 128, 96)
    upscaler.close()
    for use in (upscaler.frame, upscaler.interpolate):
        with pytest.raises(EngineError, match="this PacedUpscaler is closed; make another"):
            use(FRAME, 128, 96)


@pytest.mark.skipif(not TASKS.is_dir(), reason="native threads are counted in Linux's /proc")
@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize(
    ("model", "measures"),
    [("enaf-quicksrnet-medium", "paced.calibrate_exits"), ("quicksrnet-medium", "whole.calibrate_whole")],
)
def test_what_cannot_be_measured_leaves_nothing_open(
    model: str, measures: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(engines: object) -> None:
        raise EngineError("out of memory")

    before = len(list(TASKS.iterdir()))
    monkeypatch.setattr(f"rtsr.pacing.{measures}", fails)
    with pytest.raises(EngineError, match="out of memory"):
        PacedUpscaler(2, Pace(deadline=1.0), model=model, threads=3)
    assert len(list(TASKS.iterdir())) == before
