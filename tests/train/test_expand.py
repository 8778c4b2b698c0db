"""Expanded convolutions begin as the plain ones, learn, ship collapsed, and resume exactly."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from rtsr.errors import TrainError
from rtsr.models import MODELS, build
from rtsr.train.expand import expand
from rtsr.train.loop import train
from rtsr.train.recipe import Recipe
from rtsr.train.state import begin
from tests.train.pictures import resumes_exactly, small_crops

RECIPE = Recipe("tiny", "quicksrnet-small", Fraction(2), "photo", ("photos",), steps=40, batch=4, patch=16, expand=48)


@pytest.mark.parametrize("arch", MODELS)
def test_nothing_changes_at_first(arch: str) -> None:
    model = build(arch, Fraction(4 if arch in ("enaf-fsrcnn", "enaf-carn", "enaf-srresnet") else 2)).eval()
    image = torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        before = model(image)
    expand(model, 16)
    with torch.inference_mode():
        assert torch.equal(model(image), before)


def test_what_ships_is_the_collapsed_network(tmp_path: Path) -> None:
    recipe = replace(RECIPE, average=0.0)
    assert train(recipe, small_crops(recipe), tmp_path / "c.pt", lambda _: "", lambda _: None)
    state = begin(recipe, None, "cpu")
    state.load(tmp_path / "c.pt")
    image = torch.rand(1, 3, 16, 16)
    assert type(state.average.get_submodule("conv_mid.0")) is torch.nn.Conv2d
    with torch.inference_mode():
        plain, wide = state.average.eval()(image), state.model.eval()(image)
    assert torch.allclose(plain, wide, atol=1e-6)
    assert not torch.allclose(plain, build(recipe.arch, recipe.scale).eval()(image), atol=1e-3)


def test_a_stopped_run_resumes_to_the_same_weights(tmp_path: Path) -> None:
    assert resumes_exactly(RECIPE, tmp_path)


def test_a_negative_width_is_an_error() -> None:
    with pytest.raises(TrainError, match="expand is a number of channels"):
        replace(RECIPE, expand=-1)
