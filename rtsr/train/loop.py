"""The training loop: resumes where it stopped, averages the weights, scores itself while it runs."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from rtsr.models.multi_exit import MultiExit
from rtsr.train.alive import Alive
from rtsr.train.crops import Crops
from rtsr.train.hardware import Hardware
from rtsr.train.objectives import Batch
from rtsr.train.recipe import Recipe
from rtsr.train.state import begin

CPU = Hardware()


def train(
    recipe: Recipe,
    crops: Crops,
    checkpoint: Path,
    evaluate: Callable[[nn.Module], str],
    log: Callable[[str], None],
    every: int = 2000,
    minutes: float | None = None,
    start: dict[str, Tensor] | None = None,
    hardware: Hardware = CPU,
) -> bool:
    """Train, from `checkpoint` if it exists, else from the weights `start`, until the last step or for `minutes`.

    `checkpoint` is rewritten every `every` steps, with the time that they took, see `rtsr.train.state`. Batch n is the
    same in every run, so a resumed run equals an uninterrupted one. `evaluate` says for the log how good the averaged
    network is. Returns whether the last step was reached.
    """
    hardware.prepare()
    state = begin(recipe, None if checkpoint.exists() else start, hardware.device)
    if checkpoint.exists():
        state.load(checkpoint)
        log(f"resumed at step {state.step}")
    state.model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    alive = Alive(state.model, recipe.alive)
    watch, name = Stopwatch(state.step), hardware.describe()
    for step in range(state.step, recipe.steps):
        state.set_pace(recipe.pace(step))
        batch = watch.waiting_for(lambda step=step: load(crops, step, hardware.device))
        seed_chance(recipe.seed, step)
        with hardware.autocast():
            loss = state.objective.loss(state.model, batch, step)
            if recipe.alive:
                loss = loss + alive.penalty()
        state.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        state.optimiser.step()
        state.follow(min(recipe.average, (1 + step) / (10 + step)))
        state.step = step + 1
        last, late = state.step == recipe.steps, minutes is not None and watch.minutes > minutes
        if state.step % every == 0 or last or late:
            state.spent[name] = state.spent.get(name, 0.0) + watch.lap()
            state.save(checkpoint)
            scored, pace = evaluate(state.objective.shown(state.average)), watch.summary(state.step)
            log(f"step {state.step}/{recipe.steps}  loss {loss.item():.5f}  {scored}  {pace}")
        if late and not last:
            return False
    return True


def seed_chance(seed: int, step: int) -> None:
    """Seed PyTorch's generators by `seed` and `step` alone, so that noise, too, is the same in a resumed run."""
    torch.manual_seed(int(np.random.SeedSequence((seed, step)).generate_state(1)[0]))


def load(crops: Crops, step: int, device: str) -> Batch:
    """The batch of `step` on `device`."""
    low, high, errors = (torch.from_numpy(side).to(device) for side in crops.batch(step))
    return Batch(low.to(memory_format=torch.channels_last), high, errors)


class Stopwatch:
    """How long a run has taken, and how much of it it waited for data."""

    def __init__(self, step: int) -> None:
        self.first, self.began, self.waited = step, time.monotonic(), 0.0
        self.lapped = self.began

    @property
    def minutes(self) -> float:
        return (time.monotonic() - self.began) / 60

    def lap(self) -> float:
        """Seconds since the last lap, or since the start."""
        before, self.lapped = self.lapped, time.monotonic()
        return self.lapped - before

    def waiting_for(self, data: Callable[[], Batch]) -> Batch:
        """What `data` gives; its time counts as waiting."""
        asked = time.monotonic()
        batch = data()
        self.waited += time.monotonic() - asked
        return batch

    def summary(self, step: int) -> str:
        """Steps per second up to `step`, and the share of the time that was spent waiting."""
        spent = time.monotonic() - self.began
        return f"{(step - self.first) / spent:.1f} steps/s  {self.waited / spent:.1%} waiting for data"


@torch.inference_mode()
def score(model: nn.Module, images: list[tuple[np.ndarray, np.ndarray]], measure: Callable) -> list[float]:
    """Mean of `measure(result, truth)` over pairs of 8-bit RGB images (low, high), for each exit."""
    model.eval()
    device = next(model.parameters()).device
    scores = []
    for low, high in images:
        image = torch.from_numpy(low.transpose(2, 0, 1).astype(np.float32) / 255)[None].to(device)
        results = model.every_exit(image) if isinstance(model, MultiExit) else [model(image)]
        levels = [(result[0].clamp(0, 1) * 255).round().byte().cpu().numpy() for result in results]
        scores.append([measure(level.transpose(1, 2, 0), high) for level in levels])
    return np.mean(scores, axis=0).tolist()
