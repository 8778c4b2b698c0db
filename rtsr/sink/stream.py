"""Sends frames and sound as MPEG-TS to an address or to standard output, as they are encoded."""

import sys
from contextlib import suppress
from pathlib import Path

import av
from av.container import OutputContainer
from av.error import FFmpegError

from rtsr.errors import SinkError, UsageError
from rtsr.frame import Video
from rtsr.sink.encoding import Encoding
from rtsr.sink.pyav import PyAVSink
from rtsr.source.base import Source

STANDARD_OUTPUT = "-"
PROTOCOLS = ("udp", "rtp", "tcp", "srt")
"""Network protocols that carry MPEG-TS."""


class StreamSink(PyAVSink):
    """As `PyAVSink`, to `target`: an address such as udp://HOST:PORT, or `-` for standard output.

    What is sent cannot be read back, nor taken back.
    """

    how_kept = "were sent to"

    def __init__(self, target: str, video: Video, source: Source, encoding: Encoding, gpu: int | None = None) -> None:
        self.target = target
        super().__init__(Path("stream.ts"), video, source, encoding, gpu=gpu)

    @property
    def name(self) -> str:
        return "standard output" if self.target == STANDARD_OUTPUT else self.target

    @property
    def kind(self) -> str:
        return "MPEG-TS streams"

    def check(self) -> None:
        """Nothing can be read back."""

    def finish(self, partial: bool = False) -> str:
        """What it was sent to."""
        return self.name

    def keep(self) -> str:
        """What it was sent to; its end, too, where that can be."""
        with suppress(SinkError):
            self.close()
        return self.name

    def abandon(self) -> None:
        """Stop sending."""
        self._abort()

    def _open(self) -> OutputContainer:
        self._check_target()
        try:
            if self.target == STANDARD_OUTPUT:
                return av.open(sys.stdout.buffer, "w", format="mpegts")
            return av.open(_whole_packets(self.target), "w", format="mpegts")
        except (FFmpegError, OSError, ValueError) as cause:
            reason = getattr(cause, "strerror", None) or cause
            raise SinkError(f"cannot send to {self.target}: {reason}; e.g. -o udp://127.0.0.1:5000") from cause

    def _check_target(self) -> None:
        scheme = self.target.partition(":")[0]
        if self.target == STANDARD_OUTPUT and sys.stdout.isatty():
            raise UsageError("standard output is a terminal; pipe it on, e.g. rtsr upscale ... -o - | ffplay -")
        if self.target != STANDARD_OUTPUT and scheme not in PROTOCOLS:
            raise UsageError(f"{self.target}: MPEG-TS is not sent by {scheme}; known: {', '.join(PROTOCOLS)}")


def _whole_packets(target: str) -> str:
    """`target`, told to put seven whole transport packets into a datagram, as receivers expect."""
    if not target.startswith("udp:") or "pkt_size" in target:
        return target
    return f"{target}{'&' if '?' in target else '?'}pkt_size=1316"
