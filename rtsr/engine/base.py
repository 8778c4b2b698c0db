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
