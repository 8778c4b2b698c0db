"""OpenVINO by ONNX Runtime equals the processor's own provider; where `onnxruntime-openvino` is installed.

With RTSR_REQUIRE_OPENVINO=1 in the environment, its absence fails.
"""

import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from rtsr import Upscaler
from rtsr.engine.onnx import OnnxEngine
from rtsr.errors import EngineError
from rtsr.frame import Frame
from rtsr.job import Job
from rtsr.pacing.paced import Pace, PacedUpscaler
from rtsr.pipeline import run
from rtsr.resources import Network, networks
from rtsr.source.pyav import PyAVSource
from tests.engine.equality import check_plain, check_stages
from tests.media import make_video

PLAIN = [network for network in networks().values() if not network.card.exits]
STAGED = [network for network in networks().values() if network.card.exits]


@pytest.fixture(scope="module", autouse=True)
def openvino() -> None:
    if "OpenVINOExecutionProvider" not in onnxruntime.get_available_providers():
        reason = "needs onnxruntime-openvino in the place of onnxruntime"
        if os.environ.get("RTSR_REQUIRE_OPENVINO") == "1":
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.mark.parametrize("network", PLAIN, ids=lambda network: network.card.name)
def test_plain_networks_are_equal(network: Network) -> None:
    check_plain(network, "openvino", "ONNX Runtime, OpenVINO")


@pytest.mark.parametrize("network", STAGED, ids=lambda network: network.card.name)
def test_networks_with_exits_are_equal_stage_by_stage(network: Network) -> None:
    check_stages(network, "openvino")


@pytest.mark.parametrize("scale", [Fraction(3, 2), Fraction(2)])
def test_a_video_is_the_same_within_a_level(scale: Fraction, tmp_path: Path) -> None:
    path = make_video(tmp_path / "in.mp4", frames=3)
    with (
        PyAVSource(path) as source,
        Upscaler(scale, provider="cpu") as here,
        Upscaler(scale, provider="openvino", threads=1) as there,
    ):
        size = int(source.video.width * scale), int(source.video.height * scale)
        for frame in (item for item in source.items() if isinstance(item, Frame)):
            mine, its = here.frame(frame, *size), there.frame(frame, *size)
            for a, b in ((mine.y, its.y), (mine.u, its.u), (mine.v, its.v)):
                assert np.abs(a.astype(int) - b).max() <= 1


def test_the_whole_job_says_what_ran(tmp_path: Path) -> None:
    path = make_video(tmp_path / "in.mp4", frames=3)
    report = run(Job(path, tmp_path / "out.mp4", Fraction(2), provider="openvino"))
    assert report.engine == "quicksrnet-small-x2-capture (ONNX Runtime, OpenVINO)"


def test_a_share_of_the_compute_runs_on_it_too(tmp_path: Path) -> None:
    path = make_video(tmp_path / "in.mp4", frames=2)
    with PyAVSource(path) as source, PacedUpscaler(2, Pace(quality=0.5), provider="openvino") as upscaler:
        frames = [item for item in source.items() if isinstance(item, Frame)]
        large, spent = upscaler.frame(frames[0], 2 * frames[0].width, 2 * frames[0].height)
    assert upscaler.describe().endswith("tile by tile (ONNX Runtime, OpenVINO)")
    assert large.y.shape == (2 * frames[0].height, 2 * frames[0].width) and spent.tiles[1:].any()


@pytest.mark.parametrize("device", ["npu", "gpu.7"])
def test_a_device_that_is_not_there_is_an_error(device: str) -> None:
    with pytest.raises(EngineError, match=f"it finds no device {device.upper()} here"):
        OnnxEngine(PLAIN[0].card, PLAIN[0].path, 1, f"openvino:{device}")


def test_auto_stays_with_the_processor() -> None:
    """It was measured to be no faster."""
    runtime = OnnxEngine(PLAIN[0].card, PLAIN[0].path, 1, "auto").runtime
    assert runtime == "ONNX Runtime, CPU: OpenVINO on request only"
