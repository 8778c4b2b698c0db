"""The shipped script, and the filter, in a real mpv, which encodes what it would show: nothing is dropped for time."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest

from rtsr.resources import folder
from tests.media import luma, make_video, picture_number, probe
from tests.vs.clips import core, pixels, rtsr_vs, same

PLAIN = (
    "from rtsr import vs as rtsr_vs\n"
    "rtsr_vs.Upscale(video_in, 2, num_streams=1, peek=False).set_output()\n"  # No deadline: the same every time.
)
ALWAYS = "VapourSynth bridge"
VARIABLE = [0, 3600, 7200, 10800, 36000, 37800, 81000, 90000]
"""Times of frames, in units of 1/90000 s."""


@pytest.fixture(scope="module")
def mpv() -> str:
    """An mpv that has the filter; Debian's, for one, has not (docs/vapoursynth.md says how to get one)."""
    command = shutil.which("mpv")
    if command is None:
        pytest.skip("needs mpv on the PATH, built with VapourSynth")
    listed = subprocess.run([command, "--no-config", "--vf=help"], capture_output=True, text=True).stdout
    if ALWAYS not in listed:
        pytest.skip("the mpv on the PATH was built without VapourSynth")
    return command


def played(
    mpv: str, script: Path, video: Path, output: Path, environment: dict[str, str], *options: str, before: str = ""
) -> tuple[Path, str]:
    """What mpv makes of `video` with `script`, after the filters `before`, and what it says."""
    filters = f"{before}vapoursynth={script}:buffered-frames=2:concurrent-frames=1"
    command = [mpv, "--no-config", "--no-audio", f"--vf={filters}", "--of=matroska", "--ovc=ffv1", f"--o={output}"]
    done = subprocess.run(
        [*command, *options, str(video)], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return output, done.stdout + done.stderr


def planes_of(video: Path) -> list[list[np.ndarray]]:
    """The planes of every frame of 8-bit video."""
    with av.open(str(video)) as container:
        return [
            [np.frombuffer(p, np.uint8).reshape(p.height, -1)[:, : p.width] for p in frame.planes]
            for frame in container.decode(video=0)
        ]


def assert_moments(found: Sequence[float], expected: Sequence[float]) -> None:
    """Matroska counts in milliseconds."""
    assert found == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p"])
def test_frames_are_those_of_the_filter(mpv: str, pix_fmt: str, tmp_path: Path, environment: dict[str, str]) -> None:
    size = (96, 64) if pix_fmt == "yuv420p" else (97, 65)
    video = make_video(tmp_path / "in.mkv", size=size, pts=VARIABLE, frames=8, pix_fmt=pix_fmt, codec="ffv1")
    script = tmp_path / "plain.vpy"
    script.write_text(PLAIN)
    output, _ = played(mpv, script, video, tmp_path / "out.mkv", environment)
    expected = rtsr_vs.Upscale(core.bs.VideoSource(str(video), cachemode=0), 2)
    found = planes_of(output)
    assert len(found) == 8 and all(same(planes, pixels(expected, n)) for n, planes in enumerate(found))
    assert_moments(probe(output).seconds, probe(video).seconds)


def test_the_shipped_script_keeps_every_frame_and_its_time(
    mpv: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    video = make_video(tmp_path / "in.mkv", size=(160, 96), pts=VARIABLE, frames=8)
    script = folder("filters") / "mpv.vpy"
    output, said = played(mpv, script, video, tmp_path / "out.mkv", environment)
    assert "failed" not in said.lower() and "error" not in said.lower()
    made = probe(output)
    assert (made.size, made.pix_fmt, made.matrix) == ((320, 192), "yuv420p", 1)
    assert [picture_number(plane) for plane in luma(output)] == list(range(8))
    assert_moments(made.seconds, probe(video).seconds)


def test_a_seek_and_an_odd_size(mpv: str, tmp_path: Path, environment: dict[str, str]) -> None:
    """mpv hands no frames over whose chroma does not divide; as 4:4:4 it does."""
    video = make_video(tmp_path / "in.mkv", size=(161, 97), frames=20, rate=10, codec="ffv1")
    script = folder("filters") / "mpv.vpy"
    output, _ = played(mpv, script, video, tmp_path / "out.mkv", environment, "--start=1.2", before="format=yuv444p,")
    assert probe(output).size == (322, 194)
    assert [picture_number(plane) for plane in luma(output)] == list(range(12, 20))


def test_mpv_shows_what_is_wrong(mpv: str, tmp_path: Path, environment: dict[str, str]) -> None:
    video = make_video(tmp_path / "in.mkv", size=(64, 48), frames=3)
    script = tmp_path / "bad.vpy"
    script.write_text(PLAIN.replace(", 2,", ", 9,"))
    output, said = played(mpv, script, video, tmp_path / "out.mkv", environment)
    assert "rtsr: scale 9 is out of range" in said and probe(output).size == (64, 48)
