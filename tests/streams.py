"""Sends clips as live streams, for tests of what receives them."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av


def free_port() -> int:
    """A UDP port that nobody listens on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextmanager
def sending(clip: Path, address: str) -> Iterator[None]:
    """Send `clip` to `address` once, at its own pace, while the block runs."""
    stop = threading.Event()
    sender = threading.Thread(target=_send, args=(clip, address, stop))
    sender.start()
    try:
        yield
    finally:
        stop.set()
        sender.join()


def _send(clip: Path, address: str, stop: threading.Event) -> None:
    began = time.monotonic()
    with av.open(str(clip)) as source, av.open(address, "w", format="mpegts") as out:
        streams = {stream.index: out.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None and packet.time_base is not None:
                due = began + float(packet.dts * packet.time_base)
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
