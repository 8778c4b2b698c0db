"""Channels that clipped activations would keep from learning come back to life while a network trains."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from rtsr.errors import TrainError
from rtsr.models import build
from rtsr.models.quicksrnet import QuickSRNet, ReLU1
from rtsr.train.alive import Alive
from rtsr.train.loop import train
from rtsr.train.objectives import objective_of
from rtsr.train.recipe import Recipe
from tests.train.pictures import resumes_exactly, small_crops

RECIPE = Recipe("tiny", "quicksrnet-small", Fraction(2), "photo", ("photos",), steps=40, batch=4, patch=16, alive=0.01)
DEAD = 5


def with_a_dead_channel(bias: float) -> QuickSRNet:
    model = build("quicksrnet-small", Fraction(2))
    assert isinstance(model, QuickSRNet) and model.conv_first.bias is not None
    with torch.no_grad():
        model.conv_first.bias[DEAD] = bias
    return model.train()


@pytest.mark.parametrize("beyond", [-3.0, 3.0])
def test_a_dead_channel_is_drawn_back(beyond: float) -> None:
    model = with_a_dead_channel(beyond)
    alive = Alive(model, 1.0)
    model(torch.rand(2, 3, 16, 16)).square().mean().backward(retain_graph=True)
    bias = model.conv_first.bias
    assert bias is not None and bias.grad is not None and bias.grad[DEAD] == 0
    penalty = alive.penalty()
    assert penalty > 1
    penalty.backward()
    assert torch.sign(bias.grad[DEAD]) == torch.sign(torch.tensor(beyond))


def test_channels_that_do_something_are_left_alone() -> None:
    clip = ReLU1()
    alive = Alive(clip, 1.0)
    levels = torch.rand(2, 4, 64, 64)
    assert torch.equal(clip(levels), levels)
    clip(2 * torch.randn(2, 4, 64, 64))
    assert alive.penalty() == 0
    clip(levels - 3)
    assert alive.penalty() > 4


def test_nothing_dies_in_training(tmp_path: Path) -> None:
    died = {}
    for weight in (0.0, 0.01):
        # Far too high a rate: at half of it few channels die even without the penalty.
        recipe = replace(RECIPE, alive=weight, steps=150, lr=2e-2, average=0.0)
        checkpoint = tmp_path / f"{weight}.pt"
        assert train(recipe, small_crops(recipe), checkpoint, lambda _: "", lambda _: None)
        model = build(recipe.arch, recipe.scale)
        model.load_state_dict(torch.load(checkpoint, weights_only=True)["average"])
        assert isinstance(model, QuickSRNet)
        low = torch.from_numpy(small_crops(recipe).batch(0)[0])
        with torch.inference_mode():
            first = model.conv_first(low)
        died[weight] = idle_of(first)
    assert died[0.0] > 8 and died[0.01] == 0


def idle_of(first: torch.Tensor) -> int:
    """Channels that are at the same limit in every pixel."""
    flat = first.transpose(0, 1).flatten(1)
    return int(((flat <= 0).all(1) | (flat >= 1).all(1)).sum())


@pytest.mark.parametrize("arch", ["quicksrnet-small", "enaf-quicksrnet-medium"])
def test_without_a_weight_nothing_is_watched(arch: str) -> None:
    for weight, watched in ((0.0, False), (1.0, True)):
        model = build(arch, Fraction(2)).train()
        alive = Alive(model, weight)
        model(torch.rand(1, 3, 16, 16) - 9)
        assert bool(alive.penalty() > 0) is watched


def test_a_stopped_run_resumes_to_the_same_weights(tmp_path: Path) -> None:
    assert resumes_exactly(RECIPE, tmp_path)


def test_what_has_no_such_channels_is_named() -> None:
    with pytest.raises(TrainError, match="alive is a weight"):
        replace(RECIPE, alive=-0.1)
    with pytest.raises(TrainError, match="rlfn-s has no clipped activations"):
        objective_of(replace(RECIPE, arch="rlfn-s"), build("rlfn-s", Fraction(2)))


@pytest.mark.parametrize("phase", [{"objective": "estimator", "patch": 32}, {"objective": "exits", "backbone_lr": 0.0}])
def test_phases_that_do_not_train_the_backbone_take_no_such_weight(phase: dict) -> None:
    recipe = replace(RECIPE, arch="enaf-quicksrnet-medium", **phase)
    with pytest.raises(TrainError, match="leave it out"):
        objective_of(recipe, build(recipe.arch, recipe.scale))
