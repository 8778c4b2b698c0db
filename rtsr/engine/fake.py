"""An engine for tests: repeats pixels, needs nothing, and its result is easily foretold."""

from fractions import Fraction
from typing import Self

import numpy as np
from numpy.typing import NDArray

from rtsr.card import Card
from rtsr.errors import EngineError


class FakeEngine:
    """An `Engine` that gives every output pixel the value of the input pixel under its centre."""

    def __init__(self, scale: Fraction) -> None:
        self.card = Card(
            name="fake",
            arch="fake",
            scale=scale,
            flavour="none",
            size_multiple=scale.denominator,
            radius=0,
            summary="Nearest neighbour, for tests",
        )

    def __enter__(self) -> Self:
        return self

    def infer(self, tiles: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, 3, H, W) to (N, 3, H * scale, W * scale), values as they are."""
        rows, columns = (self._under(side) for side in tiles.shape[2:])
        return np.ascontiguousarray(tiles[:, :, rows[:, None], columns])

    def __exit__(self, *exc: object) -> None:
        pass

    def _under(self, side: int) -> NDArray[np.int64]:
        up, down = self.card.scale.numerator, self.card.scale.denominator
        if side * up % down:
            raise EngineError(f"a side of {side} cannot be upscaled by {self.card.scale}; pad it to a multiple first")
        return (2 * np.arange(side * up // down) + 1) * down // (2 * up)
