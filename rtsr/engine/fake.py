"""Engines for tests: they repeat pixels, need nothing, and their results are easily foretold."""

from dataclasses import replace
from fractions import Fraction
from typing import Self

import numpy as np
from numpy.typing import NDArray

from rtsr.card import Card, Estimation, Exit
from rtsr.errors import EngineError, UsageError


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


class FakeStagedEngine(FakeEngine):
    """A `MultiExitEngine` that repeats pixels, and darkens them by `STEP` for each exit that is still to come.

    Its stages hand the picture on. It thinks that the last exit reaches `BEST` dB and each one before 2 dB less;
    bicubic a quarter more than the last on flat patches, and 1 dB less for each hundredth of standard deviation.
    """

    STEP = 4 / 255
    BEST = 40.0
    at_once = 1

    def __init__(self, scale: Fraction, exits: int = 3, sign: int = 1) -> None:
        super().__init__(scale)
        self.card = replace(
            self.card,
            name="fake-staged",
            macs_per_pixel=100.0 * exits + 20,
            exits=tuple(Exit(stage_macs=100, head_macs=20, radius=0) for _ in range(exits)),
            estimator=Estimation(patch=32, macs=10, sign=sign),
            summary="Nearest neighbour with several exits, for tests",
        )

    def stage(self, k: int, features: tuple[NDArray[np.float32], ...]) -> tuple[NDArray[np.float32], ...]:
        """The picture, as it is."""
        self._check(k)
        return features

    def head(self, k: int, features: tuple[NDArray[np.float32], ...]) -> NDArray[np.float32]:
        """(N, 3, H * scale, W * scale) in [0, 1]."""
        self._check(k)
        darker = np.float32(self.STEP * (len(self.card.exits) - k))
        return np.clip(self.infer(features[0]) - darker, 0, 1)

    def exit(self, k: int, tiles: NDArray[np.float32]) -> NDArray[np.float32]:
        """All stages up to `k`, and its head."""
        features = (tiles,)
        for i in range(1, k + 1):
            features = self.stage(i, features)
        return self.head(k, features)

    def estimate(self, patches: NDArray[np.float32]) -> NDArray[np.float32]:
        """What each exit is thought to reach, times the card's sign: (N, exits + 1)."""
        assert self.card.estimator is not None
        exits = len(self.card.exits)
        thought = np.full((len(patches), exits + 1), self.BEST, np.float32)
        thought[:, 0] += 0.25 - 100 * patches.std(axis=(1, 2, 3))
        thought[:, 1:] -= 2 * np.arange(exits - 1, -1, -1, dtype=np.float32)
        return self.card.estimator.sign * thought

    def _check(self, k: int) -> None:
        if not 1 <= k <= len(self.card.exits):
            raise UsageError(f"{self.card.name} has stages 1 to {len(self.card.exits)}, not {k}")
