"""The boundary between rtsr and whatever computes pixels."""

from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from rtsr.card import Card


class Engine(Protocol):
    """Upscales batches of planar RGB by `card.scale`. Knows nothing of time, tiles or files."""

    card: Card

    def __enter__(self) -> Self: ...

    def infer(self, tiles: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, 3, H, W) in [0, 1] to (N, 3, H * scale, W * scale) in [0, 1].

        H and W are multiples of `card.size_multiple`. Raises EngineError where the run fails.
        """
        ...

    def __exit__(self, *exc: object) -> None: ...


class MultiExitEngine(Engine, Protocol):
    """An engine whose network has several exits, `card.exits`; `infer` takes the last.

    Stages and exits are counted from 1; exit 0, bicubic interpolation, is no part of the network.
    """

    def stage(self, k: int, features: tuple[NDArray[np.float32], ...]) -> tuple[NDArray[np.float32], ...]:
        """Features of stage `k` from those of the stage before, or from (tiles,) where `k` is 1."""
        ...

    def head(self, k: int, features: tuple[NDArray[np.float32], ...]) -> NDArray[np.float32]:
        """What exit `k` makes of the features of stage `k`: (N, 3, H * scale, W * scale) in [0, 1]."""
        ...

    def exit(self, k: int, tiles: NDArray[np.float32]) -> NDArray[np.float32]:
        """As `infer`, but by exit `k`."""
        ...

    def estimate(self, patches: NDArray[np.float32]) -> NDArray[np.float32]:
        """What each exit, bicubic first, is thought to reach on patches (N, 3, side, side): (N, exits + 1).

        The side is `card.estimator.patch`; whether the highest or the lowest is best, `card.estimator.sign`.
        """
        ...
