"""Arguments as callers give them: numpy's numbers become Python's, and what is of another kind is said."""

import os
from numbers import Integral
from pathlib import Path

from rtsr.errors import UsageError


def whole_number(value: object, name: str) -> int:
    """`value` as an int of 1 or more; raises UsageError, which calls it `name`."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise UsageError(f"{name} is a whole number above 0, not {value!r}")
    return int(value)


def width_and_height(value: object, name: str = "size") -> tuple[int, int]:
    """`value`, a tuple or a list, as two ints of 1 or more; raises UsageError, which calls it `name`."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise UsageError(f"{name} is a width and a height such as (1920, 1080), not {value!r}")
    return whole_number(value[0], f"{name}'s width"), whole_number(value[1], f"{name}'s height")


def path(value: object, name: str) -> Path | str:
    """`value`, if it is a path or text; raises UsageError, which calls it `name`."""
    if isinstance(value, str):
        return value
    if not isinstance(value, os.PathLike):
        raise UsageError(f"{name} is a path, as text or a pathlib.Path, not {value!r}")
    return Path(value)


def check_kind(value: object, kind: type, name: str, example: str) -> None:
    """Raise UsageError, which calls it `name`, unless `value` is a `kind` such as `example`."""
    if not isinstance(value, kind):
        raise UsageError(f"{name} is given as {example}, not as {value!r}")
