"""The boundary between the pipeline and whatever frames come from."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol, Self

import av
from av.stream import Stream

from rtsr.frame import Frame, GpuFrame, Video


@dataclass(frozen=True, slots=True)
class Copied:
    """A packet of another stream (sound, subtitles) on its way to the output, untouched."""

    stream: int
    """Index of the stream in the source."""
    packet: av.Packet


Item = Frame | GpuFrame | Copied
"""What comes out of a source, and goes into a sink."""


class Source(Protocol):
    """A video as frames, and what goes with it as packets."""

    path: Path
    notes: list[str]
    """What is not passed on, or not as it was; grows as items are read."""

    @property
    def video(self) -> Video:
        """What the frames have in common."""
        ...

    @property
    def stream(self) -> Stream | None:
        """The video's stream, whose language, title and role the output takes; None where there is none."""
        ...

    @property
    def others(self) -> Sequence[Stream]:
        """The streams that `Copied` packets belong to."""
        ...

    @property
    def lead(self) -> Fraction:
        """Seconds by which the first frame follows the start of the part that was asked for; 0 before there is one."""
        ...

    @property
    def metadata(self) -> Mapping[str, str]:
        """Title, author and the like."""
        ...

    def chapters(self) -> list[Any]:
        """As PyAV gives and takes them."""
        ...

    def items(self) -> Generator[Item, None, None]:
        """Every frame in order of presentation, and packets about when they are needed. Runs once."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...
