"""Sends clips as live streams, and checks what became of them, for tests of what receives them."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import IO

import av

from rtsr.job import Job
from rtsr.pacing.delivery import Live
from rtsr.pipeline import run
from rtsr.report import Report
from tests.media import luma, picture_number

MODEL = "quicksrnet-small"
SCALE = Fraction(2)


def upscale(source: Path | str, output: Path | str, **wishes: object) -> Report:
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
def fifo(path: Path, data: bytes, hold: float = 0.0, idle: bytes = b"") -> Iterator[Path]:
    """A named pipe that `data` is written into, which is then held open for at most `hold` seconds; `idle` again and
    again meanwhile."""
    os.mkfifo(path)
    done = threading.Event()

    def feed() -> None:
        try:
            with open(path, "wb", buffering=0) as pipe:
                pipe.write(data)
                until = time.monotonic() + hold
                os.set_blocking(pipe.fileno(), False)
                while time.monotonic() < until and not done.wait(0.01 if idle else hold):
                    pipe.write(idle)  # What there is no room for is not written.
        except BrokenPipeError:
            pass  # The reader had enough.

    writer = threading.Thread(target=feed)
    writer.start()
    try:
        yield path
    finally:
        done.set()
        writer.join()


def free_port() -> int:
    """A UDP port that nobody listens on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextmanager
def sending(clip: Path, address: str) -> Iterator[None]:
    """Send `clip` to `address` once, at its own pace, while the block runs, from when somebody listens (Linux)."""
    stop = threading.Event()
    sender = threading.Thread(target=_send, args=(clip, address, stop))
    sender.start()
    try:
        yield
    finally:
        stop.set()
        sender.join()


@contextmanager
def pausing(clip: Path, path: Path, at: float, seconds: float) -> Iterator[Path]:
    """A named pipe into which `clip` is sent at its own pace, with a pause that its timestamps know nothing of."""
    os.mkfifo(path)
    stop = threading.Event()

    def feed() -> None:
        try:
            with open(path, "wb", buffering=0) as pipe:
                _copy(clip, pipe, stop, at, seconds)
        except OSError:
            pass  # The reader had enough.

    sender = threading.Thread(target=feed)
    sender.start()
    try:
        yield path
    finally:
        stop.set()
        sender.join()


def _send(clip: Path, address: str, stop: threading.Event) -> None:
    port = f":{int(address.rpartition(':')[2]):04X} "
    while port not in Path("/proc/net/udp").read_text("utf-8"):
        if stop.wait(0.02):
            return
    _copy(clip, address, stop)


def _copy(clip: Path, target: str | IO[bytes], stop: threading.Event, at: float = 0, pause: float = 0) -> None:
    began = time.monotonic()
    with av.open(str(clip)) as source, av.open(target, "w", format="mpegts", options={"flush_packets": "1"}) as out:
        streams = {stream.index: out.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None and packet.time_base is not None:
                time_s = float(packet.dts * packet.time_base)
                due = began + time_s + (pause if time_s >= at else 0.0)
                if stop.wait(max(0.0, due - time.monotonic())):
                    return
                packet.stream = streams[packet.stream.index]
                out.mux(packet)


def as_transport_stream(clip: Path) -> bytes:
    """The pictures of `clip` as MPEG-TS."""
    path = clip.with_suffix(".sent.ts")
    with av.open(str(clip)) as source, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    return path.read_bytes()
