"""Scales as people write them."""

import re
from fractions import Fraction
from numbers import Integral, Real

from rtsr.errors import UsageError

LARGEST = 4
"""The largest scale that can be asked for."""


def as_scale(scale: float | str | Fraction) -> Fraction:
    """`scale` as a ratio of whole numbers below 10,000: 4/3 for 1.3333333333; raises UsageError as `parse_scale`."""
    if isinstance(scale, str):
        return parse_scale(scale)
    try:
        # Of numpy's numbers, Fraction takes some and keeps their type.
        ratio = Fraction(int(scale) if isinstance(scale, Integral) else float(scale) if _is_float(scale) else scale)
    except (TypeError, ValueError, OverflowError):
        raise UsageError(f"{scale!r} is not a scale; write it as 2, 1.5 or 3/2") from None
    return _in_range(ratio.limit_denominator(9999))


def parse_scale(text: str) -> Fraction:
    """The scale in `text`: "2", "1.5", "3/2" or "1.5x"; raises UsageError unless above 1 and at most 4."""
    plain = text.strip().lower().removeprefix("x").removesuffix("x")
    if re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,4})?|[0-9]{1,4}/[1-9][0-9]{0,3}", plain) is None:
        raise UsageError(f"{text!r} is not a scale; write it as 2, 1.5 or 3/2")
    return _in_range(Fraction(plain))


def _is_float(scale: object) -> bool:
    return isinstance(scale, Real) and not isinstance(scale, Fraction)


def _in_range(scale: Fraction) -> Fraction:
    if not 1 < scale <= LARGEST:
        raise UsageError(f"scale {float(scale):g} is out of range; it is above 1 and at most {LARGEST}")
    return scale
