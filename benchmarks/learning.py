"""Does every kind of recipe learn? `python -m benchmarks.learning --data DIR --only enaf-fsrcnn-x4-photo`.

Trains each phase of a shipped recipe for a short while, on few pictures and small crops, and scores Set5 before and
after: PSNR-Y of every exit, and the phase's own loss. The figures say that the training works, not how good the
network gets. `--json FILE` keeps the figures of networks that are not asked for.
"""

import argparse
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.machine import machine
from rtsr import resources
from rtsr.models import build
from rtsr.models.smsr import SMSR
from rtsr.quality.datasets import pictures
from rtsr.quality.metrics import border, compare
from rtsr.train.crops import Crops, Example, load_examples
from rtsr.train.loop import score, train
from rtsr.train.objectives import Batch, objective_of
from rtsr.train.recipe import Recipe, read_recipe
from rtsr.train.shipped import shipped_weights
from rtsr.train.state import begin, trained_weights

RECIPES = Path(__file__).parents[1] / "recipes"
KINDS = (
    "quicksrnet-small-x2-photo",
    "quicksrnet-large-x2-photo",
    "rlfn-s-x2-photo",
    "rlfn-s-x1.5-photo",
    "rlfn-ntire-x4-photo",
    "smsr-x2-photo",
    "enaf-fsrcnn-x4-photo",
    "enaf-carn-x4-photo",
    "enaf-srresnet-x4-photo",
    "enaf-quicksrnet-medium-x2-photo",
    "enaf-quicksrnet-medium-x1.5-photo",
    "enaf-rlfn-s-x2-photo",
    "enaf-rlfn-s-x1.5-photo",
)
PICTURES = 24
"""Training pictures of each folder."""
SIDE = 32
"""Side of the patches of Set5 that losses are taken over, in low-resolution pixels."""


@dataclass(frozen=True)
class Short:
    """How far a recipe is cut down."""

    steps: int
    batch: int
    patch: int

    def of(self, recipe: Recipe) -> tuple[Recipe, ...]:
        """The phases of `recipe`, cut down; the estimator's patch has its fixed size."""
        return tuple(
            replace(
                phase,
                steps=self.steps,
                batch=self.batch,
                patch=phase.patch if phase.objective == "estimator" else self.patch,
                earlier=(),
            )
            for phase in recipe.phases
        )


@dataclass(frozen=True)
class Truth:
    """What a network is held to: Set5."""

    images: list[tuple[np.ndarray, np.ndarray]]
    crop: int

    def psnr(self, model: nn.Module) -> list[float]:
        """PSNR-Y of each exit in dB."""
        return [round(x, 3) for x in score(model, self.images, lambda a, b: compare(a, b, self.crop)[0])]

    @torch.no_grad()
    def loss(self, phase: Recipe, model: nn.Module) -> float:
        """The phase's loss over patches of Set5, as weighed at its last step."""
        lows, highs = zip(*(pair for image in self.images for pair in patches(*image, phase)), strict=True)
        low, high = (torch.from_numpy(np.stack(side)).permute(0, 3, 1, 2).float() / 255 for side in (lows, highs))
        batch = Batch(low, high, torch.full((len(low),), 1e-3))
        return round(float(objective_of(phase, model).loss(model.train(), batch, phase.steps)), 4)

    @torch.inference_mode()
    def kept(self, model: SMSR) -> float:
        """The share of its convolutions' outputs that the masks keep, mean over the pictures."""
        lows = [torch.from_numpy(low).permute(2, 0, 1)[None].float() / 255 for low, _ in self.images]
        return round(float(np.mean([model.eval().kept(low).item() for low in lows])), 3)

    def figures(self, phase: Recipe, model: nn.Module, when: str) -> dict[str, object]:
        """What a row says of `model` before or after the phase."""
        found: dict[str, object] = {f"psnr_{when}": self.psnr(model), f"loss_{when}": self.loss(phase, model)}
        return found | ({f"kept_{when}": self.kept(model)} if isinstance(model, SMSR) else {})


def patches(low: np.ndarray, high: np.ndarray, phase: Recipe) -> list[tuple[np.ndarray, np.ndarray]]:
    """Patches of a picture side by side, each with its truth."""
    side = int(SIDE * phase.scale)
    return [
        (low[y : y + SIDE, x : x + SIDE], high[int(y * phase.scale) :, int(x * phase.scale) :][:side, :side])
        for y in range(0, low.shape[0] - SIDE + 1, SIDE)
        for x in range(0, low.shape[1] - SIDE + 1, SIDE)
    ]


def some(data: Path, recipe: Recipe, scratch: Path) -> list[Example]:
    """Examples from a few pictures of each of the recipe's folders."""
    for folder in (*recipe.photos, *recipe.games):
        (scratch / folder).mkdir(parents=True, exist_ok=True)
        for file in sorted(file for file in (data / folder).iterdir() if file.suffix == ".avif")[:PICTURES]:
            link = scratch / folder / file.name
            if not link.exists():
                link.symlink_to(file.resolve())
    return load_examples(recipe, scratch)


def start_of(phase: Recipe, runs: Path) -> dict[str, Tensor] | None:
    """Weights that `phase` grows from: of the phase before, or shipped; none where its start was not trained."""
    checkpoint, network = runs / f"{phase.start}.pt", resources.folder("engines") / f"{phase.start}.onnx"
    if not phase.start or checkpoint.exists():
        return trained_weights(checkpoint) if phase.start else None
    return shipped_weights(network) if network.exists() else None


def learn(name: str, data: Path, short: Short, scratch: Path) -> list[dict]:
    """Figures of each phase of the recipe `name`, cut down."""
    recipe = read_recipe(RECIPES / f"{name}.toml")
    phases, runs = short.of(recipe), scratch / "runs"
    examples = some(data, max(phases, key=lambda phase: phase.patch), scratch)
    images = [(low, high) for _, low, high in pictures(data / "benchmarks/Set5", recipe.scale)]
    truth, rows = Truth(images, border(recipe.scale)), []
    for phase in phases:
        start, checkpoint = start_of(phase, runs), runs / f"{phase.name}.pt"
        row = {"phase": phase.objective, "steps": phase.steps, "start": phase.start if start else ""}
        row |= truth.figures(phase, begin(phase, start, "cpu").average, "before")
        began = time.perf_counter()
        train(phase, Crops(examples, phase), checkpoint, lambda _: "", lambda _: None, start=start)
        after = build(phase.arch, phase.scale)
        after.load_state_dict(trained_weights(checkpoint))
        row |= {"seconds": round(time.perf_counter() - began, 1), **truth.figures(phase, after, "after")}
        rows.append(row)
        print(f"{name:34} " + "  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the recipes' images and benchmarks/Set5")
    parser.add_argument("--only", nargs="+", choices=KINDS, default=KINDS, help="recipes to try")
    parser.add_argument("--json", type=Path, help="write the figures and the machine's data here")
    parser.add_argument("--steps", type=int, default=200, help="steps of each phase")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    short = Short(options.steps, batch=4, patch=32)
    known = json.loads(options.json.read_text())["results"] if options.json and options.json.exists() else {}
    with TemporaryDirectory() as scratch:
        for name in options.only:
            known[name] = learn(name, options.data, short, Path(scratch))
    if options.json:
        where = {**machine(), "torch": torch.__version__, "threads": options.threads}
        options.json.write_text(json.dumps({"machine": where, "results": known}, indent=1) + "\n")


if __name__ == "__main__":
    main()
