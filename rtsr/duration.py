"""Durations as people write them."""

import re
from numbers import Real

from rtsr.errors import UsageError

UNITS = {"ms": 1e-3, "s": 1.0, "min": 60.0}
LONGEST = 3600.0
"""Seconds; nobody waits longer for a frame."""


def parse_duration(text: str) -> float:
    """Seconds in `text`: "16.7ms", "0.05s" or "2min", above 0 and at most an hour.

    A number without a unit is refused, since it could be meant either way. Raises UsageError.
    """
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{0,9})?) ?(ms|s|min)", text.strip().lower())
    if found is None:
        raise UsageError(f"{text!r} is not a duration; write a number and its unit: 16.7ms, 0.05s or 2min")
    seconds = float(found[1]) * UNITS[found[2]]
    if not 0 < seconds <= LONGEST:
        raise UsageError(f"{text} is out of range; a duration is above 0 and at most an hour")
    return seconds


def frame_time(fps: float) -> float:
    """Seconds of a frame at `fps` frames per second, above 0 and at most 1000; raises UsageError."""
    if not isinstance(fps, Real):
        raise UsageError(f"{fps!r} is not a frame rate; give a number, e.g. 60")
    if not 0 < fps <= 1000:
        raise UsageError(f"{fps:g} is not a frame rate; it is above 0 and at most 1000, e.g. 60")
    return 1 / float(fps)


def as_seconds(duration: float | str) -> float:
    """`duration`, in seconds or as text, in seconds; raises UsageError as `parse_duration`."""
    if isinstance(duration, str):
        return parse_duration(duration)
    if not isinstance(duration, Real):
        raise UsageError(f"{duration!r} is not a duration; give seconds, or a number and its unit: 16.7ms")
    if not 0 < duration <= LONGEST:
        raise UsageError(f"{duration:g} s is out of range; a duration is above 0 and at most an hour")
    return float(duration)
