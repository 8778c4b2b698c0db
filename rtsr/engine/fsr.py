"""AMD FidelityFX Super Resolution 1.0: edge-adaptive upscaling (EASU), then sharpening (RCAS).

Written in numpy from the algorithm that AMD published as `ffx_fsr1.h` (FidelityFX FSR 1.0, Copyright 2021
Advanced Micro Devices, MIT licence); no code was taken over. Where AMD approximates reciprocals for speed,
this divides. Input is in display space, as FSR expects it.

A scale of p/q has p phases an axis: output pixels of one phase lie alike between input pixels. So every tap
is a view of the input, and what depends on input pixels only is computed once per input pixel.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from rtsr.card import Card
from rtsr.errors import EngineError
from rtsr.processor import cores

SHARPNESS_STOPS = 0.2
"""Halvings of RCAS's full strength; AMD's sample uses 0.2."""
PAD = 3
"""Pixels repeated around the input: two for the taps, one more for the gradients at the outer ones."""
BAND = 16384
"""Pixels computed at a time; their temporaries stay in a core's cache."""
TAPS = tuple((dy, dx) for dy, dx in product(range(-1, 3), repeat=2) if {dy, dx} & {0, 1} and {dy, dx} != {-1, 2})
"""The 12 input pixels around an output pixel, (rows, columns) from the one above and left of it."""
TINY = np.float32(1e-8)

Planes = NDArray[np.float32]


class Fsr:
    """An `Engine`: FSR 1.0 with `sharpness_stops` of RCAS. Nothing to load, so it is always open."""

    def __init__(self, scale: Fraction, sharpness_stops: float = SHARPNESS_STOPS, threads: int | None = None) -> None:
        self.card = Card(
            name="fsr",
            arch="fsr",
            scale=scale,
            flavour="none",
            size_multiple=scale.denominator,
            radius=3,
            summary="AMD FSR 1.0: edge-adaptive upscaling and sharpening",
        )
        self._sharpness = 2.0**-sharpness_stops
        self._threads = threads or min(4, cores())

    def __enter__(self) -> Self:
        return self

    def infer(self, tiles: Planes) -> Planes:
        """(N, 3, H, W) in [0, 1] to (N, 3, H * scale, W * scale) in [0, 1]."""
        with ThreadPoolExecutor(self._threads) as pool:
            return np.stack([rcas(easu(tile, self.card.scale, pool), self._sharpness, pool) for tile in tiles])

    def __exit__(self, *exc: object) -> None:
        pass


@dataclass(frozen=True, slots=True, eq=False)
class Maps:
    """What EASU needs to know per input pixel, as `_split` gives it, of the input padded by `PAD` pixels."""

    rgb: Planes
    edge: Planes
    """Gradient to the right, gradient down, and how edge-like both are (0..2)."""
    low: Planes
    """Least of the pixel and those right of it, below it and across."""
    high: Planes
    """As `low`, the greatest."""


