"""ONNX Runtime, for networks with several exits: a graph for each stage, head and exit."""

from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from rtsr.card import Card, check_hash
from rtsr.engine.onnx import check_tiles
from rtsr.engine.session import Graph, is_picture, settle
from rtsr.errors import EngineError


class StagedEngine:
    """Runs the network in `folder` that `card` describes, on `threads` cores; by default on all.

    `provider` is what ONNX Runtime runs on (see `rtsr.provider`); `runtime` says which it is.

    Everything is loaded here, so that whatever is wrong shows before the first frame: `stageK.onnx` (none where the
    stage does nothing, which is where the card says that it costs nothing), `headK.onnx`, `exitK.onnx`, and
    `estimator.onnx` where the card has an estimator. Exits, stages and heads are counted from 1. Raises CardError
    where the files are not the card's, EngineError where one cannot be loaded or is of another kind.
    """

    def __init__(self, card: Card, folder: Path, threads: int | None = None, provider: str = "cpu") -> None:
        if not card.exits:
            raise EngineError(f"{card.name} has one exit only, and no stages; run it as a plain network")
        check_hash(card, folder)
        self.card = card
        self._folder, self._threads = folder, threads
        self.provider = settle(provider, folder / "exit1.onnx", threads)
        self.runtime = self.provider.describe()
        """What runs, for people."""
        self.at_once = 1
        count = len(card.exits)
        self._stages = [self._load(f"stage{k}") if card.exits[k - 1].stage_macs else None for k in range(1, count + 1)]
        self._heads = [self._load(f"head{k}") for k in range(1, count + 1)]
        self._exits = [self._load(f"exit{k}") for k in range(1, count + 1)]
        self._estimator = self._load("estimator") if card.estimator else None
        self._check()

    def __enter__(self) -> Self:
        return self

    def infer(self, tiles: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, 3, H, W) float32 in [0, 1] to (N, 3, H * scale, W * scale) in [0, 1], by the last exit.

        Raises EngineError where the shape does not fit the card, the run fails, or the engine was left; so do all that
        follow.
        """
        return self.exit(len(self._exits), tiles)

    def exit(self, k: int, tiles: NDArray[np.float32]) -> NDArray[np.float32]:
        """What exit `k` makes of `tiles`, in one run; shapes as for `infer`."""
        check_tiles(self.card, tiles)
        return self._exits[self._place(k)].run(tiles)[0]

    def stage(self, k: int, features: tuple[NDArray[np.float32], ...]) -> tuple[NDArray[np.float32], ...]:
        """Features behind stage `k` from those behind the stage before; or from (tiles,) where `k` is 1."""
        if k == 1:
            check_tiles(self.card, *features)
        stage = self._stages[self._place(k)]
        return features if stage is None else stage.run(*features)

    def head(self, k: int, features: tuple[NDArray[np.float32], ...]) -> NDArray[np.float32]:
        """The upscaled tiles, in [0, 1], of the features behind stage `k`."""
        return self._heads[self._place(k)].run(*features)[0]

    def estimate(self, patches: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, exits + 1): how good each exit, bicubic first, is thought to be on `patches`, (N, 3, 32, 32) in [0, 1].

        Whether more is better, `card.estimator.sign` says.
        """
        if self._estimator is None:
            raise EngineError(f"{self.card.name} has no estimator; train one, or choose an exit for all tiles")
        return self._estimator.run(patches)[0]

    def __exit__(self, *exc: object) -> None:
        """Let go of all graphs; what runs next is an EngineError."""
        for graph in (*self._stages, *self._heads, *self._exits, self._estimator):
            if graph is not None:
                graph.close()

    def _place(self, k: int) -> int:
        """Where exit `k` is in the lists."""
        if not 1 <= k <= len(self._exits):
            raise EngineError(f"{self.card.name} has exits 1 to {len(self._exits)}, not {k}")
        return k - 1

    def _load(self, name: str) -> Graph:
        return Graph(self._folder / f"{name}.onnx", f"{self.card.name}/{name}", self._threads, self.provider)

    def _check(self) -> None:
        """Raise EngineError unless every graph has the inputs and outputs of its kind, and they fit together."""
        carried = ["image"]
        for stage, head, whole in zip(self._stages, self._heads, self._exits, strict=True):
            if stage is not None:
                _expect(stage, carried, [f"next_{i}" for i in range(len(stage.outputs))])
                carried = [f"features_{i}" for i in range(len(stage.outputs))]
            _expect(head, carried, ["upscaled"])
            _expect(whole, ["image"], ["upscaled"])
        if self._estimator is not None:
            _expect(self._estimator, ["patches"], ["estimates"])


def _expect(graph: Graph, inputs: list[str], outputs: list[str]) -> None:
    found = [end.name for end in graph.inputs], [end.name for end in graph.outputs]
    shown = [end for end in (*graph.inputs, *graph.outputs) if end.name in ("image", "upscaled")]
    if found != (inputs, outputs) or not all(is_picture(end) for end in shown):
        raise EngineError(
            f"{graph.path} is no part of a network with exits: it has {graph.describe()}; expected "
            f"{', '.join(inputs)} to {', '.join(outputs)}, with free sizes; export the network again"
        )
