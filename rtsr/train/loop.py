"""The training loop: resumes where it stopped, averages the weights, scores itself while it runs."""

import time
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch
from torch import Tensor, nn

from rtsr.errors import TrainError
from rtsr.metrics import LUMA
from rtsr.models import build
from rtsr.train.crops import Crops
from rtsr.train.recipe import Recipe

LUMA_WEIGHTS = torch.tensor(LUMA, dtype=torch.float32).reshape(1, 3, 1, 1)
EASIEST = 2e-5
"""Added to a picture's bicubic error (47 dB), so that flat pictures do not rule the relative loss."""


def train(
    recipe: Recipe,
    crops: Crops,
    checkpoint: Path,
    evaluate: Callable[[nn.Module], float],
    log: Callable[[str], None],
    every: int = 2000,
    minutes: float | None = None,
    start: dict[str, Tensor] | None = None,
) -> bool:
    """Train, from `checkpoint` if it exists, else from the weights `start`, until the last step or for `minutes`.

    `checkpoint` is rewritten every `every` steps and holds the network, its averaged weights, the optimiser's
    state and the step. Batch n is the same in every run, so a resumed run equals an uninterrupted one.
    `evaluate` scores the averaged network for the log. Returns whether the last step was reached.
    """
    torch.manual_seed(recipe.seed)
    model = build(recipe.arch, recipe.scale)
    average = build(recipe.arch, recipe.scale)
    if start is not None and not checkpoint.exists():
        inherit(model, start)
    average.load_state_dict(model.state_dict())
    optimiser = torch.optim.Adam(model.parameters(), lr=recipe.lr)
    done = 0
    if checkpoint.exists():
        state = _load(checkpoint)
        try:
            model.load_state_dict(state["model"])
            average.load_state_dict(state["average"])
            optimiser.load_state_dict(state["optimiser"])
        except (RuntimeError, ValueError, KeyError) as cause:
            raise TrainError(f"{checkpoint} holds another network than {recipe.arch}; remove it, or rename") from cause
        done = state["step"]
        log(f"resumed at step {done}")
    model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    began, waiting = time.monotonic(), 0.0
    for step in range(done, recipe.steps):
        for group in optimiser.param_groups:
            group["lr"] = recipe.lr_at(step)
        asked = time.monotonic()
        low, high, errors = (torch.from_numpy(side) for side in crops.batch(step))
        waiting += time.monotonic() - asked
        result = model(low.to(memory_format=torch.channels_last))
        loss = loss_of(result, high, errors, recipe)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        follow(average, model, min(recipe.average, (1 + step) / (10 + step)))
        last = step + 1 == recipe.steps
        late = minutes is not None and time.monotonic() - began > 60 * minutes
        if (step + 1) % every == 0 or last or late:
            spent = time.monotonic() - began
            rate, share = (step + 1 - done) / spent, waiting / spent
            _save(checkpoint, model, average, optimiser, step + 1)
            log(
                f"step {step + 1}/{recipe.steps}  loss {loss.item():.5f}  {evaluate(average):.3f} dB  "
                f"{rate:.1f} steps/s  {share:.1%} waiting for data"
            )
        if late and not last:
            return False
    return True


def trained_weights(checkpoint: Path) -> dict[str, Tensor]:
    """The averaged weights in `checkpoint`."""
    return _load(checkpoint)["average"]


def steps_done(checkpoint: Path) -> int:
    """How many steps the training behind `checkpoint` has taken; 0 where there is none."""
    return _load(checkpoint)["step"] if checkpoint.exists() else 0


def loss_of(result: Tensor, truth: Tensor, errors: Tensor, recipe: Recipe) -> Tensor:
    """The recipe's loss between two batches (N, 3, H, W) in [0, 1]; `result` before its clamp.

    `errors` (N,) are the mean squared errors of the crops' pictures under bicubic upscaling.

    Colour and luma are weighed as the recipe says: the figures of merit look at luma only, and so do eyes.
    """
    error = result - truth
    luma = (error * LUMA_WEIGHTS).sum(1)
    if recipe.loss == "l1":
        return (1 - recipe.luma) * error.abs().mean() + recipe.luma * luma.abs().mean()
    squared = (1 - recipe.luma) * error.square().mean((1, 2, 3)) + recipe.luma * luma.square().mean((1, 2))
    return (squared / (errors + EASIEST)).mean()


@torch.no_grad()
def follow(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move the weights of `average` towards those of `model` by 1 - `decay`."""
    for kept, new in zip(average.parameters(), model.parameters(), strict=True):
        kept.lerp_(new, 1 - decay)


def inherit(model: nn.Module, weights: dict[str, Tensor]) -> None:
    """Take from `weights` what fits `model` by name and shape; the rest keeps its initialisation.

    Missing middle layers become exact identities: behind a ReLU1 they change nothing, so a deeper network
    starts with the quality of the shallower one that it grew from.
    """
    own = model.state_dict()
    fitting = {name: value for name, value in weights.items() if name in own and own[name].shape == value.shape}
    if "conv_first.weight" not in fitting:
        raise TrainError("the checkpoint to start from belongs to another architecture")
    for name, value in own.items():
        if name.startswith("conv_mid.") and name not in fitting:
            value.zero_()
            if value.ndim == 4:
                value[range(len(value)), range(len(value)), 1, 1] = 1
            own[name] = value
    model.load_state_dict({**own, **fitting})


def score(model: nn.Module, images: list[tuple[np.ndarray, np.ndarray]], measure: Callable) -> float:
    """Mean of `measure(result, truth)` over pairs of 8-bit RGB images (low, high)."""
    model.eval()
    scores = []
    with torch.inference_mode():
        for low, high in images:
            image = torch.from_numpy(low.transpose(2, 0, 1).astype(np.float32) / 255)[None]
            result = (model(image)[0] * 255).round().byte().numpy().transpose(1, 2, 0)
            scores.append(measure(result, high))
    return float(np.mean(scores))


def _load(path: Path) -> dict:
    try:
        return torch.load(path, weights_only=True, map_location="cpu")
    except (OSError, RuntimeError, KeyError, EOFError, UnpicklingError) as cause:
        raise TrainError(f"cannot read the checkpoint {path}; train it, or remove the damaged file") from cause


def _save(path: Path, model: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer, step: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".part")
    state = {
        "model": model.state_dict(),
        "average": average.state_dict(),
        "optimiser": optimiser.state_dict(),
        "step": step,
    }
    torch.save(state, beside)
    beside.replace(path)
