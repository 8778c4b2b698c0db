"""Sources whose clock rules: network streams, devices, pipes, and files that are played at their own pace."""

import os
import re
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from stat import S_ISCHR, S_ISFIFO
from threading import Event
from typing import IO

import av
from av.container import InputContainer
from av.error import ExitError, FFmpegError, ProtocolNotFoundError

from rtsr.errors import SourceError, UsageError
from rtsr.frame import Frame
from rtsr.part import WHOLE, Part
from rtsr.source.base import Copied, Item
from rtsr.source.gaps import Gaps, in_words
from rtsr.source.pipe import Pipe
from rtsr.source.pyav import PyAVSource

PROTOCOLS = ("udp", "rtp", "rtsp", "rtsps", "rtmp", "srt", "tcp")
"""Network protocols that live streams come by."""
PIPE = "-"
"""Standard input."""
PUSHED = tuple(protocol for protocol in PROTOCOLS if protocol != "tcp")
"""Those whose pictures come at their sender's pace; bytes of TCP alone wait until they are read, as in a pipe."""
LONGEST_PROBE = 5.0
"""Seconds of a pipe that are looked at, if there are so many, before its first picture is taken."""


def address(source: str | Path) -> str | None:
    """`source` where it is the address of a stream or `PIPE`; None where it is a path."""
    text = str(source) if isinstance(source, str) else ""
    return text if text == PIPE or re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text) else None


def is_live(source: str | Path) -> bool:
    """Whether `source` has a clock of its own: an address, a device or a pipe."""
    if address(source) is not None:
        return True
    try:
        mode = os.stat(source).st_mode
    except (OSError, ValueError):
        return False
    return S_ISCHR(mode) or S_ISFIFO(mode)


