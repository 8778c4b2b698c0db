"""Arguments as callers give them: numpy's numbers become Python's, and what is of another kind is said."""

import os
from fractions import Fraction
from math import ceil
from numbers import Integral
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtsr.errors import ArgumentError, UsageError
from rtsr.frame import Frame


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
    """`value`, if it is a path or text without a NUL character; raises UsageError, which calls it `name`."""
    if not isinstance(value, str | os.PathLike):
        raise UsageError(f"{name} is a path, as text or a pathlib.Path, not {value!r}")
    if "\0" in str(value):
        raise UsageError(f"{name} has a NUL character in its name, which no file has: {str(value)!r}; leave it out")
    return value if isinstance(value, str) else Path(value)


def model_name(value: object) -> Path | str:
    """`value`, if it is a path or text that is not empty; raises UsageError."""
    if value == "":
        raise UsageError("the model has an empty name; leave it out for the usual one, or take one of: rtsr models")
    return path(value, "the model")


def chosen(model: object, default: str) -> str:
    """The name of `model`, None being `default`; raises UsageError as `model_name`."""
    return default if model is None else str(model_name(model))


def check_callable(value: object, name: str) -> None:
    """Raise UsageError, which calls it `name`, unless `value` is None or can be called."""
    if value is not None and not callable(value):
        raise UsageError(f"{name} is called with what there is to tell, e.g. {name}=print, and cannot be {value!r}")


def check_kind(value: object, kind: type, name: str, example: str) -> None:
    """Raise UsageError, which calls it `name`, unless `value` is a `kind` such as `example`."""
    if not isinstance(value, kind):
        raise UsageError(f"{name} is given as {example}, not as {value!r}")


def check_picture(image: object) -> None:
    """Raise ArgumentError, which says the cure, unless `image` is (H, W, 3) uint8 and not empty."""
    if not isinstance(image, np.ndarray):
        raise ArgumentError(f"an image is an array, (H, W, 3) uint8, not {type(image).__name__}")
    if image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8 and image.size:
        return
    cures = {
        "repeat grey three times, e.g. np.dstack([image] * 3)": image.ndim == 2,
        "leave out its opacity, image[..., :3]": image.ndim == 3 and image.shape[2] == 4,
        "bring it to 0 to 255, times 255 where white is 1, and round it to uint8": image.dtype != np.uint8,
    }
    cure = next((f"; {cure}" for cure, helps in cures.items() if helps and image.size), "")
    raise ArgumentError(f"an image is (H, W, 3) uint8 and not empty, got {image.shape} {image.dtype}{cure}")


def picture_size(size: object, image: NDArray, scale: Fraction) -> tuple[int, int]:
    """The width and height that `size` says, by default those of `image`, (H, W, 3), upscaled by `scale`.

    Raises ArgumentError where it is no size, or beyond `scale`.
    """
    height, width = image.shape[:2]
    if size is None:
        return round(width * scale), round(height * scale)
    wanted = pixels(size)
    if wanted[0] > ceil(width * scale) or wanted[1] > ceil(height * scale):
        times = max(wanted[0] / width, wanted[1] / height)
        raise ArgumentError(
            f"{wanted[0]}x{wanted[1]} is {times:.3g} times {width}x{height}, and this upscales by {float(scale):g}; "
            "ask for a smaller size, or for a larger scale from the start"
        )
    return wanted


def frame_size(frame: object, width: object, height: object) -> tuple[int, int]:
    """`width` and `height` as ints; raises ArgumentError unless they are even, and `frame` is a Frame."""
    if not isinstance(frame, Frame):
        raise ArgumentError(f"a frame is an rtsr.frame.Frame, which takes its planes, not {type(frame).__name__}")
    sides = pixels((width, height), "a frame's size")
    if any(side % 2 for side in sides):
        raise ArgumentError(f"a frame's sides are even, not {sides[0]}x{sides[1]}; see rtsr.upscaler.target_size")
    return sides


def pixels(size: object, name: str = "size") -> tuple[int, int]:
    """As `width_and_height`, but raises ArgumentError."""
    try:
        return width_and_height(size, name)
    except UsageError as cause:
        raise ArgumentError(str(cause)) from cause
