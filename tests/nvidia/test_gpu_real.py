"""`--decode gpu` on an NVIDIA GPU: what goes from decoder to encoder there is what goes through memory.

With RTSR_REQUIRE_GPU=1 in the environment, the absence of a GPU, or of TensorRT-RTX, fails.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from rtsr.errors import RtsrError
from rtsr.nvidia.opening import find
from rtsr.resources import folder
from tests.command import rtsr
from tests.nvidia.test_whole import frames_of

SAMPLE = folder("sample") / "freedoom_360p.mp4"
LOSSLESS = ("--crf", "0", "--encoder-option", "preset=ultrafast")
FINE = ("--codec", "h264_nvenc", "--encoder-option", "rc=constqp", "--encoder-option", "qp=10")


@pytest.fixture(scope="module")
def by_memory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample, upscaled from memory to memory by TensorRT-RTX."""
    try:
        find("rtx")
    except RtsrError as cause:
        if os.environ.get("RTSR_REQUIRE_GPU") == "1":
            pytest.fail(f"RTSR_REQUIRE_GPU=1, but: {cause}")
        pytest.skip(str(cause))
    return upscaled(tmp_path_factory.mktemp("memory") / "out.mkv", *LOSSLESS)


def upscaled(output: Path, *more: str) -> Path:
    """In a process of its own: FFmpeg is the first to use the GPU."""
    done = rtsr("upscale", SAMPLE, "-o", output, "--scale", "1.5", "--engine", "rtx", *more)
    assert done.returncode == 0, done.stderr
    assert "note:" not in done.stderr, done.stderr
    return output


@pytest.mark.parametrize(("encoder", "least"), [(LOSSLESS, 50), (FINE, 38)], ids=["libx264", "h264_nvenc"])
def test_frames_are_those_that_go_through_memory(
    by_memory: Path, tmp_path: Path, encoder: tuple[str, ...], least: float
) -> None:
    """Every frame and plane, in dB: one that was read too early, or written too late, is another picture."""
    output = upscaled(tmp_path / "out.mkv", "--decode", "gpu", *encoder)
    for number, (wanted, found) in enumerate(zip(frames_of(by_memory), frames_of(output), strict=True)):
        for name in ("y", "u", "v"):
            error = np.square(getattr(wanted, name).astype(float) - getattr(found, name)).mean()
            assert 10 * np.log10(255**2 / max(error, 1e-9)) > least, (number, name)
