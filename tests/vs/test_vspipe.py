"""The filter in scripts: through vspipe, over many frames, reloaded, failing half-way."""

import gc
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from rtsr.frame import Frame
from rtsr.source.pyav import PyAVSource
from rtsr.upscaler import Upscaler, target_size
from tests.vs.clips import as_format, core, moving, pixels, rtsr_vs, same, vs

CLIP = Path("data/clips/freedoom_a_360.mp4")
ROOT = Path(__file__).parents[2]


def vspipe(*arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess:
    command = Path(vs.__file__).with_name("vspipe")
    return subprocess.run([str(command), *arguments], env=environment, capture_output=True, timeout=300)


def y4m_frames(data: bytes, width: int, height: int) -> list[list[np.ndarray]]:
    """Planes of every frame of 8-bit 4:2:0 y4m."""
    head, _, rest = data.partition(b"\n")
    assert head.startswith(b"YUV4MPEG2 ") and f"W{width} H{height}".encode() in head and b"C420" in head
    shapes = [(height, width), (height // 2, width // 2), (height // 2, width // 2)]
    frames = []
    while rest:
        _, _, rest = rest.partition(b"\n")
        planes = []
        for rows, columns in shapes:
            planes.append(np.frombuffer(rest[: rows * columns], np.uint8).reshape(rows, columns))
            rest = rest[rows * columns :]
        frames.append(planes)
    return frames


@pytest.mark.parametrize("scale", ["1.5", "2"])
def test_vspipe_writes_the_frames_of_rtsr_upscale(
    scale: str, shared: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    script = tmp_path / "script.vpy"
    script.write_text(
        "import vapoursynth as vs\nfrom rtsr import vs as rtsr_vs\n"
        f"clip = vs.core.bs.VideoSource({str(shared / CLIP)!r}, cachemode=0)[:8]\n"
        f"rtsr_vs.Upscale(clip, scale={scale!r}).set_output()\n"
    )
    done = vspipe("-c", "y4m", str(script), "-", environment=environment)
    assert done.returncode == 0, done.stderr
    width, height = target_size(640, 360, Fraction(scale))
    written = y4m_frames(done.stdout, width, height)
    assert len(written) == 8
    with PyAVSource(shared / CLIP) as source, Upscaler(scale) as upscaler:
        frames = (item for item in source.items() if isinstance(item, Frame))
        for found, frame in zip(written, frames, strict=False):
            expected = upscaler.frame(frame, width, height)
            for plane, wanted in zip(found, (expected.y, expected.u, expected.v), strict=True):
                assert np.abs(plane.astype(int) - wanted).max() <= 1


def test_vspipe_shows_errors_as_one_line_of_the_script(tmp_path: Path, environment: dict[str, str]) -> None:
    script = tmp_path / "script.vpy"
    script.write_text(
        "import vapoursynth as vs\nfrom rtsr import vs as rtsr_vs\n"
        "rtsr_vs.Upscale(vs.core.std.BlankClip(), scale=9).set_output()\n"
    )
    done = vspipe("--info", str(script), environment=environment)
    assert done.returncode == 1 and b"rtsr: scale 9 is out of range" in done.stderr
    assert done.stderr.count(b"Traceback") <= 1 and b"UsageError" not in done.stderr


def test_many_frames_leave_nothing_behind(environment: dict[str, str]) -> None:
    """From frame 1,000 to 5,000, which take 1.9 GB with their sources, memory grows by less than 48 MiB.

    It does grow at first: small blocks of props and pools settle over some thousand frames.
    """
    code = (
        "import re\nfrom tests.vs.clips import *\n"
        "def resident(): return int(re.search(r'VmRSS:\\s+(\\d+)', open('/proc/self/status').read())[1])\n"
        "core.max_cache_size = 8\n"
        "large = rtsr_vs.Upscale(moving(5000, 128, 64), 2)\n"
        "for n, frame in enumerate(large.frames(close=True)):\n"
        "    if n == 1000: before = resident()\n"
        "print(n + 1, resident() - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    frames, grown_kib = map(int, done.stdout.split())
    assert frames == 5000 and grown_kib < 48 * 1024
    assert "still exist" not in done.stderr and "leak" not in done.stderr.lower()


def test_a_script_can_be_reloaded(environment: dict[str, str]) -> None:
    """Evaluated again and again, with frames still on their way, in one process."""
    code = (
        "from tests.vs.clips import *\n"
        "for _ in range(12):\n"
        "    large = rtsr_vs.Upscale(as_format(moving(8), vs.YUV420P8), 2)\n"
        "    large.set_output()\n"
        "    waiting = [large.get_frame_async(n) for n in range(8)]\n"
        "    waiting[3].result()\n"
        "    vs.clear_outputs()\n"
        "    core.clear_cache()\n"
        "print('done')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0 and done.stdout.split() == ["done"], done.stderr


def test_an_evaluation_that_fails_half_way_can_be_repeated() -> None:
    for _ in range(5):
        with pytest.raises(vs.Error, match="rtsr: "):
            rtsr_vs.Upscale(rtsr_vs.Upscale(moving(), 2), 2, model="nothing")
        gc.collect()
    assert pixels(rtsr_vs.Upscale(moving(), 2), 0)[0].shape == (96, 128)


@pytest.mark.parametrize("length", [1, 2])
def test_clips_shorter_than_the_number_of_requests(length: int) -> None:
    large = rtsr_vs.Upscale(as_format(moving(length), vs.YUV420P8), 2, num_streams=4)
    assert len(list(large.frames(prefetch=8, backlog=16, close=True))) == length
    assert same(pixels(large, 0), pixels(rtsr_vs.Upscale(as_format(moving(1), vs.YUV420P8), 2), 0))


def test_a_frame_that_fails_lets_the_others_through() -> None:
    def broken(n: int, f):
        if n == 3:
            raise ValueError("no such frame")
        return f

    clip = moving(8)
    large = rtsr_vs.Upscale(clip.std.ModifyFrame(clip, broken), 2)
    waiting = [large.get_frame_async(n) for n in range(8)]
    with pytest.raises(vs.Error, match="no such frame"):
        waiting[3].result()
    for n in (0, 1, 2, 4, 5, 6, 7):
        waiting[n].result().close()
    assert core.num_threads >= 1
