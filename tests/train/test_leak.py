"""Clipped activations leak while a network trains, so that dead channels learn; what ships is clipped."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from rtsr.errors import TrainError
from rtsr.models import build
from rtsr.models.quicksrnet import ReLU1
from rtsr.train.loop import train
from rtsr.train.objectives import objective_of
from rtsr.train.recipe import Recipe
from rtsr.train.state import begin
from tests.train.pictures import small_crops

RECIPE = Recipe("tiny", "quicksrnet-small", Fraction(2), "photo", ("photos",), steps=40, batch=4, patch=16, leak=0.1)
DEAD = 5


@pytest.mark.parametrize("leak", [0.0, 0.1])
@pytest.mark.parametrize("beyond", [-9.0, 9.0])
def test_a_dead_channel_learns_only_while_it_leaks(leak: float, beyond: float) -> None:
    state = begin(replace(RECIPE, leak=leak), None, "cpu")
    state.set_leak(leak)
    first = state.model.get_submodule("conv_first")
    assert isinstance(first, torch.nn.Conv2d) and first.bias is not None
    with torch.no_grad():
        first.bias[DEAD] = beyond
        for weights in state.model.parameters():
            weights += 0.01 * torch.randn_like(weights)  # The last layer starts out reading three channels only.
    state.model.train()(torch.rand(2, 3, 16, 16)).square().mean().backward()
    assert first.weight.grad is not None
    assert bool(first.weight.grad[DEAD].any()) is bool(leak)
    assert first.weight.grad[:3].any()


def test_the_slope_falls_to_nothing_before_the_end() -> None:
    recipe = replace(RECIPE, steps=100)
    assert recipe.slope(0) == pytest.approx(0.1)
    assert recipe.slope(35) == pytest.approx(0.05)
    assert [recipe.slope(step) for step in (70, 99)] == [0, 0]


@pytest.mark.parametrize("arch", ["quicksrnet-small", "enaf-quicksrnet-medium"])
def test_what_ships_is_clipped(arch: str) -> None:
    recipe = replace(RECIPE, arch=arch)
    state = begin(recipe, None, "cpu")
    state.set_leak(recipe.slope(0))
    activations = [[m for m in model.modules() if isinstance(m, ReLU1)] for model in (state.model, state.average)]
    assert [module.leak for module in activations[0]] == [0.1]
    assert [module.leak for module in activations[1]] == [0.0]
    levels = torch.tensor([-2.0, 0.25, 3.0])
    assert activations[0][0](levels).tolist() == pytest.approx([-0.2, 0.25, 1.2])
    assert activations[1][0](levels).tolist() == [0, 0.25, 1]


def test_a_stopped_run_resumes_to_the_same_weights(tmp_path: Path) -> None:
    crops = small_crops(RECIPE)
    assert train(RECIPE, crops, tmp_path / "whole.pt", lambda _: "", lambda _: None)
    assert not train(RECIPE, crops, tmp_path / "half.pt", lambda _: "", lambda _: None, minutes=1e-9)
    assert train(RECIPE, crops, tmp_path / "half.pt", lambda _: "", lambda _: None)
    whole, half = (torch.load(tmp_path / f"{name}.pt", weights_only=True)["average"] for name in ("whole", "half"))
    assert all(torch.equal(whole[name], half[name]) for name in whole)
    assert not train_without_leak(tmp_path, whole)


def train_without_leak(folder: Path, leaky: dict[str, torch.Tensor]) -> bool:
    """Whether training without a leak ends at the weights `leaky`."""
    recipe = replace(RECIPE, leak=0.0)
    assert train(recipe, small_crops(recipe), folder / "dry.pt", lambda _: "", lambda _: None)
    dry = torch.load(folder / "dry.pt", weights_only=True)["average"]
    return all(torch.equal(dry[name], leaky[name]) for name in leaky)


def test_what_cannot_leak_is_named() -> None:
    with pytest.raises(TrainError, match="leak is a slope between 0 and 1"):
        replace(RECIPE, leak=-0.1)
    with pytest.raises(TrainError, match="rlfn-s has no clipped activations"):
        objective_of(replace(RECIPE, arch="rlfn-s"), build("rlfn-s", Fraction(2)))
