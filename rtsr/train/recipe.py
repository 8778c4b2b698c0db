"""A training recipe: everything that decides the weights, in one frozen value read from TOML.

A network that is trained in phases has them in one file, as a list of `[[phases]]`: each starts from the weights of
the one before with a new optimiser, and may set anew how it trains (`PHASE_KEYS`).
"""

import dataclasses
import tomllib
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from rtsr.errors import TrainError

OBJECTIVES = ("plain", "contrastive", "dense", "sparse", "exits", "estimator")
"""What can be minimised; see `rtsr.train.objectives`."""
PHASE_KEYS = (
    "objective", "steps", "batch", "patch", "lr", "hold", "loss", "luma", "expand", "alive", "carry", "average",
    "contrast", "sparsity", "mask_lr", "backbone_lr", "middle_lr",
)  # fmt: skip
"""What each phase of a recipe may set for itself."""


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
    objective: str = "plain"
    """What is minimised: `plain`, the error; `contrastive`, with RLFN's contrastive loss; `dense`, the error of SMSR
    without its masks; `sparse`, with the share that they keep; `exits`, the error of every exit; `estimator`, that of
    the estimates alone."""
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
    contrast: float = 1.0
    """Weight of the contrastive loss (`contrastive`), white being 1."""
    sparsity: float = 0.1
    """Weight of the share that the masks keep (`sparse`), once warmed up, the error being in levels of 255."""
    mask_lr: float = 1.0
    """Learning rate of the scores of channel masks, as a multiple of `lr` (`sparse`): they start a unit or two apart,
    which is far for the rate of weights."""
    backbone_lr: float = 1e-5
    """Learning rate of what the last exit uses, as a share of `lr` (`exits`); 0 freezes it."""
    middle_lr: float = 1.0
    """Learning rate of all layers but the first and the last, as a share of `lr` (QuickSRNet's): an image passes them
    all, and what each step disturbs in one adds up over the others."""
    expand: int = 0
    """Channels of the wide linear block that each convolution trains as, see `rtsr.train.expand`; 0: none, plainly."""
    alive: float = 0.0
    """Weight of how far channels behind clipped activations are from doing something, so that none dies (QuickSRNet's,
    see `rtsr.models.quicksrnet.ReLU1`)."""
    carry: bool = False
    """Whether the image passes all layers but the last unchanged, in channels of its own (QuickSRNet's), see
    `rtsr.train.carry`."""
    average: float = 0.999
    """Decay of the running average of the weights that is evaluated and exported."""
    start: str = ""
    """Recipe whose weights, trained here or shipped, are taken where they fit; extra middle layers start as the
    identity."""
    seed: int = 1
    """Seed of the initial weights, of every crop and of what noise an objective adds."""
    earlier: tuple["Recipe", ...] = ()
    """The phases before this one; its own `start` names the last of them."""

    @property
    def phases(self) -> tuple["Recipe", ...]:
        """All phases in order; this recipe is the last."""
        return (*self.earlier, self)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _expect(field.name, getattr(self, field.name), field.type)
        if self.flavour not in ("photo", "capture"):
            raise TrainError(f"flavour is photo or capture, not {self.flavour!r}")
        if self.scale not in (Fraction(3, 2), 2, 3, 4):
            raise TrainError(f"scale is 3/2, 2, 3 or 4, not {self.scale}")
        if self.loss not in ("l1", "relative"):
            raise TrainError(f"loss is l1 or relative, not {self.loss!r}")
        if self.objective not in OBJECTIVES:
            raise TrainError(f"objective is one of {', '.join(OBJECTIVES)}, not {self.objective!r}")
        if self.objective == "sparse" and self.loss != "l1":
            raise TrainError("the objective sparse weighs its masks against loss l1, not relative")
        if self.objective == "contrastive" and self.batch < 2:
            raise TrainError("the objective contrastive compares crops of a batch: set batch to 2 or more")
        if self.steps < 1 or self.batch < 1 or self.patch < 8:
            raise TrainError("steps and batch are at least 1, patch at least 8")
        if self.expand < 0:
            raise TrainError("expand is a number of channels, or 0")
        if self.alive < 0:
            raise TrainError("alive is a weight, or 0")
        if self.patch % self.scale.denominator:
            raise TrainError(f"patch must be a multiple of {self.scale.denominator} at this scale")
        if not 0 <= self.hold <= 1 or not 0 <= self.luma <= 1 or not 0 <= self.average < 1:
            raise TrainError("hold, luma and average are shares between 0 and 1")
        if self.mask_lr <= 0:
            raise TrainError("mask_lr is above 0")
        if self.lr <= 0 or self.contrast < 0 or self.sparsity < 0 or not 0 <= self.backbone_lr <= 1:
            raise TrainError("lr is above 0, contrast and sparsity are not below, backbone_lr is between 0 and 1")
        if not 0 < self.middle_lr <= 1:
            raise TrainError("middle_lr is a share above 0, at most 1")
        if not (self.photos or self.games or self.pairs):
            raise TrainError("a recipe names its images: photos, games or pairs")

    def pace(self, step: int) -> float:
        """The share of the learning rate that `step` takes: held at 1, then straight down to 0 at the last step."""
        falling = 1 - self.hold
        progress = step / self.steps
        return min(1.0, (1 - progress) / falling if falling else 1.0)


