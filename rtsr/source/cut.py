"""A part of what comes out of a source."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from math import ceil
from threading import Event

from av import Packet
from av.stream import Stream

from rtsr.errors import SourceError
from rtsr.frame import Frame, GpuFrame, Video
from rtsr.part import Part
from rtsr.source.base import Copied, Item

SLACK = 5
"""Seconds behind a part's end in which packets of sound that belong to it are still looked for."""
LATE = Fraction(1, 20)
"""Seconds behind a part's start by which its first frame may be late, before the one on screen there opens it."""
FINE = Fraction(1, 10_000)
"""Longest tick in which packets of sound are moved."""


class Cut:
    """`part` of the source `name` of `video` and `others`; the first of all its pictures is at `zero`, in ticks.

    Start and end are the ticks nearest to what the part says. Its time begins with the first frame that is shown in it;
    where that is later than a frame usually lasts, or than `LATE`, with the one that is on screen at the start. Packets
    move by the same time. Sound is cut between packets; subtitles that are on screen at the start, as far as their
    packets say so and were read, are shown from there on. Once `stop` is set, the start is not looked for any more.
    """

    def __init__(
        self, part: Part, zero: int, video: Video, others: Sequence[Stream], name: str, stop: Event | None = None
    ) -> None:
        self._base = video.time_base
        self._latest = min(1 / (video.rate or Fraction(25)), LATE) + self._base
        self._zero = zero * self._base
        self._begin = self._zero + round(part.start / self._base) * self._base
        ends = None if part.duration is None else round((part.start + part.duration) / self._base)
        self._end = None if ends is None else self._zero + max(ends, 1) * self._base
        self._stop = stop
        self._sound = {stream.index for stream in others if stream.type == "audio"}
        self._name = name
        self._origin: Fraction | None = None
        """When the part's time begins, in the source's; None: no frame has come yet."""
        self._early: list[Copied] = []
        """Packets that came before that was known."""

    def items(self, items: Generator[Item, None, None]) -> Generator[Item, None, None]:
        """What is in the part, of `items`: all of them, or those from some time before it on.

        Raises SourceError where that is no frame, unless it was stopped.
        """
        awaited, before, ends = set(self._sound), None, self._begin
        with closing(items):
            for item in items:
                if self._origin is None and self._stop is not None and self._stop.is_set():
                    return
                if isinstance(item, Copied):
                    if self._is_over(item):
                        awaited.discard(item.stream)
                    yield from self._packet(item)
                    continue
                at = item.pts * self._base
                if self._origin is None and before is not None and at > self._begin + self._latest:
                    yield from self._open(self._begin, before, at)
                if self._end is not None and at >= self._end:
                    if self._origin is None or not awaited or at > self._end + SLACK:
                        break
                elif at >= self._begin:
                    yield from self._open(at, item) if self._origin is None else self._frame(item)
                before, ends = item, at + item.duration * self._base
        if self._origin is None and before is not None and ends > self._begin:
            yield from self._open(self._begin, before, ends)
        if self._origin is None:
            raise SourceError(
                f"{self._name} is {float(ends - self._zero):.2f} s long; there is no picture at "
                f"{float(self._begin - self._zero):.2f} s, where the part starts"
            )

    @property
    def lead(self) -> Fraction:
        """Seconds by which the part's first frame follows its start; 0 before there is one."""
        return Fraction(0) if self._origin is None else self._origin - self._begin

    def _open(self, origin: Fraction, frame: Frame | GpuFrame, until: Fraction | None = None) -> Iterator[Item]:
        """Let the part's time begin at `origin`, with `frame`."""
        self._origin = origin
        yield from self._frame(frame, until)
        early, self._early = self._early, []
        for copied in early:
            yield from self._packet(copied)

    def _frame(self, frame: Frame | GpuFrame, until: Fraction | None = None) -> Iterator[Item]:
        """`frame` in the part's time, shown no longer than that, and than `until` in the source's."""
        assert self._origin is not None
        first, ends = round(self._origin / self._base), frame.pts + frame.duration
        if until is not None:
            ends = round(until / self._base)
        if self._end is not None:
            ends = min(ends, round(self._end / self._base))
        starts = max(frame.pts, first)
        yield replace(frame, pts=starts - first, duration=max(1, ends - starts))

    def _packet(self, copied: Copied) -> Iterator[Copied]:
        """The packet in the part's time, where it belongs there; it is kept back as long as that is not known."""
        packet, heard = copied.packet, copied.stream in self._sound
        if heard:
            _refine(packet)
        base = packet.time_base
        if packet.pts is None or base is None or self._is_over(copied):
            return
        ends = packet.pts + (packet.duration or 0)
        if self._origin is None:
            if ends * base >= self._begin:
                self._early.append(copied)
            return
        first = round(self._origin / base)
        if packet.pts < first and (heard or ends <= first):
            return
        if not heard and packet.duration:
            starts = max(packet.pts, first)
            ends = ends if self._end is None else min(ends, round(self._end / base))
            packet.pts = packet.dts = starts
            packet.duration = max(1, ends - starts)
        packet.pts -= first
        packet.dts = None if packet.dts is None else packet.dts - first
        yield copied

    def _is_over(self, copied: Copied) -> bool:
        """Whether what `copied` holds starts behind the part's end."""
        pts, base = copied.packet.pts, copied.packet.time_base
        return self._end is not None and pts is not None and base is not None and pts * base >= self._end


def _refine(packet: Packet) -> None:
    """Let `packet` count time in ticks of `FINE` at most, as those of AVI are as long as what they hold."""
    base = packet.time_base
    if base is None or base <= FINE or packet.pts is None:
        return
    parts = ceil(base / FINE)
    packet.time_base = base / parts
    packet.pts, packet.duration = packet.pts * parts, (packet.duration or 0) * parts
    packet.dts = None if packet.dts is None else packet.dts * parts
