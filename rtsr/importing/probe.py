"""What a foreign graph is, found out by running it: scale, sizes that it takes, channels and value range."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from rtsr.errors import ImportFailed
from rtsr.importing.graph import Foreign
from rtsr.importing.running import Unsuitable, load
from rtsr.scale import LARGEST

MULTIPLES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
"""What sides may have to be multiples of."""
LEAST_SIDE = 24
"""Of the pictures that are tried, in pixels: networks with attention need some."""
PICTURE = 64
"""About the sides of the picture that tells the value range."""
ALIKE = 0.1
"""How far, on average, an upscaled picture may be from bicubic interpolation's, white being 1."""

LAYOUT = "(n, channels, h, w)"

Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]


class Misshapen(ImportFailed):
    """A graph takes certain pictures, but its results are no larger pictures of them."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What running a graph showed."""

    scale: Fraction
    multiple: int
    """Sides of its input must be multiples of this."""
    channels: int
    """3 for RGB, 1 for luma."""
    white: int
    """1 or 255; black is 0."""


def probe(foreign: Foreign, path: Path) -> Findings:
    """What the graph of the file `path` is; raises ImportFailed where it cannot be run, or upscales no pictures."""
    run = runner(foreign, path)
    refused = []
    for channels in (foreign.channels,) if foreign.channels else (3, 1):
        for multiple in MULTIPLES:
            try:
                scale = _scale(run, channels, multiple)
            except (Unsuitable, Misshapen) as reason:
                refused.append(reason)
                continue
            if not 1 < scale <= LARGEST:
                raise ImportFailed(
                    f"{path} changes sizes by {float(scale):g}; networks that do by more than 1, up to {LARGEST}, "
                    "can be used"
                )
            return Findings(scale, multiple, channels, white_of(run, path, scale, multiple, channels))
    if isinstance(refused[0], Misshapen):
        raise ImportFailed(f"{path} {refused[0]}") from refused[0]
    raise ImportFailed(
        f"{path} takes pictures of {foreign.declared} but not of other sizes, one or two at a time ({refused[0]}); "
        "export it with free batch, height and width"
    )


def runner(foreign: Foreign, path: Path) -> Run:
    """Runs the graph on float32 pictures, whatever it computes with.

    Raises ImportFailed where it cannot be loaded; what is returned, Unsuitable where it fails on a picture.
    """
    session = load(foreign.model, path, foreign.source)
    return lambda image: session(image.astype(foreign.dtype))[foreign.result].astype(np.float32)


def white_of(run: Run, path: Path, scale: Fraction, multiple: int, channels: int) -> int:
    """1 or 255: with which as white the upscaled picture looks like the picture.

    Raises ImportFailed where it does with neither.
    """
    side = -(-PICTURE // multiple) * multiple
    coarse = np.random.default_rng(0).uniform(0.1, 0.9, (8, 8, channels)).astype(np.float32)
    image = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC).reshape(side, side, channels)
    large = cv2.resize(image, (int(side * scale),) * 2, interpolation=cv2.INTER_CUBIC)
    expected = large.reshape(*large.shape[:2], channels).transpose(2, 0, 1)
    planes = np.ascontiguousarray(image.transpose(2, 0, 1)[None])
    errors = {white: float(np.abs(run(planes * np.float32(white))[0] / white - expected).mean()) for white in (1, 255)}
    # Where it makes no difference, but for rounding, white is 1.
    best = 255 if errors[255] < 0.95 * errors[1] or not np.isfinite(errors[1]) else 1
    if not errors[best] <= ALIKE:
        raise ImportFailed(
            f"{path} upscales no pictures in [0, 1] or [0, 255]: on average its results are {errors[1]:.2g} and "
            f"{errors[255]:.2g} from bicubic interpolation's, white being 1"
        )
    return best


def _scale(run: Run, channels: int, multiple: int) -> Fraction:
    """The scale for pictures whose sides are multiples of `multiple`, one and two at a time.

    Raises Unsuitable where such pictures are not taken, Misshapen where the results are of another kind or scale.
    """
    rows = -(-LEAST_SIDE // multiple) | 1  # odd, so that no larger multiple is tried by the way
    heights, widths = set(), set()
    for n, height, width in ((1, rows, rows + 2), (2, rows + 4, rows)):
        image = np.full((n, channels, height * multiple, width * multiple), 0.5, np.float32)
        made, given = run(image).shape, image.shape
        if len(made) != 4:
            raise Misshapen(f"makes results of rank {len(made)}, {made} of {given}; export it to give {LAYOUT}")
        if made[1] != channels:
            order = "channels last" if made[3] == channels else f"{made[1]} channels"
            raise Misshapen(f"makes {made} of {given}, {order}; export it to take and give {LAYOUT}")
        if made[0] != n:
            raise Unsuitable(f"it makes {made} of {given}")
        heights.add(Fraction(made[2], given[2]))
        widths.add(Fraction(made[3], given[3]))
    if heights == widths and len(heights) == 1:
        return heights.pop()
    if len(heights) == len(widths) == 1:
        by = " and ".join(f"{name} by {float(scale):g}" for name, (scale,) in (("height", heights), ("width", widths)))
        raise Misshapen(f"upscales {by}; export it with one scale for both")
    raise Misshapen(
        f"makes sizes of no one scale (about {float(max(heights | widths)):.3g}), whatever multiple of up to "
        f"{MULTIPLES[-1]} sides are; export it with a scale such as 3/2 or 2"
    )
