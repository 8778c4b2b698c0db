"""Training images in memory and the random crops taken from them."""

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from rtsr.errors import TrainError, need
from rtsr.quality.imresize import imresize
from rtsr.quality.metrics import luma
from rtsr.train.degrade import compress, shrink
from rtsr.train.fields import colour_field, enlarged_pixels
from rtsr.train.recipe import Recipe
from rtsr.train.registration import misplaced

NATIVE_SHARE = 0.85
"""Share of rendered pairs among a capture recipe's crops of pairs and of reduced pictures."""
ENLARGED_SHARE = 0.25
"""Share of unfiltered art, its pixels drawn large, among a capture recipe's crops of pictures."""
FIELDS_SHARE = {"capture": 1 / 6, "photo": 1 / 12}
"""Share of smooth fields of colour in a batch, by flavour; they come last in it."""
RECOLOURED_SHARE = 1 / 3
"""Share of a capture recipe's crops whose colour channels change places; game pictures favour some colours."""
ART_PIXELS = (2.0, 8.0)
"""Least and greatest width of enlarged art's pixels, in high-resolution ones."""


@dataclass(frozen=True, slots=True)
class Example:
    """One picture: its high resolution and what a camera, a renderer or a codec made of it."""

    high: NDArray
    """(H, W, 3) uint8 RGB."""
    lows: tuple[NDArray, ...]
    """Low-resolution versions, each (H / scale, W / scale, 3) uint8 RGB."""
    weight: float
    """How often it is drawn, relative to the others."""
    error: float = 1.0
    """Mean squared error of its bicubic upscaling, white being 1: how hard it is."""