def read_recipe(path: Path) -> Recipe:
    """The recipe in the TOML file `path`, or its last phase, which holds the `earlier` ones; unknown keys are errors.

    Phases but the last are named NAME-phase1, NAME-phase2, ... Raises TrainError, which names the file.
    """
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as cause:
        raise TrainError(f"cannot read the recipe {path}: {cause}") from cause
    try:
        return _assemble({"name": path.stem, **raw})
    except (TypeError, ValueError, ZeroDivisionError, TrainError) as cause:
        raise TrainError(f"{path.name}: {cause}") from cause


def _assemble(raw: dict) -> Recipe:
    """The last phase of a recipe file's values, the ones before it in its `earlier`."""
    phases = raw.pop("phases", [{}])
    _known(raw, tuple(field.name for field in dataclasses.fields(Recipe) if field.name != "earlier"))
    if not isinstance(phases, list) or not phases or not all(isinstance(phase, dict) for phase in phases):
        raise TrainError("phases are tables, each headed [[phases]]")
    missing = sorted({"arch", "scale", "flavour"} - raw.keys())
    if missing:
        raise TrainError(f"missing {missing}")
    name, raw["scale"] = raw["name"], Fraction(str(raw["scale"]))
    for key in ("photos", "games", "hold_out"):
        if not isinstance(names := raw.get(key, []), list) or not all(isinstance(entry, str) for entry in names):
            raise TrainError(f"{key} is a list of names, not {names!r}")
        raw[key] = tuple(names)
    made: list[Recipe] = []
    for number, phase in enumerate(phases, 1):
        _known(phase, PHASE_KEYS)
        last = number == len(phases)
        grows = {"start": made[-1].name} if made else {}
        naming = {"name": name, "earlier": tuple(made)} if last else {"name": f"{name}-phase{number}"}
        made.append(Recipe(**{**raw, **phase, **grows, **naming}))
    if any(later.carry and not earlier.carry for earlier, later in pairwise(made)):
        raise TrainError("carry is for the first phases: behind one without it the image is in no channel of its own")
    if made[-1].objective == "dense":
        raise TrainError("the objective dense leaves masks untrained: let a phase with the objective sparse come last")
    return made[-1]


def _known(raw: dict, allowed: tuple[str, ...]) -> None:
    unknown = sorted(raw.keys() - set(allowed))
    if unknown:
        raise TrainError(f"unknown {unknown}; allowed: {sorted(allowed)}")


def _expect(name: str, value: object, kind: object) -> None:
    """Raise TrainError unless `value` is text, a number or true or false where its field is one."""
    allowed = {int: (int,), float: (int, float), str: (str,), bool: (bool,)}.get(kind)  # pyright: ignore[reportArgumentType, reportCallIssue]
    if allowed and (not isinstance(value, allowed) or isinstance(value, bool) is not (kind is bool)):
        raise TrainError(f"{name} has the wrong type: {value!r}")