def easu(image: Planes, scale: Fraction, pool: ThreadPoolExecutor) -> Planes:
    """Upscale one image (3, H, W) along its edges; values stay within those of the 4 nearest pixels."""
    up, down = scale.numerator, scale.denominator
    _, height, width = image.shape
    if height * up % down or width * up % down:
        raise EngineError(f"{width}x{height} cannot be upscaled by {scale}; pad the sides to multiples of {down} first")
    maps = _maps(image, down)
    out = np.empty((3, height * up // down, width * up // down), np.float32)
    lines = max(1, BAND // (width // down))
    jobs = [
        (y, x, start, min(start + lines, height // down))
        for y, x in product(range(up), repeat=2)
        for start in range(0, height // down, lines)
    ]

    def compute(job: tuple[int, int, int, int]) -> None:
        y, x, start, stop = job
        out[:, y + start * up : stop * up : up, x::up] = _easu_phase(maps, scale, (y, x), (start, stop), width // down)

    list(pool.map(compute, jobs))
    return out


def rcas(image: Planes, sharpness: float, pool: ThreadPoolExecutor) -> Planes:
    """Sharpen one image (3, H, W) by up to `sharpness` (0..1) of what would not leave [0, 1]."""
    _, height, width = image.shape
    out = np.empty_like(image)
    lines = max(1, BAND // width)

    def compute(start: int) -> None:
        stop = min(start + lines, height)
        rows = np.clip(np.arange(start - 1, stop + 1), 0, height - 1)
        out[:, start:stop] = _sharpen(image[:, rows], sharpness)

    list(pool.map(compute, range(0, height, lines)))
    return out


def _maps(image: Planes, step: int) -> Maps:
    rgb = np.stack([cv2.copyMakeBorder(plane, PAD, PAD, PAD, PAD, cv2.BORDER_REPLICATE) for plane in image])
    luma = rgb[1] + 0.5 * (rgb[0] + rgb[2])  # twice the luma, as in the original
    edge = np.zeros_like(rgb)
    for axis in (0, 1):
        before, here, after = (_inner(luma, axis, step) for step in (-1, 0, 1))
        gradient = after - before
        steepest = np.maximum(abs(after - here), abs(here - before))
        # 1 where the luma goes on rising or falling, 0 where it turns back: a line, not an edge
        onward = np.minimum(abs(gradient) / np.maximum(steepest, TINY), 1)
        edge[1 - axis, 1:-1, 1:-1] = gradient
        edge[2, 1:-1, 1:-1] += onward * onward
    low, high = rgb.copy(), rgb.copy()
    for result, choose in ((low, np.minimum), (high, np.maximum)):
        choose(result[:, :-1], result[:, 1:], out=result[:, :-1])
        choose(result[:, :, :-1], result[:, :, 1:], out=result[:, :, :-1])
    return Maps(*(_split(planes, step) for planes in (rgb, edge, low, high)))


def _split(planes: Planes, step: int) -> Planes:
    """(C, H, W) to (step, step, C, H / step, W / step): every step-th pixel side by side, remainders first."""
    channels, height, width = planes.shape
    whole = np.pad(planes, ((0, 0), (0, -height % step), (0, -width % step)))
    parts = whole.reshape(channels, whole.shape[1] // step, step, whole.shape[2] // step, step)
    return np.ascontiguousarray(parts.transpose(2, 4, 0, 1, 3))


def _inner(plane: Planes, axis: int, step: int) -> Planes:
    height, width = plane.shape
    rows, columns = (step, 0) if axis == 0 else (0, step)
    return plane[1 + rows : height - 1 + rows, 1 + columns : width - 1 + columns]


def _easu_phase(maps: Maps, scale: Fraction, phase: tuple[int, int], lines: tuple[int, int], columns: int) -> Planes:
    """The output pixels of one phase, (3, stop - start, columns), of the phase's `lines` (start, stop)."""
    step = scale.denominator
    # where the phase's first pixel lies between input pixels: whole part and fraction
    places = [(Fraction(2 * offset + 1, 2) / scale - Fraction(1, 2)) for offset in phase]
    whole = [place.numerator // place.denominator for place in places]
    fy, fx = (float(place - base) for place, base in zip(places, whole, strict=True))

    def tap(planes: Planes, dy: int, dx: int) -> Planes:
        top, row = divmod(PAD + whole[0] + dy, step)
        left, column = divmod(PAD + whole[1] + dx, step)
        return planes[row, column, :, top + lines[0] : top + lines[1], left : left + columns]

    nearest = {
        (0, 0): (1 - fx) * (1 - fy), (0, 1): fx * (1 - fy), (1, 0): (1 - fx) * fy, (1, 1): fx * fy,
    }  # fmt: skip
    edge = sum(np.float32(weight) * tap(maps.edge, *place) for place, weight in nearest.items())
    squares, mixed, lobe = _shape(np.asarray(edge))
    window = 1 / lobe
    colour = np.zeros_like(edge)
    total = np.zeros_like(lobe)
    for dy, dx in TAPS:
        oy, ox = dy - fy, dx - fx
        distance = np.float32(ox * ox) * squares[0]
        distance += np.float32(oy * oy) * squares[1]
        distance += np.float32(ox * oy) * mixed
        np.minimum(distance, window, out=distance)
        weight = _weight(distance, lobe)
        colour += weight * tap(maps.rgb, dy, dx)
        total += weight
    colour /= total
    np.maximum(colour, tap(maps.low, 0, 0), out=colour)
    return np.minimum(colour, tap(maps.high, 0, 0), out=colour)


def _shape(edge: Planes) -> tuple[tuple[Planes, Planes], Planes, Planes]:
    """The kernel's shape from gradients and edge-likeness: a squared distance, and the strength of its lobe.

    The offset (x, y) of a tap is turned to the edge's direction and stretched along it, so its squared length
    is a quadratic form: `squares[0] x^2 + squares[1] y^2 + mixed x y`.
    """
    dx, dy, amount = edge
    square = dx * dx + dy * dy
    flat = square < 1 / 32768
    norm = 1 / np.sqrt(np.where(flat, 1, square))
    dx = np.where(flat, 1, dx * norm)
    dy = np.where(flat, 0, dy * norm)
    amount = np.square(0.5 * amount)
    stretch = 1 / np.maximum(abs(dx), abs(dy))  # 1 on axes to sqrt(2) on diagonals
    across = np.square(1 + (stretch - 1) * amount)
    along = np.square(1 - 0.5 * amount)
    dx2, dy2 = dx * dx, dy * dy
    squares = (across * dx2 + along * dy2, across * dy2 + along * dx2)
    mixed = 2 * dx * dy * (across - along)
    lobe = 0.5 - 0.29 * amount
    return squares, mixed, lobe


def _weight(distance: Planes, lobe: Planes) -> Planes:
    """FSR's cheap Lanczos-2 of a squared distance d: (25/16 (2/5 d - 1)^2 - 9/16) (lobe d - 1)^2.

    The first factor is (d - 1) (d - 4) / 4; the 1/4 falls out when weights are normalised.
    """
    edge = lobe * distance
    edge -= 1
    edge *= edge
    edge *= distance - 1
    edge *= distance - 4
    return edge


def _sharpen(image: Planes, sharpness: float) -> Planes:
    """RCAS of the rows between the first and the last of (3, H + 2, W)."""
    here = image[:, 1:-1]
    wide = np.concatenate([here[:, :, :1], here, here[:, :, -1:]], axis=2)
    ring = (image[:, :-2], wide[:, :, :-2], wide[:, :, 2:], image[:, 2:])
    low = np.minimum(np.minimum(ring[0], ring[1]), np.minimum(ring[2], ring[3]))
    high = np.maximum(np.maximum(ring[0], ring[1]), np.maximum(ring[2], ring[3]))
    # the lobe that would just reach black, and the one that would just reach white
    to_black = low / np.maximum(4 * high, TINY)
    to_white = (1 - high) / np.maximum(4 - 4 * low, TINY)
    lobe = np.minimum(to_black, to_white).min(axis=0)
    lobe = np.minimum(lobe, np.float32(0.25 - 1 / 16)) * np.float32(-sharpness)
    result = (ring[0] + ring[1] + ring[2] + ring[3]) * lobe
    result += here
    result /= 4 * lobe + 1
    return np.clip(result, 0, 1, out=result)
