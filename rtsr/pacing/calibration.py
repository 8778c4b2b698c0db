"""What the exits of an engine cost on this machine, measured in well under a second."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from time import perf_counter_ns

import numpy as np

from rtsr import canvas
from rtsr.cubic import enlarge
from rtsr.engine.base import Engine, ExitsEngine
from rtsr.frame import Colour
from rtsr.pacing.deadline import CostModel, fit_rate
from rtsr.pacing.workers import Workers
from rtsr.regions import Rect

SIDES, WHOLE_SIDES = (48, 112), (48, 160)
"""Sides of the pictures that are timed, in input pixels, for tiles and for whole frames; multiples of every network's
size rule."""
ROUNDS = 3
LONG_NS, WHOLE_LONG_NS = 20e6, 50e6
"""What takes longer than this twice is timed once."""
CAUTION_AT_ONCE = 2.0
"""Deviations above the mean to count with where runs are made side by side: each thread has a mean of its own. With 3
as many frames were late (docs/decisions/0024-regions-side-by-side.md)."""

Work = Callable[[], object]


def calibrate_exits(engine: ExitsEngine) -> CostModel:
    """Cost of "exit K" for every exit, with putting what it makes into 8-bit planes.

    Where several regions are worth refining at once, that is what one takes beside the others.
    """

    workers = Workers(CostModel({}), engine.at_once - 1)

    def works(side: int) -> dict[str, Work]:
        image, rect, grey = _noise(side), Rect(0, 0, side, side), np.zeros((side, side), np.uint8)
        frame = (grey, grey[::2, ::2], grey[::2, ::2])
        targets = [enlarge(frame, engine.card.scale, True) for _ in workers.costs]

        def run(k: int, _: CostModel) -> None:
            target = targets.pop()
            canvas.paste(rect, rect, engine.exit(k, image)[0], engine.card.scale, Colour("bt709"), target)
            targets.append(target)

        return {f"exit {k}": partial(workers.run, partial(run, k)) for k in range(1, len(engine.card.exits) + 1)}

    try:
        costs = _calibrate(works, SIDES, LONG_NS)
    finally:
        workers.close()
    return costs if engine.at_once == 1 else replace(costs, caution=CAUTION_AT_ONCE)


def calibrate_whole(engines: list[Engine]) -> CostModel:
    """Cost of "rung I" for each engine, whole frames; converting between planes and RGB is in it only by its scale.

    Long runs over whole frames vary less than those over pieces.
    """
    costs = _calibrate(
        lambda side: {f"rung {i}": partial(one.infer, _noise(side)) for i, one in enumerate(engines)},
        WHOLE_SIDES,
        WHOLE_LONG_NS,
    )
    return replace(costs, deviation=0.05)


def _calibrate(works: Callable[[int], dict[str, Work]], sides: tuple[int, ...], long_ns: float) -> CostModel:
    """Rates of what `works` gives, by name, for pictures of the `sides`; all take turns, what is long fewer of them."""
    taken: dict[str, list[tuple[int, float]]] = {}
    for side in sides:
        left, before = works(side), dict[str, float]()
        for turn in range(ROUNDS + 1):
            for name, work in list(left.items()):
                began = perf_counter_ns()
                work()
                spent = float(perf_counter_ns() - began)
                if turn:  # The first run of a size takes memory that later ones find, or more.
                    taken.setdefault(name, []).append((side**2, spent))
                if min(spent, before.get(name, 0.0)) > long_ns:
                    del left[name]
                before[name] = spent
    return CostModel({name: fit_rate(*zip(*figures, strict=True)) for name, figures in taken.items()})


def _noise(side: int) -> np.ndarray:
    return np.random.default_rng(side).random((1, 3, side, side), np.float32)
