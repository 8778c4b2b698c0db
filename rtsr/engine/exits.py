"""The exits of a network one by one, bicubic interpolation among them."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from rtsr.engine.base import ExitsEngine, MultiExitEngine
from rtsr.engine.resample import steep_bicubic
from rtsr.errors import UsageError


def every_exit(engine: MultiExitEngine, tiles: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """What exits 0, 1, ... make of `tiles`, (N, 3, H, W) in [0, 1]; no stage runs twice."""
    yield steep_bicubic(engine.card.scale).infer(tiles)
    features = (tiles,)
    for k in range(1, len(engine.card.exits) + 1):
        features = engine.stage(k, features)
        yield engine.head(k, features)


class OneExit:
    """An `Engine` that always stops at exit `k` of `engine`; 0 is bicubic interpolation.

    Raises UsageError where there is no such exit.
    """

    def __init__(self, engine: ExitsEngine, k: int) -> None:
        last = len(engine.card.exits)
        if not 0 <= k <= last:
            raise UsageError(f"{engine.card.name} has exits 0 (bicubic) to {last}, not {k}")
        self.card = replace(engine.card, name=f"{engine.card.name}, exit {k}")
        self.k, self._engine = k, engine

    def __enter__(self) -> Self:
        self._engine.__enter__()
        return self

    def infer(self, tiles: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, 3, H, W) in [0, 1] to (N, 3, H * scale, W * scale) in [0, 1], by this exit."""
        return self._engine.exit(self.k, tiles) if self.k else steep_bicubic(self.card.scale).infer(tiles)

    def __exit__(self, *exc: object) -> None:
        self._engine.__exit__(*exc)
