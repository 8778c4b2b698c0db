"""How close an engine's results come to the truth, image by image, over a data set on disk."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtsr.engine.base import Engine, MultiExitEngine
from rtsr.engine.exits import every_exit
from rtsr.engine.onnx import OnnxEngine
from rtsr.errors import SourceError, UsageError
from rtsr.quality import metrics
from rtsr.quality.datasets import Pair, Picture, find_pairs, size_of

Watch = Callable[[float], None]
"""Is told how much of a run is done, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Score:
    """One image's closeness to its truth, on luma of 8-bit results (see `rtsr.quality.metrics`)."""

    name: str
    psnr: float
    """dB; infinite where there is no difference."""
    ssim: float
    sparsity: float | None = None
    """Where the network has masks: the share of the masked layers' multiply-adds that they spare."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores of one engine over one data set."""

    model: str
    dataset: str
    scale: Fraction
    scores: tuple[Score, ...]

    @property
    def psnr(self) -> float:
        """Mean of the images' PSNR in dB."""
        return float(np.mean([score.psnr for score in self.scores]))

    @property
    def ssim(self) -> float:
        """Mean of the images' SSIM."""
        return float(np.mean([score.ssim for score in self.scores]))

    @property
    def sparsity(self) -> float | None:
        """Mean of the images' sparsity, where the network has masks."""
        found = [score.sparsity for score in self.scores if score.sparsity is not None]
        return float(np.mean(found)) if found else None


def evaluate(
    engine: Engine, dataset: Path, scale: Fraction, only: tuple[str, ...] = (), watch: Watch | None = None
) -> Evaluation:
    """Scores of `engine` over the folder `dataset`, or over the images whose names hold one of `only`.

    For the layouts that are known see `rtsr.quality.datasets.find_pairs`. Raises SourceError where the folder has none
    of them, or an image is missing, damaged or of the wrong size; UsageError where `scale` is not the engine's.
    """
    pairs = pairs_for(engine, dataset, scale, only)
    scores = []
    for done, pair in enumerate(pairs, 1):
        low, high = pair.read(scale)
        height, width = high.shape[:2]
        planes, sparsity = _measure(engine, to_planes(engine, low))
        scores.append(_score(pair.name, to_picture(planes[0], height, width), high, scale, sparsity))
        if watch:
            watch(done / len(pairs))
    return Evaluation(engine.card.name, dataset.resolve().name, scale, tuple(scores))


def evaluate_exits(
    engine: MultiExitEngine, dataset: Path, scale: Fraction, only: tuple[str, ...] = (), watch: Watch | None = None
) -> tuple[Evaluation, ...]:
    """Scores of each exit on whole images, bicubic first; raises as `evaluate`. No stage runs twice."""
    pairs = pairs_for(engine, dataset, scale, only)
    scores: list[list[Score]] = [[] for _ in range(len(engine.card.exits) + 1)]
    for done, pair in enumerate(pairs, 1):
        low, high = pair.read(scale)
        for planes, found in zip(every_exit(engine, to_planes(engine, low)), scores, strict=True):
            found.append(_score(pair.name, to_picture(planes[0], *high.shape[:2]), high, scale))
        if watch:
            watch(done / len(pairs))
    return tuple(Evaluation(engine.card.name, dataset.resolve().name, scale, tuple(found)) for found in scores)


def upscale(engine: Engine, picture: Picture) -> Picture:
    """The upscaled 8-bit picture; sides that do not suit the engine are padded by repeating the last pixels."""
    height, width = (engine.card.output_side(side) for side in picture.shape[:2])
    return to_picture(engine.infer(to_planes(engine, picture))[0], height, width)


def to_planes(engine: Engine, picture: Picture) -> NDArray[np.float32]:
    """The picture as (1, 3, H', W') in [0, 1], padded at the right and at the bottom to sides that suit the engine."""
    multiple, (height, width) = engine.card.size_multiple, picture.shape[:2]
    padded = np.pad(picture, ((0, -height % multiple), (0, -width % multiple), (0, 0)), mode="edge")
    return np.ascontiguousarray(padded.transpose(2, 0, 1)[None], np.float32) / np.float32(255)


def to_picture(planes: NDArray[np.float32], height: int, width: int) -> Picture:
    """The upper left `height` x `width` pixels of (3, H, W) in [0, 1], rounded to 8 bits."""
    pixels = planes[:, :height, :width].transpose(1, 2, 0)
    return np.ascontiguousarray(np.clip(np.floor(pixels * 255 + 0.5), 0, 255), np.uint8)


def pairs_for(engine: Engine, dataset: Path, scale: Fraction, only: tuple[str, ...]) -> list[Pair]:
    """The data set's pairs; raises UsageError where `scale` is not the engine's, and as `find_pairs`."""
    if engine.card.scale != scale:
        raise UsageError(f"{engine.card.name} upscales by {engine.card.scale}, not by {scale}")
    return find_pairs(dataset, scale, only)


def _measure(engine: Engine, planes: NDArray[np.float32]) -> tuple[NDArray[np.float32], float | None]:
    """What `engine.infer` gives for one picture; and the sparsity, where its network has masks."""
    if not isinstance(engine, OnnxEngine) or not engine.masked:
        return engine.infer(planes), None
    upscaled, kept = engine.measure(planes)
    return upscaled, 1 - float(kept[0])


def _score(name: str, picture: Picture, truth: Picture, scale: Fraction, sparsity: float | None = None) -> Score:
    crop = metrics.border(scale)
    if min(truth.shape[:2]) < 11 + 2 * crop:
        raise SourceError(f"{name}: {size_of(truth)} is too small to compare")
    return Score(name, *metrics.compare(picture, truth, crop), sparsity)
