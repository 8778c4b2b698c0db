"""ONNX Runtime, for networks of one graph."""

from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from rtsr.card import Card, check_hash
from rtsr.engine.session import Graph, is_picture, settle
from rtsr.errors import EngineError


class OnnxEngine:
    """Runs `network`, the ONNX file that `card` describes, on `threads` cores; by default on all.

    `provider` is what ONNX Runtime runs on (see `rtsr.provider`); `runtime` says which it is.

    The file is loaded here, so that whatever is wrong with it shows before the first frame. Raises CardError
    where it is not the card's file, EngineError where ONNX Runtime cannot load it with `provider`, or its
    graph is not "image" (n, 3, h, w) to "upscaled", with or without "kept" (n,).
    """

    def __init__(self, card: Card, network: Path, threads: int | None = None, provider: str = "cpu") -> None:
        check_hash(card, network)
        self.card = card
        self.provider = settle(provider, network, threads)
        self.runtime = self.provider.describe()
        """What runs, for people."""
        self._graph = Graph(network, card.name, threads, self.provider)
        ends = [*self._graph.inputs, *self._graph.outputs]
        self.masked = ends[-1].name == "kept"
        """Whether the network has masks, and `measure` can say what they keep."""
        known = (["image", "upscaled"], ["image", "upscaled", "kept"])
        if [end.name for end in ends] not in known or not all(is_picture(end) for end in ends[:2]):
            raise EngineError(
                f"{network} is not an upscaler: it has {self._graph.describe()}; "
                "expected image and upscaled, tensor(float) [n, 3, h, w] with free sizes; export it with rtsr"
            )

    def __enter__(self) -> Self:
        return self

    def infer(self, tiles: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, 3, H, W) float32 in [0, 1] to (N, 3, H * scale, W * scale) in [0, 1].

        Raises EngineError where the shape does not fit the card, the run fails, or the engine was left.
        """
        return self._run(tiles)[0]

    def measure(self, tiles: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What `infer` gives, and (N,), the share of the masked layers' outputs that the masks keep.

        Raises EngineError as `infer` does, and where the network has no masks.
        """
        if not self.masked:
            raise EngineError(f"{self.card.name} computes everything everywhere: it has no masks to measure")
        upscaled, kept = self._run(tiles)
        return upscaled, kept

    def __exit__(self, *exc: object) -> None:
        """Let go of the network; what runs next is an EngineError."""
        self._graph.close()

    def _run(self, tiles: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        check_tiles(self.card, tiles)
        white = np.float32(self.card.value_max)
        if white == 1:
            return self._graph.run(tiles)
        upscaled, *more = self._graph.run(tiles * white)
        return (upscaled / white, *more)


def check_tiles(card: Card, tiles: NDArray[np.float32]) -> None:
    """Raise EngineError unless `tiles` are pictures of sides that the network of `card` takes."""
    multiple = card.size_multiple
    if tiles.ndim != 4 or tiles.shape[1] != 3 or tiles.shape[2] % multiple or tiles.shape[3] % multiple:
        raise EngineError(
            f"{card.name} takes (N, 3, H, W), sides that divide by {multiple}, not {tiles.shape}; pad first"
        )
