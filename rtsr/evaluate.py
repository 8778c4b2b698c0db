"""How close an engine's results come to the truth, image by image, over a data set on disk."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from rtsr import metrics
from rtsr.engine.base import Engine
from rtsr.errors import SourceError, UsageError, need
from rtsr.imresize import imresize

RENDERS = {Fraction(2): "540.avif", Fraction(3, 2): "720.avif"}
"""The low-resolution picture of a rendered pair, by scale; its truth is `1080.avif`."""
TRUTH = "1080.avif"

Picture = NDArray[np.uint8]
"""RGB, (H, W, 3)."""


@dataclass(frozen=True, slots=True)
class Score:
    """One image's closeness to its truth, on luma of 8-bit results (see `rtsr.metrics`)."""

    name: str
    psnr: float
    """dB; infinite where there is no difference."""
    ssim: float


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


def evaluate(engine: Engine, dataset: Path, scale: Fraction, only: tuple[str, ...] = ()) -> Evaluation:
    """Scores of `engine` over the folder `dataset`, or over the images whose names hold one of `only`.

    Two layouts are known: `HR/NAME.png` with `LR_bicubic/XS/NAMExS.png` (made by bicubic downscaling where
    the folder is missing), and rendered pairs, `NAME/{540,720,1080}.avif`. Raises SourceError where the folder
    is neither, or an image is missing, damaged or of the wrong size; UsageError where `scale` is not the engine's.
    """
    if engine.card.scale != scale:
        raise UsageError(f"{engine.card.name} upscales by {engine.card.scale}, not by {scale}")
    crop = metrics.border(scale)
    scores = []
    for name, low, high in pictures(dataset, scale, only):
        if min(high.shape[:2]) < 11 + 2 * crop:
            raise SourceError(f"{name}: {_size(high)} is too small to compare")
        scores.append(Score(name, *metrics.compare(upscale(engine, low), high, crop)))
    return Evaluation(engine.card.name, dataset.resolve().name, scale, tuple(scores))


def upscale(engine: Engine, picture: Picture) -> Picture:
    """The upscaled 8-bit picture; sides that do not suit the engine are padded by repeating the last pixels."""
    multiple, (height, width) = engine.card.size_multiple, picture.shape[:2]
    padded = np.pad(picture, ((0, -height % multiple), (0, -width % multiple), (0, 0)), mode="edge")
    planes = np.ascontiguousarray(padded.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
    result = engine.infer(planes)[0].transpose(1, 2, 0)
    result = result[: engine.card.output_side(height), : engine.card.output_side(width)]
    return np.ascontiguousarray(np.clip(np.floor(result * 255 + 0.5), 0, 255), np.uint8)


def pictures(dataset: Path, scale: Fraction, only: tuple[str, ...] = ()) -> Iterator[tuple[str, Picture, Picture]]:
    """Name, input and truth of the images of the folder `dataset`, sorted; of all, or of names with one of `only`."""
    if not dataset.is_dir():
        raise SourceError(f"there is no folder {dataset}")
    if (dataset / "HR").is_dir():
        found = _benchmark(dataset, scale, only)
    elif any(dataset.glob(f"*/{TRUTH}")):
        found = _renders(dataset, scale, only)
    else:
        raise SourceError(f"{dataset} is not a data set: it has neither HR/NAME.png nor NAME/{TRUTH}")
    for name, low, high in found:
        if any(high.shape[axis] != low.shape[axis] * scale for axis in (0, 1)):
            raise SourceError(f"{name}: input {_size(low)} and truth {_size(high)} do not differ by a scale of {scale}")
        yield name, low, high


def _benchmark(dataset: Path, scale: Fraction, only: tuple[str, ...]) -> Iterator[tuple[str, Picture, Picture]]:
    files = [file for file in sorted((dataset / "HR").glob("*.png")) if _wanted(file.stem, only)]
    if not files:
        raise SourceError(f"there are no .png images with such names in {dataset / 'HR'}")
    inputs = dataset / "LR_bicubic" / f"X{_decimal(scale)}"
    for file in files:
        high = _read_png(file)
        height, width = (side - side % scale.numerator for side in high.shape[:2])
        high = high[:height, :width]
        if min(height, width) == 0:
            raise SourceError(f"{file.stem} is too small for a scale of {scale}")
        if inputs.is_dir():
            low = _read_png(inputs / f"{file.stem}x{_decimal(scale)}.png")
        else:
            low = imresize(high, int(height / scale), int(width / scale))
        yield file.stem, low, high


def _renders(dataset: Path, scale: Fraction, only: tuple[str, ...]) -> Iterator[tuple[str, Picture, Picture]]:
    if scale not in RENDERS:
        known = " and ".join(_decimal(scale) for scale in sorted(RENDERS))
        raise SourceError(f"rendered pairs like those in {dataset} exist for scales {known}, not {_decimal(scale)}")
    truths = [truth for truth in sorted(dataset.glob(f"*/{TRUTH}")) if _wanted(truth.parent.name, only)]
    if not truths:
        raise SourceError(f"no rendered pair in {dataset} has a name with {' or '.join(only)}")
    for truth in truths:
        yield truth.parent.name, _read_avif(truth.parent / RENDERS[scale]), _read_avif(truth)


def _wanted(name: str, only: tuple[str, ...]) -> bool:
    return not only or any(part in name for part in only)


def _read_png(path: Path) -> Picture:
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as cause:
        raise SourceError(f"cannot read {path}: {cause.strerror}") from cause
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if image is None:
        raise SourceError(f"{path} is not an image, or damaged")
    return np.ascontiguousarray(image[:, :, ::-1], np.uint8)


def _read_avif(path: Path) -> Picture:
    pillow = need("PIL.Image", "train")
    try:
        with pillow.open(path) as image:
            return np.asarray(image.convert("RGB"), np.uint8)
    except pillow.UnidentifiedImageError as cause:
        raise SourceError(f"{path} is not an image, or damaged, or Pillow is older than 11.3") from cause
    except (OSError, ValueError, SyntaxError) as cause:
        raise SourceError(f"cannot read {path}: {getattr(cause, 'strerror', None) or cause}") from cause


def _decimal(scale: Fraction) -> str:
    """The scale as folders are named: "2", "1.5"."""
    return f"{float(scale):g}"


def _size(picture: Picture) -> str:
    return f"{picture.shape[1]}x{picture.shape[0]}"
