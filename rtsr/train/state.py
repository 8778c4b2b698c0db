"""What a training has come to: network, averaged weights, optimiser, step; and its file, the checkpoint."""

from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor, nn

from rtsr.errors import TrainError
from rtsr.models import build
from rtsr.train.carry import carry
from rtsr.train.expand import expand
from rtsr.train.inherit import inherit
from rtsr.train.objectives import Objective, objective_of
from rtsr.train.recipe import Recipe


@dataclass
class State:
    """The changing side of a run of a recipe."""

    model: nn.Module
    """The network, its convolutions expanded, the image carried where the recipe says so."""
    average: nn.Module
    """A running average of the weights of `model`, collapsed: what is evaluated and exported."""
    objective: Objective
    optimiser: torch.optim.Adam
    rates: list[float]
    """Learning rate of each of the optimiser's groups before it falls."""
    step: int = 0
    """Steps taken."""
    spent: dict[str, float] = field(default_factory=dict)
    """Seconds that these steps took, by hardware."""
    timed: bool = True
    """Whether `spent` is of all steps; False where the checkpoint of the first ones recorded no time."""

    def set_pace(self, pace: float) -> None:
        """Let every group learn at `pace`, a share of its rate."""
        for group, rate in zip(self.optimiser.param_groups, self.rates, strict=True):
            group["lr"] = rate * pace

    @torch.no_grad()
    def follow(self, decay: float) -> None:
        """Move the averaged weights towards the network's by 1 - `decay`."""
        for name, kept in self.average.named_parameters():
            kept.lerp_(attrgetter(name)(self.model), 1 - decay)

    def save(self, checkpoint: Path) -> None:
        """Write the checkpoint; it takes its name when it is complete."""
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        beside = checkpoint.with_suffix(".part")
        parts = {"model": self.model, "average": self.average, "optimiser": self.optimiser}
        kept: dict = {name: part.state_dict() for name, part in parts.items()}
        torch.save({**kept, "step": self.step, **({"spent": self.spent} if self.timed else {})}, beside)
        beside.replace(checkpoint)

    def load(self, checkpoint: Path) -> None:
        """Go on from `checkpoint`; raises TrainError where it is damaged or another recipe's."""
        kept = read_checkpoint(checkpoint)
        try:
            self.model.load_state_dict(kept["model"])
            self.average.load_state_dict(kept["average"])
            self.optimiser.load_state_dict(kept["optimiser"])
            self.step = kept["step"]
            self.spent, self.timed = dict(kept.get("spent", {})), "spent" in kept
        except (RuntimeError, ValueError, KeyError) as cause:
            raise TrainError(
                f"{checkpoint} holds another network or objective than its recipe; remove it, or rename"
            ) from cause


def begin(recipe: Recipe, start: dict[str, Tensor] | None, device: str) -> State:
    """The state before the first step, on `device`: weights from `start` where they fit, else from the recipe's seed.

    Weights that the recipe's objective does not move are frozen.
    """
    torch.manual_seed(recipe.seed)
    model, average = (build(recipe.arch, recipe.scale) for _ in range(2))
    if start is not None:
        inherit(model, start)
    average.load_state_dict(model.state_dict())
    if recipe.expand:
        expand(model, recipe.expand)
    if recipe.carry:
        carry(model)
    model, average = model.to(device), average.to(device)
    objective = objective_of(recipe, model)
    groups = objective.parameters(model, recipe.lr)
    moved = {id(weights) for group in groups for weights in group["params"]}
    for weights in model.parameters():
        weights.requires_grad_(id(weights) in moved)
    rates = [group["lr"] for group in groups]
    return State(model, average, objective, torch.optim.Adam([dict(group) for group in groups]), rates)


def read_checkpoint(path: Path) -> dict:
    """What `State.save` wrote to `path`; raises TrainError where it cannot be read."""
    try:
        return torch.load(path, weights_only=True, map_location="cpu")
    except (OSError, RuntimeError, KeyError, EOFError, UnpicklingError) as cause:
        raise TrainError(f"cannot read the checkpoint {path}; train it, or remove the damaged file") from cause


def trained_weights(checkpoint: Path) -> dict[str, Tensor]:
    """The averaged weights in `checkpoint`."""
    return read_checkpoint(checkpoint)["average"]


def seconds_spent(checkpoint: Path) -> dict[str, float]:
    """Seconds that the training behind `checkpoint` took, by hardware; empty where that is not known."""
    return read_checkpoint(checkpoint).get("spent", {}) if checkpoint.exists() else {}


def steps_done(checkpoint: Path) -> int:
    """How many steps the training behind `checkpoint` has taken; 0 where there is none."""
    return read_checkpoint(checkpoint)["step"] if checkpoint.exists() else 0
