"""Live input that goes wrong on its way: pauses, jumps, bytes without pictures, loss; each is named and survived.

Nothing here depends on how quick the machine is, but that it makes pictures of 64x48 in less than their time.
"""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import pytest

from rtsr.errors import SourceError, UsageError
from rtsr.job import Job
from rtsr.pacing.delivery import Live
from rtsr.pipeline import run
from rtsr.report import Report
from rtsr.source.live import LiveSource
from tests.media import make_video
from tests.streams import SCALE, as_transport_stream, assert_accounted, fifo, free_port, pausing, sending, upscale

NULLS = (b"\x47\x1f\xff\x10" + b"\xff" * 184) * 7
"""Packets of MPEG-TS that hold nothing, as senders with a constant bit rate send them."""


def counts_of(report: Report) -> dict[str, int]:
    assert report.spending is not None and isinstance(report.spending["frames"], dict)
    return report.spending["frames"]


def test_a_sender_that_pauses_loses_about_a_second(tmp_path: Path) -> None:
    clip = make_video(tmp_path / "clip.mp4", frames=240, rate=30, keyframes=10, audio=False)
    with pausing(clip, tmp_path / "pipe", at=2.5, seconds=4) as pipe:
        report = upscale(pipe, tmp_path / "out.mkv", live=Live(stall=6))
    assert_accounted(report, decoded=240)
    assert counts_of(report)["dropped"] <= 50
    assert counts_of(report)["made"] >= 150
    assert any(note.endswith("s later than at first; the output follows them") for note in report.notes), report.notes


@pytest.mark.parametrize("back", [2, 9])
def test_a_clock_that_steps_back_ends_the_stream(tmp_path: Path, back: int) -> None:
    first = make_video(tmp_path / "a.mp4", frames=30, audio=False)
    times = [3000 * (30 - back + i) for i in range(30)]
    second = make_video(tmp_path / "b.mp4", frames=30, pts=times, audio=False)
    data = as_transport_stream(first) + as_transport_stream(second)
    with fifo(tmp_path / "pipe", data) as pipe:
        report = upscale(pipe, tmp_path / "out.mkv")
    assert_accounted(report, decoded=30)
    assert any(f"its clock jumped by -{(back + 1) / 30:.1f} s" in note for note in report.notes), report.notes


def test_bytes_without_pictures_end_a_pipe(tmp_path: Path) -> None:
    data = as_transport_stream(make_video(tmp_path / "clip.mp4", frames=60, audio=False))
    began = time.monotonic()
    with fifo(tmp_path / "pipe", data, hold=60, idle=NULLS) as pipe:
        report = upscale(pipe, tmp_path / "out.mkv", live=Live(stall=1))
    assert_accounted(report, decoded=60)
    assert any("was ended: no picture arrived for 1 s" in note for note in report.notes)
    assert time.monotonic() - began < 50


def test_bytes_without_pictures_do_not_open_a_pipe(tmp_path: Path) -> None:
    with (
        fifo(tmp_path / "pipe", NULLS, hold=60, idle=NULLS) as pipe,
        pytest.raises(SourceError, match=r"no picture arrived from .*pipe within 1 s"),
    ):
        upscale(pipe, tmp_path / "out.mkv", live=Live(stall=1))


def test_pictures_that_are_missing_one_by_one_are_counted(tmp_path: Path) -> None:
    times = [3000 * i for i in range(60) if i not in (17, 31, 44)]
    clip = make_video(tmp_path / "clip.mp4", frames=57, pts=times, audio=False)
    with fifo(tmp_path / "pipe", as_transport_stream(clip)) as pipe:
        report = upscale(pipe, tmp_path / "out.mkv")
    assert_accounted(report, decoded=57)
    assert [note.partition(":")[2] for note in report.notes] == [" 3 pictures are missing"]


def test_damage_is_said_to_be_where_a_network_stream_stops(tmp_path: Path) -> None:
    clip = make_video(tmp_path / "clip.ts", frames=60, keyframes=10, audio=False)
    with av.open(str(clip)) as source, av.open(str(tmp_path / "bad.ts"), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(p for p in source.demux(video=0) if p.dts is not None):
            sent = packet
            if number in (25, 35):
                sent = av.Packet(b"\0\0\0\1\x65" + bytes(40))
                sent.pts, sent.dts, sent.time_base = packet.pts, packet.dts, packet.time_base
            sent.stream = stream
            out.mux(sent)
    address = f"udp://127.0.0.1:{free_port()}"
    with sending(tmp_path / "bad.ts", address):
        report = upscale(address, tmp_path / "out.mkv")
    counts = counts_of(report)  # Pictures made up for damaged ones show others' numbers: they cannot be told apart.
    assert report.frames == sum(counts.values()) - counts["dropped"] > 0
    assert any("was ended: no picture arrived" in note for note in report.notes), report.notes
    assert any("damaged video packets were left out" in note for note in report.notes), report.notes


@contextmanager
def serving(data: bytes) -> Iterator[str]:
    """The address of a server that gives `data` to who connects, as quickly as it is taken."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with server.accept()[0] as connection:
                connection.sendall(data)

        server.settimeout(30)
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


def test_what_a_server_sends_at_once_is_no_clock(tmp_path: Path) -> None:
    data = as_transport_stream(make_video(tmp_path / "clip.mp4", frames=180, rate=30, audio=False))
    with serving(data) as address:
        report = upscale(address, tmp_path / "out.mkv", live=Live(stall=5))
    assert_accounted(report, decoded=180)
    assert counts_of(report)["made"] > 90


def test_who_sets_the_pace(tmp_path: Path) -> None:
    data = as_transport_stream(make_video(tmp_path / "clip.mp4", frames=20, audio=False))
    with fifo(tmp_path / "pipe", data) as pipe, LiveSource(pipe, 5, threading.Event()) as source:
        assert not source.follows
    with serving(data) as address, LiveSource(address, 5, threading.Event()) as source:
        assert not source.follows
    address = f"udp://127.0.0.1:{free_port()}"
    clip = make_video(tmp_path / "long.mp4", frames=60, rate=30, keyframes=5)
    with sending(clip, address), LiveSource(address, 5, threading.Event()) as source:
        assert source.follows


def test_a_pipe_is_refused_where_nobody_said_live(tmp_path: Path) -> None:
    """At once: nobody writes into it."""
    os.mkfifo(tmp_path / "pipe")
    for source in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(UsageError, match=f"{source} is live; add --live to keep up with it"):
            run(Job(source, tmp_path / "out.mkv", SCALE, engine="bicubic"))


def test_an_address_as_long_as_a_stream_s_key_makes_it(tmp_path: Path) -> None:
    address = f"tcp://127.0.0.1:{free_port()}?key={'k' * 300}"
    with pytest.raises(SourceError, match="refused"):
        upscale(address, tmp_path / "out.mkv", live=Live(stall=5))