class LiveSource(PyAVSource):
    """The video and sound of a live stream, or `part` of it, from its first picture on, which gets the time 0.

    `source` is an address (`udp://`, `rtsp://`, ...), `-` for standard input, a pipe or a device. The stream ends
    where it stops for `stall` seconds, vanishes, or its clock jumps; `notes` say so. It ends, too, within `stall`
    seconds of `stop` being set. Raises SourceError where nothing arrives at all, or the picture changes its size.
    """

    threads = "SLICE"
    joins = False
    moves = True

    def __init__(self, source: str | Path, stall: float, stop: Event, part: Part = WHOLE) -> None:
        self._stall, self._stop = stall, stop
        self._pipe: Pipe | None = None
        self.follows = not _is_pipe(source) and _scheme(source) in (None, *PUSHED)
        """Whether frames arrive at the sender's pace, however quickly they are read."""
        self.waited = self._waiting = 0.0
        """Seconds that the last picture was waited for, with nothing to read or decode."""
        super().__init__(source, part, stop)
        self.video = part.limit(replace(self.video, frames=0))

    def _open(self) -> InputContainer:
        try:
            container = self._open_stream()
            if not container.streams:  # Bytes came, but nothing that says what they are.
                container.close()
                raise TimeoutError
            return container
        except (TimeoutError, ExitError) as cause:
            raise self._silent() from cause
        except ProtocolNotFoundError as cause:
            scheme = self.name.partition(":")[0]
            raise SourceError(
                f"{self.name}: PyAV's FFmpeg has no {scheme}; let a full one hand the stream on: "
                f"ffmpeg -i {scheme}://... -c copy -f mpegts - | rtsr upscale - --live ..."
            ) from cause
        except (FFmpegError, OSError, ValueError) as cause:
            reason = getattr(cause, "strerror", None) or cause
            raise SourceError(f"{self.name} cannot be opened as a live stream ({reason}); does it play?") from cause

    def _open_stream(self) -> InputContainer:
        if self.name == PIPE:
            if sys.stdin.isatty():
                raise UsageError("nothing is piped in; e.g. ffmpeg -i ... -f nut - | rtsr upscale - --live ...")
            self.name = "standard input"  # As notes and errors call it.
            return self._open_pipe(sys.stdin.buffer)
        if _is_pipe(self.name):
            # Opened without waiting for somebody who writes: that nobody does must not hang.
            pipe = os.fdopen(os.open(self.name, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0)
            return self._open_pipe(pipe)
        limits = (self._stall, self._stall)
        if address(self.name) is None:
            return av.open(self.name, format="v4l2", timeout=limits)
        return av.open(self.name, timeout=limits, options=_network_options(self.name))

    def _open_pipe(self, file: IO[bytes]) -> InputContainer:
        self._pipe = Pipe(file, time.monotonic() + self._stall, self._stop)
        probe = min(LONGEST_PROBE, self._stall / 2)  # Of a stream that comes at its time there is no more.
        try:
            return av.open(self._pipe, "r", options={"analyzeduration": str(round(1e6 * probe))})
        except (FFmpegError, ValueError):
            self._pipe.check()
            raise

    def _read_first(self) -> av.VideoFrame:
        try:
            return super()._read_first()
        except SourceError as cause:
            raise self._silent() from cause

    def _silent(self) -> SourceError:
        if self._pipe is not None and self._pipe.heard and not self._pipe.stalled:
            return SourceError(
                f"{self.name} ended without a picture; an MP4 file cannot be read from a pipe, but by its name, or as "
                "another type: ffmpeg -i in.mp4 -c copy -f nut - | rtsr upscale - --live ..."
            )
        return SourceError(
            f"no picture arrived from {self.name} within {self._stall:g} s; "
            "is it being sent, and with a keyframe now and then?"
        )

    def _packets(self) -> Iterator[av.Packet]:
        packets = super()._packets()
        while True:
            asked = time.monotonic()
            if self._pipe is not None:
                self._pipe.until = self._seen + self._stall
            packet = next(packets, None)
            self._waiting += time.monotonic() - asked
            if packet is None or self._stop.is_set():
                return
            yield packet  # Even after a stall: it may hold the last picture, which the demuxer kept back.
            if time.monotonic() - self._seen > self._stall:
                raise TimeoutError

    def _decode(self) -> Generator[av.VideoFrame | Copied, None, None]:
        last, gaps = None, Gaps()
        self._seen = time.monotonic()
        try:
            for item in super()._decode():
                if not isinstance(item, Copied) and item.time is not None:
                    step = None if last is None else item.time - last
                    if step is not None and not -0.5 / self._rate < step < self._stall:
                        self._give_up(f"its clock jumped by {in_words(step)}")
                        return
                    if step is not None:
                        gaps.add(step)
                    last = item.time
                if not isinstance(item, Copied):
                    self.waited, self._waiting = self._waiting, 0.0
                handed = time.monotonic()
                yield item
                # However long the item waited to be taken, that is no stall of the input.
                self._seen = (
                    time.monotonic() if not isinstance(item, Copied) else self._seen + time.monotonic() - handed
                )
            if self._pipe is not None:
                self._pipe.check()
        except (SourceError, OSError) as cause:
            stalled = isinstance(cause, OSError) or isinstance(cause.__cause__, ExitError)
            self._give_up(f"no picture arrived for {self._stall:g} s" if stalled else "it vanished")
            with suppress(FFmpegError):  # It gave all that it had, or what is left is damaged.
                yield from self._stream.decode(None)
        finally:
            if gaps and (missing := gaps.describe(self.name, self._rate)) is not None:
                self.notes.append(missing)

    @property
    def _rate(self) -> float:
        """Pictures a second, or what is usual where the stream does not say."""
        return float(self.video.rate or 25)

    def _give_up(self, why: str) -> None:
        self.notes.append(f"{self.name} was ended: {why}")

    def _check_complete(self) -> None:
        """A live stream promises nothing."""


class PlayedSource(PyAVSource):
    """A file, played at its own pace; ends early where `stop` is set."""

    follows = False

    def __init__(self, path: str | Path, stop: Event, part: Part = WHOLE) -> None:
        self._stop = stop
        super().__init__(path, part, stop)

    def items(self) -> Generator[Item, None, None]:
        """As `PyAVSource.items`, each frame not before its time."""
        began = None
        for item in super().items():
            if isinstance(item, Frame):
                at = float(item.pts * self.video.time_base)
                began = time.monotonic() - at if began is None else began
                if self._stop.wait(max(0.0, began + at - time.monotonic())):
                    return
            yield item


def _is_pipe(source: str | Path) -> bool:
    if address(source) is not None:
        return address(source) == PIPE
    return S_ISFIFO(os.stat(source).st_mode)


def _scheme(source: str | Path) -> str | None:
    """The protocol of an address; None where `source` is a path, or the pipe."""
    return None if address(source) in (None, PIPE) else str(source).partition(":")[0].lower()


def check_protocol(source: str | Path) -> None:
    """Raise UsageError where `source` is an address that nothing live comes from."""
    scheme = _scheme(source)
    if scheme is not None and scheme not in PROTOCOLS:
        raise UsageError(
            f"{source}: {scheme} is no protocol of live streams, which are {', '.join(PROTOCOLS)}; "
            "download a file first"
        )


def _network_options(url: str) -> dict[str, str]:
    """Short probing, so that the first frames do not wait; a full buffer loses packets, not the stream."""
    check_protocol(url)
    scheme = url.partition(":")[0].lower()
    probing = {"probesize": "1000000", "analyzeduration": "1000000"}
    own = {"udp": {"overrun_nonfatal": "1"}, "rtsp": {"rtsp_transport": "tcp"}}.get(scheme, {})
    return {**probing, **own}
