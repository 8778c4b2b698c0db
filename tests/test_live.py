"""Live input from the network, from pipes and from files at their own pace: all of it is accounted for.

Nothing here depends on how quick the machine is: a slow one repeats and drops more, and must say so.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest

from rtsr.delivery import Live
from rtsr.errors import RtsrError, SourceError, UsageError
from rtsr.paced import Pace
from rtsr.pipeline import Job, run
from rtsr.report import Report
from tests.media import luma, make_video, picture_number, probe
from tests.streams import as_transport_stream, free_port, sending

MODEL = "quicksrnet-small"
SCALE = Fraction(2)


def upscale(source: Path | str, output: Path, **wishes: object) -> Report:
    live = wishes.pop("live", Live(stall=1.5))
    return run(Job(source, output, SCALE, model=MODEL, live=live, threads=1, **wishes))  # type: ignore[arg-type]


def assert_accounted(report: Report, decoded: int | None = None) -> None:
    """What was written is what came in, less what is said to have been dropped."""
    assert report.spending is not None
    counts = report.spending["frames"]
    assert isinstance(counts, dict)
    assert decoded in (None, sum(counts.values()))
    assert report.frames == sum(counts.values()) - counts["dropped"]
    numbers = [picture_number(plane) for plane in luma(Path(report.output))]
    assert len(numbers) == report.frames > 0
    steps = [(b - a) % 64 for a, b in pairwise(numbers)]
    assert sum(step == 0 for step in steps) == counts["repeated"], (steps, counts)


@contextmanager
def fifo(path: Path, data: bytes, hold: float = 0.0) -> Iterator[Path]:
    """A named pipe that `data` is written into, and which is then held open for at most `hold` seconds."""
    os.mkfifo(path)
    done = threading.Event()

    def feed() -> None:
        try:
            with open(path, "wb") as pipe:
                pipe.write(data)
                pipe.flush()
                done.wait(hold)
        except BrokenPipeError:
            pass  # The reader had enough.

    writer = threading.Thread(target=feed)
    writer.start()
    try:
        yield path
    finally:
        done.set()
        writer.join()


def test_a_network_stream_that_stops(tmp_path: Path) -> None:
    clip = make_video(tmp_path / "clip.mp4", frames=180, rate=30, keyframes=10)
    address = f"udp://127.0.0.1:{free_port()}"
    with sending(clip, address):
        report = upscale(address, tmp_path / "out.mkv")
    assert_accounted(report)
    assert any(f"{address} was ended: no picture arrived for 1.5 s" in note for note in report.notes)
    after = probe(tmp_path / "out.mkv")
    assert after.size == (128, 96) and after.seconds[0] == pytest.approx(0, abs=0.001)
    assert after.audio_codecs == ("aac",) and after.audio_packets > 0
    assert report.spending is not None and report.spending["deadline_ms"] == pytest.approx(1000 / 30)
    assert report.spending["latency_ms"]


@pytest.mark.parametrize("late", ["degrade", "repeat", "drop"])
def test_a_pipe_that_is_closed(tmp_path: Path, late: str) -> None:
    data = as_transport_stream(make_video(tmp_path / "clip.mp4", frames=60, audio=False))
    with fifo(tmp_path / "pipe", data) as pipe:
        report = upscale(pipe, tmp_path / "out.mkv", late=late, pace=Pace(deadline=0.02))
    assert_accounted(report, decoded=60)
    assert report.notes == ()


def test_pictures_that_are_missing_are_said_to_be(tmp_path: Path) -> None:
    times = [3000 * i + (27000 if i >= 20 else 0) + (54000 if i >= 30 else 0) for i in range(40)]
    data = as_transport_stream(make_video(tmp_path / "clip.mp4", frames=40, pts=times, audio=False))
    with fifo(tmp_path / "pipe", data) as pipe:
        report = upscale(pipe, tmp_path / "out.mkv")
    assert_accounted(report, decoded=40)
    assert any("2 gaps of 1.0 s in all were in" in note for note in report.notes)


def test_a_clock_that_jumps_ends_the_stream(tmp_path: Path) -> None:
    times = [3000 * i + (900_000 if i >= 20 else 0) for i in range(40)]
    data = as_transport_stream(make_video(tmp_path / "clip.mp4", frames=40, pts=times, audio=False))
    with fifo(tmp_path / "pipe", data) as pipe:
        report = upscale(pipe, tmp_path / "out.mkv")
    assert_accounted(report, decoded=20)
    assert any("its clock jumped by 10.0 s" in note for note in report.notes)


def test_pictures_that_cannot_be_decoded_do_not_hang(tmp_path: Path) -> None:
    """A stream that one joins behind its only keyframe."""
    clip = make_video(tmp_path / "clip.mp4", frames=60, audio=False)
    data = as_transport_stream(clip)
    with fifo(tmp_path / "pipe", data[188 * 60 :], hold=30) as pipe, pytest.raises(SourceError, match="no picture"):
        upscale(pipe, tmp_path / "out.mkv", live=Live(stall=1))


def test_a_pipe_that_is_held_open_but_silent(tmp_path: Path) -> None:
    data = as_transport_stream(make_video(tmp_path / "clip.mp4", frames=60, audio=False))
    with fifo(tmp_path / "pipe", data, hold=30) as pipe:
        report = upscale(pipe, tmp_path / "out.mkv", live=Live(stall=1))
    # The demuxer holds the last picture back until it sees the next.
    assert_accounted(report)
    assert any("was ended: no picture arrived for 1 s" in note for note in report.notes)


def test_standard_input_to_standard_output(tmp_path: Path) -> None:
    clip = make_video(tmp_path / "clip.mp4", frames=40, audio=False)
    command = "from rtsr.cli import main; main()", "upscale", "-", "-o", "-", "--scale", "2", "--live"
    options = "--model", MODEL, "--report", str(tmp_path / "report.json")
    done = subprocess.run(
        [sys.executable, "-c", *command, *options], input=as_transport_stream(clip), capture_output=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    assert b"standard output: " in done.stderr
    (tmp_path / "out.ts").write_bytes(done.stdout)
    after = probe(tmp_path / "out.ts")
    assert after.size == (128, 96)
    assert f"{after.frames} frames, 64x48 to 128x96".encode() in done.stderr


def test_a_picture_that_changes_its_size(tmp_path: Path) -> None:
    first = make_video(tmp_path / "a.mp4", frames=30, audio=False)
    second = make_video(tmp_path / "b.mp4", frames=30, size=(96, 64), audio=False)
    data = as_transport_stream(first) + as_transport_stream(second)
    with (
        fifo(tmp_path / "pipe", data) as pipe,
        pytest.raises(SourceError, match=r"size changes from 64x48 to 96x64.*out\.partial\.mkv") as caught,
    ):
        upscale(pipe, tmp_path / "out.mkv")
    assert f"after {probe(tmp_path / 'out.partial.mkv').frames} frames" in str(caught.value)
    assert not (tmp_path / "out.mkv").exists()


def test_nothing_arrives(tmp_path: Path) -> None:
    address = f"udp://127.0.0.1:{free_port()}"
    with pytest.raises(SourceError, match=f"no picture arrived from {address} within 0.5 s"):
        upscale(address, tmp_path / "out.mkv", live=Live(stall=0.5))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match="no picture arrived from"):
        upscale(tmp_path / "pipe", tmp_path / "out.mkv", live=Live(stall=0.5))
    assert list(tmp_path.iterdir()) == [tmp_path / "pipe"]


def test_noise_arrives(tmp_path: Path) -> None:
    with fifo(tmp_path / "pipe", os.urandom(100_000)) as pipe, pytest.raises(SourceError, match="pipe"):
        upscale(pipe, tmp_path / "out.mkv")


def test_a_file_at_its_own_pace(tmp_path: Path) -> None:
    clip = make_video(tmp_path / "clip.mp4", frames=45, rate=30)
    truth = make_video(tmp_path / "truth.mp4", frames=45, rate=30, size=(128, 96))
    began = time.monotonic()
    report = upscale(clip, tmp_path / "out.mp4", live=Live(realtime=True), reference=truth)
    assert time.monotonic() - began > 44 / 30
    assert_accounted(report, decoded=45)
    assert probe(tmp_path / "out.mp4").audio_packets == probe(clip).audio_packets
    assert report.reference is not None and report.reference["frames"] == report.frames


def test_a_stopped_live_run_keeps_its_part(tmp_path: Path) -> None:
    clip = make_video(tmp_path / "clip.mp4", frames=300)

    def stop_after_ten(progress: object) -> None:
        if progress.done == 10:  # type: ignore[attr-defined]
            raise KeyboardInterrupt

    job = Job(clip, tmp_path / "out.mkv", SCALE, model=MODEL, live=Live(realtime=True))
    with pytest.raises(KeyboardInterrupt, match="stopped after 10 frames"):
        run(job, stop_after_ten)
    assert probe(tmp_path / "out.partial.mkv").frames == 10


@pytest.mark.parametrize(
    ("source", "wishes", "says"),
    [
        ("udp://127.0.0.1:9", {"live": None}, "add --live"),
        ("clip.mp4", {}, "add --realtime"),
        ("udp://127.0.0.1:9", {"live": Live(realtime=True)}, "--realtime is for files"),
        ("smoke://signals", {}, "smoke is no protocol of live streams; known: udp, "),
        ("missing.mp4", {}, "does not exist"),
        ("srt://127.0.0.1:9", {}, "srt"),
        ("rtsp://127.0.0.1:9/game", {}, "cannot be opened as a live stream"),
        ("/dev/null", {}, "cannot be opened as a live stream"),
        ("clip.mp4", {"live": Live(realtime=True), "pace": Pace(quality=0.5)}, "a quality takes the time"),
        ("udp://127.0.0.1:9", {"reference": Path("clip.mp4")}, "a reference goes with a file"),
        ("clip.mp4", {"live": Live(realtime=True), "engine": "bicubic"}, "has no shares"),
    ],
)
def test_what_cannot_be_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, wishes: dict, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    make_video(tmp_path / "clip.mp4", frames=3)
    with pytest.raises(RtsrError, match=says):
        upscale(source, tmp_path / "out.mkv", **wishes)
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_a_live_input_needs_a_named_output(tmp_path: Path) -> None:
    data = as_transport_stream(make_video(tmp_path / "clip.mp4", frames=5, audio=False))
    with fifo(tmp_path / "pipe", data) as pipe, pytest.raises(UsageError, match=r"name the output .* with -o"):
        run(Job(pipe, None, SCALE, model=MODEL, live=Live(stall=1)))
