"""What the exits of an engine cost on this machine, measured in well under a second."""

from collections.abc import Callable
from time import perf_counter_ns
from typing import TypeVar

import numpy as np

from rtsr import canvas
from rtsr.cubic import Planes, enlarge
from rtsr.engine.base import Engine, ExitsEngine
from rtsr.frame import Colour
from rtsr.pacing.deadline import CostModel, Rate, fit_rate
from rtsr.regions import Rect

SIDES = (48, 160)
"""Sides of the pictures that are timed, in input pixels; multiples of every network's size rule."""
ROUNDS = 3

Result = TypeVar("Result")
Timings = dict[str, list[tuple[int, float]]]
"""Pixels and nanoseconds by what was timed."""


def calibrate_exits(engine: ExitsEngine) -> CostModel:
    """Cost of "exit K" for every exit, with putting what it makes into 8-bit planes."""
    taken: Timings = {}
    for side in SIDES:
        image, rect, large = _noise(side), Rect(0, 0, side, side), _planes(side, engine)
        for turn in range(ROUNDS + 1):
            for k in range(1, len(engine.card.exits) + 1):
                upscaled, exit_ns = _timed(lambda k=k, image=image: engine.exit(k, image)[0])
                paste = (rect, rect, upscaled, engine.card.scale, Colour("bt709"), large)
                _, paste_ns = _timed(lambda paste=paste: canvas.paste(*paste))
                if turn:  # The first run of a size takes memory that later ones find.
                    taken.setdefault(f"exit {k}", []).append((side**2, exit_ns + paste_ns))
    return CostModel(_rates(taken))


def calibrate_whole(engines: list[Engine]) -> CostModel:
    """Cost of "rung I" for each engine, whole frames; converting between planes and RGB is in it only by its scale."""
    taken: Timings = {}
    for side in SIDES:
        for turn in range(ROUNDS + 1):
            for i, engine in enumerate(engines):
                _, spent = _timed(lambda engine=engine, side=side: engine.infer(_noise(side)))
                if turn:
                    taken.setdefault(f"rung {i}", []).append((side**2, spent))
    return CostModel(_rates(taken))


def _rates(taken: Timings) -> dict[str, Rate]:
    return {name: fit_rate(*zip(*figures, strict=True)) for name, figures in taken.items()}


def _noise(side: int) -> np.ndarray:
    return np.random.default_rng(side).random((1, 3, side, side), np.float32)


def _planes(side: int, engine: ExitsEngine) -> Planes:
    grey = np.zeros((side, side), np.uint8)
    return enlarge((grey, grey[::2, ::2], grey[::2, ::2]), engine.card.scale, True)


def _timed(work: Callable[[], Result]) -> tuple[Result, float]:
    began = perf_counter_ns()
    result = work()
    return result, float(perf_counter_ns() - began)
