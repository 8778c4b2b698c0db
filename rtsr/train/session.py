"""One run of a recipe, from its images on disk to the network that ships: train, export, score, write the card."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from torch import Tensor, nn

from rtsr.card import Card, Origin, Quality
from rtsr.engine import open_engine
from rtsr.engine.onnx import OnnxEngine
from rtsr.engine.stages import StagedEngine
from rtsr.errors import TrainError
from rtsr.export import export_checkpoint
from rtsr.models import build
from rtsr.quality.datasets import pictures
from rtsr.quality.evaluate import evaluate, evaluate_exits
from rtsr.quality.metrics import border, compare
from rtsr.resources import Network
from rtsr.train.crops import Crops, load_examples
from rtsr.train.hardware import Hardware
from rtsr.train.loop import CPU, score, train
from rtsr.train.objectives import objective_of
from rtsr.train.recipe import Recipe
from rtsr.train.shipped import shipped_weights
from rtsr.train.state import seconds_spent, steps_done, trained_weights

SCORED = {"photo": ("benchmarks/Set5", "benchmarks/Set14", "benchmarks/BSD100"), "capture": ("pairs",)}
"""Data sets below the data folder that a card reports, by flavour."""


@dataclass(frozen=True, slots=True)
class Session:
    """Where a run reads and writes."""

    recipe: Recipe
    data: Path
    """Folder with the images that the recipe names."""
    runs: Path
    """Folder of checkpoints, one `NAME.pt` a recipe; `NAME-phase1.pt` and so on for phases but the last."""
    engines: Path
    """Folder that the finished network and its card are written to."""
    log: Callable[[str], None]
    hardware: Hardware = CPU

    def checkpoint(self, name: str) -> Path:
        """Where the recipe or phase `name` keeps its weights."""
        return self.runs / f"{name}.pt"

    def train(self, every: int, minutes: float | None) -> bool:
        """Train until the recipe's last step, or for `minutes`; goes on in the phase, at the step where it was.

        Returns whether the last step was reached.
        """
        left = self._unfinished()
        if not left:
            self.log(f"{self.checkpoint(self.recipe.name)} is at its last step already")
            return True
        network = build(self.recipe.arch, self.recipe.scale)
        for phase in left:
            objective_of(phase, network)  # What does not suit shows now, not hours later.
        self.log(f"loading images from {self.data}")
        examples = load_examples(max(left, key=lambda phase: phase.patch), self.data)
        self.log(f"{len(examples)} pictures; training on {self.hardware.device}, {self.hardware.precision}")
        validate = self._validation()
        began = time.monotonic()
        for phase in left:
            if len(self.recipe.phases) > 1:
                self.log(f"phase {self.recipe.phases.index(phase) + 1}: {phase.objective}")
            rest = None if minutes is None else minutes - (time.monotonic() - began) / 60
            crops, checkpoint, start = Crops(examples, phase), self.checkpoint(phase.name), self._start(phase)
            if not train(phase, crops, checkpoint, validate, self.log, every, rest, start, self.hardware):
                return False
        return True

    def _unfinished(self) -> list[Recipe]:
        """The phases still to train: from the last one that was begun, if it is not at its end."""
        left: list[Recipe] = []
        for phase in reversed(self.recipe.phases):
            done = steps_done(self.checkpoint(phase.name))
            if done < phase.steps:
                left.insert(0, phase)
            if done:
                break
        return left

    def export(self, command: str) -> Card:
        """Export the checkpoint, score the exported network on the data sets of its flavour, and write its card."""
        recipe = self.recipe
        steps = (f"{p.steps} steps of {p.batch} crops of {p.patch}x{p.patch} pixels" for p in recipe.phases)
        training = f"{command}; {', then '.join(steps)}"
        with TemporaryDirectory() as scratch:
            card = export_checkpoint(self.checkpoint(recipe.name), recipe, Path(scratch))
            engine = open_engine(card, Network(card, Path(scratch) / f"{card.name}.toml").path)
            scores = [self._scores(engine, name) for name in SCORED[recipe.flavour] if (self.data / name).is_dir()]
        exits = tuple({title: found[k] for title, found in scores} for k in range(len(card.exits) + 1))
        return export_checkpoint(
            self.checkpoint(recipe.name),
            recipe,
            self.engines,
            training=training,
            quality={title: found[-1] for title, found in scores},
            exit_qualities=exits if card.exits else (),
            origin=self._origin(),
        )

    def _origin(self) -> Origin:
        """What was trained on, how long and on what; no hours where a phase's checkpoint is gone, or has none."""
        recipe = self.recipe
        spent = [seconds_spent(self.checkpoint(phase.name)) for phase in recipe.phases]
        known = all(spent)
        hours = sum(sum(each.values()) for each in spent) / 3600 if known else 0.0
        return Origin(
            data=(*recipe.photos, *recipe.games, *((recipe.pairs,) if recipe.pairs else ())),
            hold_out=recipe.hold_out,
            start=recipe.phases[0].start,
            hours=round(hours, 3),
            hardware="; ".join(dict.fromkeys(name for each in spent for name in each)) if known else "",
        )

    def _scores(self, engine: OnnxEngine | StagedEngine, name: str) -> tuple[str, list[Quality]]:
        """What the network reaches on the data set `name`, whose title comes first; exit by exit, bicubic included."""
        kept = self.recipe.hold_out if name == self.recipe.pairs else ()
        folder, scale = self.data / name, self.recipe.scale
        if isinstance(engine, StagedEngine):
            found = evaluate_exits(engine, folder, scale, kept)
        else:
            found = (evaluate(engine, folder, scale, kept),)
        title = f"{found[-1].dataset} (unseen maps)" if kept else found[-1].dataset
        self.log(f"{title}: " + ", ".join(f"{result.psnr:.3f} dB {result.ssim:.4f}" for result in found))
        return title, [Quality(round(r.psnr, 3), round(r.ssim, 4), len(r.scores)) for r in found]

    def _start(self, phase: Recipe) -> dict[str, Tensor] | None:
        """Weights of the recipe or phase that `phase` grows from: trained here, or shipped; not looked for in vain."""
        name = phase.start
        if not name or self.checkpoint(phase.name).exists():
            return None
        checkpoint, network = self.checkpoint(name), self.engines / f"{name}.onnx"
        if checkpoint.exists():
            self.log(f"starting from {checkpoint}")
            return trained_weights(checkpoint)
        if network.exists():
            self.log(f"starting from {network}")
            return shipped_weights(network)
        raise TrainError(f"this recipe grows from {name}: train recipes/{name}.toml first, or put {network} there")

    def _validation(self) -> Callable[[nn.Module], str]:
        """What the log says of a network: PSNR of each exit on the recipe's validation set."""
        name, crop = self.recipe.validation, border(self.recipe.scale)
        if not name:
            return lambda _: ""
        folder = self.data / name
        if not folder.is_dir():
            raise TrainError(f"there is no folder {folder}; is --data right?")
        kept = self.recipe.hold_out if name == self.recipe.pairs else ()
        images = [(low, high) for _, low, high in pictures(folder, self.recipe.scale, kept)]

        def validate(model: nn.Module) -> str:
            exits = score(model, images, lambda result, truth: compare(result, truth, crop)[0])
            return ", ".join(f"{psnr:.3f}" for psnr in exits) + " dB"

        return validate
