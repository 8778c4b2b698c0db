"""CUDA by ONNX Runtime equals the processor's own provider; where `onnxruntime-gpu` finds a GPU.

With RTSR_REQUIRE_CUDA=1 in the environment, its absence fails.
"""

import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from rtsr.engine.onnx import OnnxEngine
from rtsr.engine.providers import TABLE
from rtsr.engine.session import open_session
from rtsr.errors import EngineError
from rtsr.quality.imresize import imresize
from rtsr.quality.metrics import luma, psnr
from rtsr.resources import Network, networks
from tests.engine.equality import check_plain, check_stages

PLAIN = [network for network in networks().values() if not network.card.exits]
STAGED = [network for network in networks().values() if network.card.exits]
SAMPLE = Path(__file__).parents[2] / "sample" / "freedoom_360p.mp4"


@pytest.fixture(scope="module", autouse=True)
def cuda() -> None:
    try:
        OnnxEngine(PLAIN[0].card, PLAIN[0].path, 1, "cuda")
    except EngineError as cause:
        if os.environ.get("RTSR_REQUIRE_CUDA") == "1":
            pytest.fail(f"RTSR_REQUIRE_CUDA=1, but: {cause}")
        pytest.skip(str(cause))


@pytest.mark.parametrize("network", PLAIN, ids=lambda network: network.card.name)
def test_plain_networks_are_equal(network: Network) -> None:
    check_plain(network, "cuda", "ONNX Runtime, CUDA")


@pytest.mark.parametrize("network", STAGED, ids=lambda network: network.card.name)
def test_networks_with_exits_are_equal_stage_by_stage(network: Network) -> None:
    check_stages(network, "cuda")


@pytest.mark.parametrize("network", PLAIN, ids=lambda network: network.card.name)
def test_half_precision_loses_at_most_a_twentieth_of_a_decibel(network: Network) -> None:
    """Against the frame of a capture that the network's input was made from."""
    pytest.importorskip("onnx", reason="converting networks needs onnx")
    from rtsr.nvidia.graph import prepare

    truth = frame_of(SAMPLE)
    small = imresize(truth, *(int(side / network.card.scale) for side in truth.shape[:2]))
    tiles = np.moveaxis(small, -1, 0)[None].astype(np.float32) / 255
    exact = OnnxEngine(network.card, network.path, 2).infer(tiles)
    session = open_session(prepare(network.path, "fp16"), 2, TABLE["cuda"])
    (half,) = session.run(None, {"image": tiles})
    was, now = (psnr(luma(truth), luma(as_picture(large))) for large in (exact, np.asarray(half)))
    assert not np.array_equal(exact, half) and abs(was - now) <= 0.05


def as_picture(large: np.ndarray) -> np.ndarray:
    return np.rint(np.moveaxis(large[0], 0, -1).clip(0, 1) * 255).astype(np.uint8)


def frame_of(path: Path) -> np.ndarray:
    """The first frame, cropped so that every scale divides it."""
    import av

    with av.open(str(path)) as video:
        picture = next(video.decode(video=0)).to_ndarray(format="rgb24")
    multiple = 2 * Fraction(3, 2).numerator
    height, width = (side // multiple * multiple for side in picture.shape[:2])
    return picture[:height, :width]
