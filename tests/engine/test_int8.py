"""Networks in 8 bits on the processor."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rtsr.card import read_card
from rtsr.engine.choice import Means
from rtsr.engine.int8 import Trial, _try, open_int8, trial
from rtsr.errors import CardError, EngineError, UsageError
from rtsr.frame import Colour, Frame
from rtsr.resources import Network, networks
from rtsr.upscaler import Upscaler

WHOLE = {name: network for name, network in networks().items() if network.card.int8}
RIGHT = trial(WHOLE["quicksrnet-small-x2-capture"], 1).right
"""Whether this processor computes them right; where it does not, all that ask for them get an error."""
MOST_OFF = {"quicksrnet-small": 1.5, "quicksrnet-large": 0.01}
"""Levels of 255 by which greys may be off; by 2.5 where it is not said."""


@pytest.mark.parametrize("name", WHOLE)
def test_what_ships_is_near_its_floats(name: str) -> None:
    network = WHOLE[name]
    image = np.random.default_rng(3).random((2, 3, 24, 36), np.float32)
    if not RIGHT:
        with pytest.raises(EngineError, match="overflow on this processor"):
            open_int8(network, 1, None)
        return
    floats = Means("onnx", threads=1).open(network)
    with Means("onnx", threads=1, precision="int8").open(network) as whole:
        assert whole.runtime == "ONNX Runtime, CPU: in 8 bits"
        assert np.sqrt(np.mean(np.square(whole.infer(image) - floats.infer(image)))) < 4 / 255


@pytest.mark.skipif(not RIGHT, reason="this processor has no instructions for 8-bit products, and rtsr refuses them")
@pytest.mark.parametrize("name", WHOLE)
def test_flat_greys_stay_within_two_levels(name: str) -> None:
    """Rounding is alike wherever a picture is, but for its borders: all pixels are the same, and greys keep no tint."""
    with open_int8(WHOLE[name], 1, None) as engine:
        edge = engine.card.output_side(2 * (engine.card.radius // 2 + 1))
        side, greys = 2 * engine.card.radius + 10, range(16, 236, 8)
        made = [engine.infer(np.full((1, 3, side, side), level / 255, np.float32))[0] * 255 for level in greys]
        off = np.array([image[:, edge:-edge, edge:-edge] - level for image, level in zip(made, greys, strict=True)])
        assert np.abs(off).max() < MOST_OFF.get(engine.card.arch, 2.5)
        assert np.ptp(off, axis=(2, 3)).max() == 0
        assert np.abs(off.mean((0, 2, 3))).max() < 0.5


def test_a_trial_is_made_once_and_says_what_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    network = WHOLE["quicksrnet-small-x2-capture"]
    assert trial(network, 1) is trial(network, 1)
    assert trial(network, 1).share > 0
    times = iter([0.01, 0.005] * 100)
    with monkeypatch.context() as patched:
        patched.setattr("rtsr.engine.int8._seconds", lambda *_: next(times))
        assert _try(network, 1).share == 0.5 and next(times) == 0.01
        left = len(list(times))
        times = iter([0.1, 0.03] * 100)
        assert _try(network, 1).share == pytest.approx(0.3)
        assert (199 - left, 200 - len(list(times))) == (14, 6), "seven rounds, and three where they are long"
    assert Trial(True, 0.5).pays and not Trial(True, 0.9).pays and not Trial(False, 0.1).pays


def test_only_the_processor_runs_it_and_only_where_there_is_one() -> None:
    network = WHOLE["quicksrnet-small-x2-capture"]
    with pytest.raises(UsageError, match="8 bits are for the processor, not for openvino"):
        Means("onnx", provider="openvino", precision="int8").open(network)
    with pytest.raises(UsageError, match="rlfn-s-x2-photo has no form in 8 bits"):
        Means("onnx", precision="int8").open(networks()["rlfn-s-x2-photo"])
    with Means("onnx", precision="int8").open(networks()["rlfn-s-x2-photo"], strict=False) as engine:
        assert "8 bits" not in engine.runtime


def test_a_file_that_is_not_the_cards_is_refused(tmp_path: Path) -> None:
    network = WHOLE["quicksrnet-small-x2-capture"]
    for path in (network.path, network.card_path):
        shutil.copy(path, tmp_path / path.name)
    shutil.copy(WHOLE["quicksrnet-small-x2-photo"].int8_path, tmp_path / network.int8_path.name)
    copy = tmp_path / network.card_path.name
    with pytest.raises(CardError, match="is not the file that its card describes"):
        open_int8(Network(read_card(copy), copy), 1, "cpu")


@pytest.mark.skipif(not RIGHT, reason="this processor has no instructions for 8-bit products, and rtsr refuses them")
def test_parts_of_a_frame_come_out_as_in_the_whole() -> None:
    random = np.random.default_rng(1)
    y, u, v = (random.integers(16, 236, shape, np.uint8) for shape in ((136, 240), (68, 120), (68, 120)))
    wish = {"model": "quicksrnet-medium", "engine": "onnx", "precision": "int8", "threads": 1}
    with Upscaler(2, **wish, reuse=True) as parts, Upscaler(2, **wish) as whole:
        for step in range(4):
            y = y.copy()
            y[20 : 50 + step, 31 * step : 31 * step + 40] = random.integers(16, 236, (30 + step, 40), np.uint8)
            frame = Frame(y, u, v, Colour("bt709"))
            made, expected = parts.frame(frame, 480, 272), whole.frame(frame, 480, 272)
            for name in "yuv":
                np.testing.assert_array_equal(getattr(made, name), getattr(expected, name))
        assert parts.reused > 0


def test_a_picture_in_8_bits_is_near_that_in_floats() -> None:
    image = np.random.default_rng(2).integers(0, 256, (40, 60, 3), np.uint8)
    with Upscaler(1.5, precision="fp32", engine="onnx") as floats:
        expected = floats(image)
    wish = {"precision": "int8", "engine": "onnx"}
    if not RIGHT:
        with pytest.raises(EngineError):
            Upscaler(1.5, **wish)
        return
    with Upscaler(1.5, **wish) as whole:
        assert np.abs(whole(image).astype(int) - expected).mean() < 3


def test_a_card_with_exits_has_no_such_form() -> None:
    with pytest.raises(CardError, match="one exit"):
        replace(networks()["enaf-quicksrnet-medium-x2-photo"].card, int8=WHOLE["quicksrnet-small-x2-photo"].card.int8)
