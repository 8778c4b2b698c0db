"""Live input from the network, from pipes and from files at their own pace: all of it is accounted for.

Nothing here depends on how quick the machine is: a slow one repeats and drops more, and must say so.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from itertools import islice
from pathlib import Path

import av
import pytest

from rtsr.errors import RtsrError, SourceError, UsageError
from rtsr.frame import Frame
from rtsr.job import Job
from rtsr.pacing.delivery import Live
from rtsr.pacing.paced import Pace
from rtsr.part import as_part
from rtsr.pipeline import run
from rtsr.sink.encoding import Encoding
from rtsr.source.live import LiveSource
from tests.media import make_video, picture, probe
from tests.networks import exported
from tests.streams import MODEL, SCALE, as_transport_stream, assert_accounted, fifo, free_port, sending, upscale


def test_a_network_stream_that_stops(tmp_path: Path) -> None:
    clip = make_video(tmp_path / "clip.mp4", frames=180, rate=30, keyframes=10)
    address = f"udp://127.0.0.1:{free_port()}"
    with sending(clip, address):
        report = upscale(address, tmp_path / "out.mkv")
    # Loss on the way is said to be there.
    assert_accounted(report, decoded=None if any("gap" in note for note in report.notes) else 180)
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


def test_a_part_of_a_stream_that_goes_on(tmp_path: Path) -> None:
    data = as_transport_stream(make_video(tmp_path / "clip.mp4", frames=60, keyframes=10, audio=False))
    with fifo(tmp_path / "pipe", data, hold=60) as pipe:
        report = upscale(pipe, tmp_path / "out.mkv", part=as_part(duration=1), live=Live(stall=30))
    assert_accounted(report, decoded=30)
    assert report.notes == () and report.seconds < 30


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
    assert_accounted(report, decoded=60)
    assert any("was ended: no picture arrived for 1 s" in note for note in report.notes)


def test_standard_input_to_standard_output(tmp_path: Path) -> None:
    times = [3000 * i + (42000 if i >= 20 else 0) for i in range(40)]
    clip = make_video(tmp_path / "clip.mp4", frames=40, pts=times, audio=False)
    command = "from rtsr.cli import main; main()", "upscale", "-", "-o", "-", "--scale", "2", "--live"
    options = "--model", MODEL, "--report", str(tmp_path / "report.json")
    done = subprocess.run(
        [sys.executable, "-c", *command, *options], input=as_transport_stream(clip), capture_output=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    assert b"standard output: " in done.stderr
    assert b"note: a gap of 0.5 s was in standard input when it came" in done.stderr
    (tmp_path / "out.ts").write_bytes(done.stdout)
    after = probe(tmp_path / "out.ts")
    assert after.size == (128, 96)
    assert f"{after.frames} frames, 64x48 to 128x96".encode() in done.stderr


def test_a_picture_that_changes_its_size(tmp_path: Path) -> None:
    first = make_video(tmp_path / "a.mp4", frames=30, audio=False)
    times = [3000 * (33 + i) for i in range(30)]  # Behind those of the first.
    second = make_video(tmp_path / "b.mp4", frames=30, size=(96, 64), pts=times, audio=False)
    data = as_transport_stream(first) + as_transport_stream(second)
    with (
        fifo(tmp_path / "pipe", data) as pipe,
        pytest.raises(SourceError, match=r"size changes from 64x48 to 96x64.*out\.partial\.mkv") as caught,
    ):
        upscale(pipe, tmp_path / "out.mkv")
    assert f"after {probe(tmp_path / 'out.partial.mkv').frames} frames" in str(caught.value)
    assert not (tmp_path / "out.mkv").exists()


def test_a_file_type_that_no_pipe_can_carry(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", frames=120, size=(640, 480))
    assert source.stat().st_size > 200_000  # What fits into a buffer can be.
    with (
        fifo(tmp_path / "pipe", source.read_bytes()) as pipe,
        pytest.raises(SourceError, match="ended without a picture; an MP4 file cannot be read from a pipe"),
    ):
        upscale(pipe, tmp_path / "out.mkv")


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


def test_what_is_sent_on_can_be_received(tmp_path: Path) -> None:
    clip = make_video(tmp_path / "clip.mp4", frames=60, rate=30)
    address = f"udp://127.0.0.1:{free_port()}"
    encoding = Encoding(options={"g": "10", "bf": "0"})
    received: list[Frame] = []

    def receive() -> None:
        with LiveSource(address, 10, threading.Event()) as source:
            received.extend(item for item in islice(source.items(), 40) if isinstance(item, Frame))

    receiver = threading.Thread(target=receive)
    receiver.start()
    try:
        report = upscale(clip, address, live=Live(realtime=True), encoding=encoding)
    finally:
        receiver.join()
    assert report.output == address and report.frames > 30
    assert received and (received[0].width, received[0].height) == (128, 96)


@pytest.mark.parametrize("kind", ["yuv4mpegpipe", "nut", "matroska"])
def test_kinds_of_pipes(tmp_path: Path, kind: str) -> None:
    codec = {"yuv4mpegpipe": "wrapped_avframe", "nut": "rawvideo"}.get(kind, "libx264")
    with av.open(str(tmp_path / "sent"), "w", format=kind) as out:
        stream = out.add_stream(codec, rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(30):
            frame = picture(number, (64, 48))
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with fifo(tmp_path / "pipe", (tmp_path / "sent").read_bytes()) as pipe:
        report = upscale(pipe, tmp_path / "out.mkv", live=Live(stall=5))
    assert_accounted(report, decoded=30)
    assert report.notes == ()


def test_tiles_in_their_time(tmp_path: Path, networks: Path) -> None:
    card = exported("enaf-quicksrnet-medium", SCALE, networks).card_path
    clip = make_video(tmp_path / "clip.mp4", frames=30, rate=30, size=(160, 96))
    job = Job(clip, tmp_path / "out.mkv", SCALE, model=card, live=Live(latency=0.5, realtime=True), threads=1)
    report = run(job)
    assert_accounted(report, decoded=30)
    assert report.spending is not None and isinstance(report.spending["frames"], dict)
    tiles, counts = report.spending["tiles_per_exit"], report.spending["frames"]
    assert isinstance(tiles, list) and sum(tiles) % 15 == 0
    # Frames that were interpolated for want of any time have no tiles.
    assert counts["made"] <= sum(tiles) / 15 <= counts["made"] + counts["interpolated"]


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
        ("http://127.0.0.1:9/x.mp4", {"live": None}, "http is no protocol of live streams, .*; download a file first"),
        ("smoke://signals", {}, "smoke is no protocol of live streams, which are udp, .*; download a file first"),
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
    """Said before anything is waited for: nothing is ever sent here."""
    os.mkfifo(tmp_path / "pipe")
    for source in (tmp_path / "pipe", "udp://127.0.0.1:9"):
        with pytest.raises(UsageError, match=r"name the output .* with -o"):
            run(Job(source, None, SCALE, model=MODEL, live=Live(stall=1)))


def test_a_pipe_that_nothing_comes_through_can_be_interrupted(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    options = "--scale", "2", "--live", "--model", MODEL, "--stall", "60s", "-o", str(tmp_path / "out.mkv")
    command = [sys.executable, "-c", "from rtsr.cli import main; main()", "upscale", str(tmp_path / "pipe"), *options]
    # A shell that runs tests in the background lets its children ignore SIGINT.
    as_usual = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **as_usual) as running:
        writer = os.open(tmp_path / "pipe", os.O_WRONLY)  # Returns when the other side has opened it.
        time.sleep(0.5)
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=50)
        os.close(writer)
    assert running.returncode == 130 and errors.strip() == "stopped"


@pytest.mark.parametrize("with_signal", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("to", ["out.mkv", "udp"])
def test_a_signal_is_the_usual_end_of_a_live_input(tmp_path: Path, with_signal: signal.Signals, to: str) -> None:
    data = as_transport_stream(make_video(tmp_path / "clip.mp4", frames=60, audio=False))
    output = f"udp://127.0.0.1:{free_port()}" if to == "udp" else to
    options = "--scale", "2", "--live", "--model", MODEL, "--stall", "60s", "-o", output, "--report", "a.json"
    command = [sys.executable, "-c", "from rtsr.cli import main; main()", "upscale", "pipe", *options]
    as_usual = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    with (
        fifo(tmp_path / "pipe", data, hold=50),
        subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **as_usual
        ) as running,
    ):
        time.sleep(8)
        for _ in range(3):
            running.send_signal(with_signal)
            time.sleep(0.1)
        said, errors = running.communicate(timeout=50)
    by = "Ctrl-C" if with_signal is signal.SIGINT else "SIGTERM"
    assert running.returncode == 0, errors
    assert errors.splitlines() == [
        "stopping; completing what was made so far",
        f"note: pipe was ended: stopped by {by}",
    ]
    report = json.loads((tmp_path / "a.json").read_text("utf-8"))
    assert said.startswith(f"{output}: {report['frames']} frames, 64x48 to 128x96") and report["stopped"]
    counts = report["spending"]["frames"]
    assert report["frames"] == sum(counts.values()) - counts["dropped"] > 50
    if to != "udp":
        assert probe(tmp_path / "out.mkv").frames == report["frames"]
    assert not list(tmp_path.glob("*partial*"))


def test_an_address_that_nothing_can_be_sent_to(tmp_path: Path) -> None:
    clip = make_video(tmp_path / "clip.mp4", frames=3)
    for target, says in (("smoke://signals", "known: udp, "), ("tcp://127.0.0.1:9", "cannot write tcp")):
        with pytest.raises(RtsrError, match=says):
            run(Job(clip, target, SCALE, engine="bicubic"))
