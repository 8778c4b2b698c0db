"""One run of a recipe, from its images on disk to the network that ships: train, export, score, write the card."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from rtsr.card import Card, Quality
from rtsr.datasets import pictures
from rtsr.engine import open_engine
from rtsr.errors import TrainError
from rtsr.evaluate import evaluate
from rtsr.export import export_checkpoint
from rtsr.metrics import border, compare
from rtsr.resources import Network
from rtsr.train.crops import Crops, load_examples
from rtsr.train.loop import score, steps_done, train, trained_weights
from rtsr.train.recipe import Recipe
from rtsr.train.shipped import shipped_weights

SCORED = {"photo": ("benchmarks/Set5", "benchmarks/Set14", "benchmarks/BSD100"), "capture": ("pairs",)}
"""Data sets below the data folder that a card reports, by flavour."""


@dataclass(frozen=True, slots=True)
class Session:
    """Where a run reads and writes."""

    recipe: Recipe
    data: Path
    """Folder with the images that the recipe names."""
    runs: Path
    """Folder of checkpoints, one `NAME.pt` a recipe."""
    engines: Path
    """Folder that the finished network and its card are written to."""
    log: Callable[[str], None]

    @property
    def checkpoint(self) -> Path:
        return self.runs / f"{self.recipe.name}.pt"

    def train(self, every: int, minutes: float | None) -> bool:
        """Train until the recipe's last step, or for `minutes`; resumes from the run's checkpoint.

        Returns whether the last step was reached.
        """
        recipe = self.recipe
        if steps_done(self.checkpoint) >= recipe.steps:
            self.log(f"{self.checkpoint} is at its last step already")
            return True
        self.log(f"loading images from {self.data}")
        crops = Crops(load_examples(recipe, self.data), recipe)
        self.log(f"{len(crops.examples)} pictures")
        images = [(low, high) for _, low, high in self._pictures(recipe.validation)] if recipe.validation else []
        crop = border(recipe.scale)

        def validate(model) -> float:
            return score(model, images, lambda result, truth: compare(result, truth, crop)[0])

        measure = validate if images else lambda _: float("nan")
        return train(recipe, crops, self.checkpoint, measure, self.log, every, minutes, self._start())

    def export(self, command: str) -> Card:
        """Export the checkpoint, score the exported network on the data sets of its flavour, and write its card."""
        recipe = self.recipe
        training = f"{command}; {recipe.steps} steps of {recipe.batch} crops of {recipe.patch}x{recipe.patch} pixels"
        quality = {}
        with TemporaryDirectory() as scratch:
            card = export_checkpoint(self.checkpoint, self.recipe, Path(scratch))
            engine = open_engine(card, Network(card, Path(scratch) / f"{card.name}.toml").path)
            for name in SCORED[self.recipe.flavour]:
                if (self.data / name).is_dir():
                    kept = self.recipe.hold_out if name == self.recipe.pairs else ()
                    found = evaluate(engine, self.data / name, self.recipe.scale, kept)
                    title = f"{found.dataset} (unseen maps)" if kept else found.dataset
                    quality[title] = Quality(round(found.psnr, 3), round(found.ssim, 4), len(found.scores))
                    self.log(f"{title}: {found.psnr:.3f} dB, {found.ssim:.4f}")
        return export_checkpoint(self.checkpoint, self.recipe, self.engines, training=training, quality=quality)

    def _start(self):
        """Weights of the recipe that this one grows from: trained here, or shipped."""
        name = self.recipe.start
        if not name:
            return None
        checkpoint, network = self.runs / f"{name}.pt", self.engines / f"{name}.onnx"
        if checkpoint.exists():
            self.log(f"starting from {checkpoint}")
            return trained_weights(checkpoint)
        if network.exists():
            self.log(f"starting from {network}")
            return shipped_weights(network)
        raise TrainError(f"this recipe grows from {name}: train recipes/{name}.toml first, or put {network} there")

    def _pictures(self, name: str):
        folder = self.data / name
        if not folder.is_dir():
            raise TrainError(f"there is no folder {folder}; is --data right?")
        kept = self.recipe.hold_out if name == self.recipe.pairs else ()
        return pictures(folder, self.recipe.scale, kept)
