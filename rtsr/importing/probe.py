"""What a foreign graph is, found out by running it: scale, sizes that it takes, channels and value range."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from rtsr.engine.session import first_line, open_session
from rtsr.errors import ImportFailed
from rtsr.importing.graph import Foreign

MULTIPLES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
"""What sides may have to be multiples of."""
LEAST_SIDE = 24
"""Of the pictures that are tried, in pixels: networks with attention need some."""
PICTURE = 64
"""About the sides of the picture that tells the value range."""
ALIKE = 0.1
"""How far, on average, an upscaled picture may be from bicubic interpolation's, white being 1."""

Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]


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
            found = _scale(run, channels, multiple)
            if isinstance(found, Fraction):
                if not 1 < found <= 8:
                    raise ImportFailed(
                        f"{path} changes sizes by {float(found):g}; upscalers do by more than 1, up to 8"
                    )
                return Findings(found, multiple, channels, white_of(run, path, found, multiple, channels))
            refused.append(found)
    raise ImportFailed(
        f"{path} takes pictures of {foreign.declared} but not of other sizes, one or two at a time ({refused[0]}); "
        "export it with free batch, height and width"
    )


def runner(foreign: Foreign, path: Path) -> Run:
    """Runs the graph on float32 pictures, whatever it computes with."""
    try:
        session = open_session(foreign.model.SerializeToString())
    except Exception as cause:  # ONNX Runtime's errors share no other base
        raise ImportFailed(
            f"ONNX Runtime cannot load {path}: {first_line(cause)}; export it with standard operators"
        ) from cause

    def run(image: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(session.run(None, {foreign.source: image.astype(foreign.dtype)})[0], np.float32)

    return run


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


def _scale(run: Run, channels: int, multiple: int) -> Fraction | str:
    """The scale for pictures whose sides are multiples of `multiple`, one and two at a time; or what went wrong."""
    rows = -(-LEAST_SIDE // multiple) | 1  # odd, so that no larger multiple is tried by the way
    scales = set()
    for n, height, width in ((1, rows, rows + 2), (2, rows + 4, rows)):
        image = np.full((n, channels, height * multiple, width * multiple), 0.5, np.float32)
        try:
            result = run(image)
        except Exception as cause:  # as above
            return first_line(cause)
        if result.ndim != 4 or result.shape[:2] != image.shape[:2]:
            return f"it makes {result.shape} of {image.shape}"
        scales |= {Fraction(got, had) for got, had in zip(result.shape[2:], image.shape[2:], strict=True)}
    return scales.pop() if len(scales) == 1 else "its results are not of one scale"
