"""A part of a video: where it starts, and how long it is."""

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from numbers import Real
from typing import Any

from rtsr.errors import UsageError
from rtsr.frame import Video

UNITS = {"ms": Fraction(1, 1000), "": Fraction(1), "s": Fraction(1), "min": Fraction(60), "h": Fraction(3600)}
LONGEST = 1_000_000
"""Seconds; no recording is as long."""
FINENESS = 1_000_000
"""Largest denominator of seconds that were given as a float."""


@dataclass(frozen=True, slots=True)
class Part:
    """`duration` seconds of a video from `start` on, counted from its first picture; None: up to its end.

    Raises UsageError for a start below 0, and a duration of 0 or less.
    """

    start: Fraction = Fraction(0)
    duration: Fraction | None = None

    def __post_init__(self) -> None:
        if self.start < 0 or (self.duration is not None and self.duration <= 0):
            raise UsageError("a part starts at 0 or later, and its duration is above 0")

    def __bool__(self) -> bool:
        """Whether it is less than the whole."""
        return bool(self.start) or self.duration is not None

    @property
    def label(self) -> str:
        """For file names: `10s-15s`, or `from-10s`."""
        start = float(self.start)
        return f"from-{start:.7g}s" if self.duration is None else f"{start:.7g}s-{start + float(self.duration):.7g}s"

    def limit(self, video: Video) -> Video:
        """`video` with the frames that this part has of it, about; 0 where that is not known."""
        if video.rate is None or not self:
            return video
        left = max(0, video.frames - round(self.start * video.rate)) if video.frames else None
        most = None if self.duration is None else round(self.duration * video.rate)
        return replace(video, frames=min((n for n in (left, most) if n is not None), default=0))

    def chapters(self, chapters: list[Any], zero: Fraction) -> list[Any]:
        """Those of `chapters`, as PyAV gives them, that are in this part, in its time; `zero`: of the first picture."""
        begin = zero + self.start
        end = None if self.duration is None else begin + self.duration
        cut = []
        for chapter in chapters:
            base = chapter["time_base"]
            start, stop = chapter["start"] * base, chapter["end"] * base
            if stop > begin and (end is None or start < end):
                stop = stop if end is None else min(stop, end)
                times = {"start": round(max(start - begin, 0) / base), "end": round((stop - begin) / base)}
                cut.append({**chapter, **times})
        return cut


WHOLE = Part()


def parse_time(text: str) -> Fraction:
    """Seconds in `text`: "90", "1:30", "1:02:03.5", "90s", "1.5min", "250ms" or "1h"; raises UsageError."""
    said = text.strip().lower()
    number = r"([0-9]{1,9}(?:\.[0-9]{0,9})?)"
    if found := re.fullmatch(rf"(?:([0-9]{{1,6}}):)?([0-9]{{1,6}}):{number}", said):
        hours, minutes, seconds = int(found[1] or 0), int(found[2]), Fraction(found[3])
        if seconds < 60 and (found[1] is None or minutes < 60):
            return _within(3600 * hours + 60 * minutes + seconds, text)
    elif found := re.fullmatch(rf"{number} ?(ms|s|min|h|)", said):
        return _within(Fraction(found[1]) * UNITS[found[2]], text)
    raise UsageError(f"{text!r} is no time; write seconds, 1:30 or 1:02:03.5, or a number and its unit: 90s, 1.5min")


def as_time(time: float | str | Fraction, name: str = "time") -> Fraction:
    """`time`, in seconds or as text, exactly: floats are taken for the simple ratio next to them, as 7 / 30.

    Raises UsageError as `parse_time`; it calls what is none a `name`.
    """
    if isinstance(time, str):
        return parse_time(time)
    if not isinstance(time, Real) or isinstance(time, bool) or not -LONGEST <= time <= LONGEST:
        raise UsageError(f"{time!r} is no {name}; give seconds, at most {LONGEST}, or text such as '1:30'")
    if not isinstance(time, Fraction):
        time = Fraction(float(time)).limit_denominator(FINENESS)
    return _within(time, f"a {name} of {float(time):g} s")


def as_part(start: float | str | Fraction = 0, duration: float | str | Fraction | None = None) -> Part:
    """The part from `start` on, times as for `as_time`; raises UsageError as `Part`."""
    return Part(as_time(start, "start"), None if duration is None else as_time(duration, "duration"))


def _within(seconds: Fraction, said: str) -> Fraction:
    if not 0 <= seconds <= LONGEST:
        raise UsageError(f"{said} is out of range; times are 0 or more, and at most {LONGEST} s")
    return seconds
