"""A training recipe: everything that decides the weights, in one frozen value read from TOML."""

import dataclasses
import tomllib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from rtsr.errors import TrainError


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to train, on what, and for how long."""

    name: str
    """Name of the network in `engines/`, by default."""
    arch: str
    """Architecture, a key of `rtsr.models.MODELS`."""
    scale: Fraction
    """Upscaling factor; "3/2" or 2 in the file."""
    flavour: str
    """`photo`: low resolution by bicubic. `capture`: native renders, aliased and compressed."""
    photos: tuple[str, ...] = ()
    """Folders of high-resolution photographs, below the data folder."""
    games: tuple[str, ...] = ()
    """Folders of high-resolution game pictures, below the data folder."""
    pairs: str = ""
    """Folder of rendered pairs (`capture`), below the data folder."""
    hold_out: tuple[str, ...] = ()
    """Pairs whose name contains one of these are not trained on."""
    validation: str = ""
    """Evaluation set, below the data folder, scored while training runs."""
    steps: int = 60_000
    """Optimiser steps."""
    batch: int = 16
    """Crops per step."""
    patch: int = 40
    """Side of a low-resolution crop, in pixels; even at x1.5."""
    lr: float = 2e-3
    """Learning rate at the start; it is held, then falls linearly to zero."""
    hold: float = 0.3
    """Share of the steps before the learning rate begins to fall."""
    loss: str = "l1"
    """`l1`, or `relative`: squared error over that of bicubic on the whole picture, so that the PSNR gained on a
    smooth picture counts as much as that on a rich one."""
    luma: float = 0.7
    """Share of the loss taken on luma alone; the rest is on RGB."""
    average: float = 0.999
    """Decay of the running average of the weights that is evaluated and exported."""
    start: str = ""
    """Recipe whose weights, trained here or shipped, are taken where they fit; extra middle layers start as the
    identity."""
    seed: int = 1
    """Seed of the initial weights and of every crop."""

    def __post_init__(self) -> None:
        if self.flavour not in ("photo", "capture"):
            raise TrainError(f"flavour is photo or capture, not {self.flavour!r}")
        if self.scale not in (Fraction(3, 2), 2, 3, 4):
            raise TrainError(f"scale is 3/2, 2, 3 or 4, not {self.scale}")
        if self.loss not in ("l1", "relative"):
            raise TrainError(f"loss is l1 or relative, not {self.loss!r}")
        if self.steps < 1 or self.batch < 1 or self.patch < 8:
            raise TrainError("steps and batch are at least 1, patch at least 8")
        if self.patch % self.scale.denominator:
            raise TrainError(f"patch must be a multiple of {self.scale.denominator} at this scale")
        if not 0 <= self.hold <= 1 or not 0 <= self.luma <= 1 or not 0 <= self.average < 1:
            raise TrainError("hold, luma and average are shares between 0 and 1")
        if not (self.photos or self.games or self.pairs):
            raise TrainError("a recipe names its images: photos, games or pairs")

    def lr_at(self, step: int) -> float:
        """The learning rate of `step`: held, then straight down to zero at the last step."""
        falling = 1 - self.hold
        progress = step / self.steps
        return self.lr * min(1.0, (1 - progress) / falling if falling else 1.0)


def read_recipe(path: Path) -> Recipe:
    """The recipe in the TOML file `path`; unknown keys are errors."""
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as cause:
        raise TrainError(f"cannot read the recipe {path}: {cause}") from cause
    fields = {field.name for field in dataclasses.fields(Recipe)}
    unknown = sorted(raw.keys() - fields)
    if unknown:
        raise TrainError(f"{path.name}: unknown {unknown}; allowed: {sorted(fields)}")
    try:
        raw["scale"] = Fraction(str(raw["scale"]))
        for key in ("photos", "games", "hold_out"):
            raw[key] = tuple(raw.get(key, ()))
        return Recipe(**{"name": path.stem, **raw})
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as cause:
        raise TrainError(f"{path.name}: {cause}") from cause