class Crops:
    """Batches of crops; batch `step` depends on the seed and on `step` alone, so that training resumes exactly.

    Codecs and renderers leave a picture brighter or darker as a whole: H.264 rounds up where it interpolates chroma
    between frames, and red and blue grow by half a level. That is not a network's to undo, which sees other sources too
    and would darken them; so the truth gets the mean colour of what was made of it (docs/decisions/0015-mean-colours.md).
    """

    def __init__(self, examples: list[Example], recipe: Recipe) -> None:
        if not examples:
            raise TrainError("no training images were found")
        self.examples = examples
        self.recipe = recipe
        weights = np.array([example.weight for example in examples])
        self.probabilities = weights / weights.sum()
        self._offsets = [[_mean(low) - _mean(example.high) for low in example.lows] for example in examples]

    def batch(self, step: int) -> tuple[NDArray, NDArray, NDArray]:
        """Crops of `step`: low and high, float32 in [0, 1], (N, 3, patch, patch) and `scale` times that.

        Third is the error of each crop's whole picture, (N,) float32; see `Example.error`.
        """
        random = np.random.default_rng((self.recipe.seed, step))
        fields = round(FIELDS_SHARE[self.recipe.flavour] * self.recipe.batch)
        chosen = random.choice(len(self.examples), self.recipe.batch - fields, p=self.probabilities)
        crops = [self._crop(i, random) for i in chosen]
        low, high = (np.stack(side).astype(np.float32) / 255 for side in zip(*crops, strict=True))
        errors = np.array([self.examples[i].error for i in chosen], np.float32)
        if not fields:
            return low, high, errors
        smooth = [colour_field(random, self.recipe.patch, self.recipe.scale) for _ in range(fields)]
        low, high = (
            np.concatenate([side, new]) for side, new in zip((low, high), zip(*smooth, strict=True), strict=True)
        )
        return low, high, np.append(errors, np.zeros(fields, np.float32))

    def _crop(self, i: int, random: np.random.Generator) -> tuple[NDArray, NDArray]:
        """A place of example `i`, (3, side, side) in 8-bit levels: uint8, and float32 with the same mean colour."""
        scale, patch, example = self.recipe.scale, self.recipe.patch, self.examples[i]
        version = random.integers(len(example.lows))
        low = example.lows[version]
        grid = scale.denominator
        y, x = (int(random.integers((side - patch) // grid + 1)) * grid for side in low.shape[:2])
        top, left, side = int(y * scale), int(x * scale), int(patch * scale)
        high = example.high[top : top + side, left : left + side]
        pair = (low[y : y + patch, x : x + patch], np.clip(high + self._offsets[i][version], 0, 255))
        turns, flip = int(random.integers(4)), bool(random.integers(2))
        turned = [np.rot90(crop, turns)[:, :: -1 if flip else 1] for crop in pair]
        if self.recipe.flavour == "capture" and random.random() < RECOLOURED_SHARE:
            channels = random.permutation(3)
            turned = [crop[..., channels] for crop in turned]
        return turned[0].transpose(2, 0, 1), turned[1].transpose(2, 0, 1)


def load_examples(recipe: Recipe, data: Path) -> list[Example]:
    """Decode every image that `recipe` names below `data` and make its low-resolution versions."""
    random = np.random.default_rng(recipe.seed)
    reduced = [
        _reduced(path, recipe, random)
        for folder in (*recipe.photos, *recipe.games)
        for path in _pictures(data / folder)
    ]
    if recipe.flavour == "photo":
        return reduced
    art = [_enlarged(example.high, recipe.scale, random) for example in reduced]
    natural = reduced + _rendered_pairs(recipe, data, reduced, random) if recipe.pairs else reduced
    return natural + _sharing(art, ENLARGED_SHARE, natural)


def _rendered_pairs(recipe: Recipe, data: Path, others: list[Example], random: np.random.Generator) -> list[Example]:
    if not (data / recipe.pairs).is_dir():
        raise TrainError(f"there is no folder {data / recipe.pairs}; is --data right?")
    rendered = [
        _rendered(folder, recipe.scale, random)
        for folder in sorted((data / recipe.pairs).iterdir())
        if folder.is_dir() and not any(part in folder.name for part in recipe.hold_out)
    ]
    return _sharing(rendered, NATIVE_SHARE, others)


def _sharing(examples: list[Example], share: float, others: list[Example]) -> list[Example]:
    """`examples`, weighed so that they and `others` are drawn `share` to 1 - `share`."""
    balance = share / (1 - share) * sum(e.weight for e in others) / max(len(examples), 1)
    return [replace(example, weight=balance or 1.0) for example in examples]


def _pictures(folder: Path) -> list[Path]:
    found = sorted(p for p in folder.glob("*") if p.suffix in (".avif", ".png", ".jpg", ".webp"))
    if not found:
        raise TrainError(f"no pictures in {folder}; is --data right?")
    return found


def read_rgb(path: Path) -> NDArray:
    """The picture at `path` as (H, W, 3) uint8 RGB; AVIF needs Pillow 11.3 or newer."""
    image = need("PIL.Image", "train")
    try:
        with image.open(path) as picture:
            return np.asarray(picture.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as cause:
        raise TrainError(f"cannot read the picture {path}: {cause}") from cause


def _reduced(path: Path, recipe: Recipe, random: np.random.Generator) -> Example:
    scale = recipe.scale
    high = read_rgb(path)
    grid = scale.numerator * 2
    height, width = (side // grid * grid for side in high.shape[:2])
    if min(height, width) < recipe.patch * scale:
        raise TrainError(f"{path} is too small for crops of {int(recipe.patch * scale)} pixels; leave it out")
    high = np.ascontiguousarray(high[:height, :width])
    weight = height * width * _detail(high)
    if recipe.flavour == "photo":
        low = shrink(high, scale, "bicubic")
        return Example(high, (low,), weight, _bicubic_error(low, high))
    sharp = shrink(high, scale, "point")
    lows = (sharp, shrink(high, scale, "area"), _captured(sharp, random))
    return Example(high, lows, weight, _bicubic_error(lows[1], high))


def _enlarged(image: NDArray, scale: Fraction, random: np.random.Generator) -> Example:
    low, high = enlarged_pixels(image, float(random.uniform(*ART_PIXELS)), scale)
    return Example(high, (low, _captured(low, random)), 1.0, _bicubic_error(low, high))


def _rendered(folder: Path, scale: Fraction, random: np.random.Generator) -> Example:
    high = read_rgb(folder / "1080.avif")
    low = read_rgb(folder / f"{int(1080 / scale)}.avif")
    lows = (low, *(_captured(low, random) for _ in range(3)))
    # What the two renders show at different places has no truth here: bicubic is what it must not be worse than.
    high = np.where(misplaced(low, high)[..., None], _bicubic(low, high), high)
    return Example(high, lows, 1.0, _bicubic_error(low, high))


def _mean(image: NDArray) -> NDArray[np.float32]:
    """The mean colour of `image`, (3,), in its levels."""
    return np.array(cv2.mean(image)[:3], np.float32)


def _captured(low: NDArray, random: np.random.Generator) -> NDArray:
    crf = int(random.integers(14, 27))
    codec = "libx265" if random.random() < 0.25 else "libx264"
    dy, dx = (int(step) for step in random.integers(-3, 4, 2))
    return compress(low, crf, codec, (dy, dx))


def _bicubic_error(low: NDArray, high: NDArray) -> float:
    return float(np.mean((luma(_bicubic(low, high)) - luma(high)) ** 2)) / 255**2


def _bicubic(low: NDArray, high: NDArray) -> NDArray:
    """`low` at the size of `high`."""
    return imresize(low, *high.shape[:2])


def _detail(image: NDArray) -> float:
    """Mean absolute gradient of the green channel, in 8-bit levels, at most 30."""
    green = image[..., 1].astype(np.int16)
    return min(float(np.abs(np.diff(green, axis=0)).mean() + np.abs(np.diff(green, axis=1)).mean()), 30.0)
