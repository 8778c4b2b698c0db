"""Carried images pass every layer but the last as they are, while the network learns, ships and resumes."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from rtsr.errors import TrainError
from rtsr.models import build
from rtsr.models.quicksrnet import QuickSRNet
from rtsr.train.carry import carry
from rtsr.train.loop import train
from rtsr.train.objectives import objective_of
from rtsr.train.recipe import Recipe, read_recipe
from rtsr.train.state import begin
from tests.train.pictures import resumes_exactly, small_crops

RECIPE = Recipe("tiny", "quicksrnet-medium", Fraction(2), "photo", ("photos",), steps=40, batch=4, patch=16, carry=True)


@pytest.mark.parametrize("width", [0, 48])
def test_what_ships_has_learned_and_still_carries_the_image(tmp_path: Path, width: int) -> None:
    recipe = replace(RECIPE, expand=width, average=0.0)
    assert train(recipe, small_crops(recipe), tmp_path / "c.pt", lambda _: "", lambda _: None)
    state = begin(recipe, None, "cpu")
    untrained = state.average.state_dict()["conv_mid.2.weight"].clone()
    state.load(tmp_path / "c.pt")
    shipped = state.average.eval()
    assert isinstance(shipped, QuickSRNet)
    image = torch.rand(2, 3, 16, 16)
    with torch.inference_mode():
        assert torch.equal(shipped.features(image)[:, :3], image)
        assert torch.allclose(shipped(image), state.model.eval()(image), atol=1e-6)
    moved = (shipped.state_dict()["conv_mid.2.weight"] - untrained).abs().amax((1, 2, 3))
    assert not moved[:3].any() and moved[3:].all()


def test_without_it_the_image_changes_on_its_way(tmp_path: Path) -> None:
    recipe = replace(RECIPE, carry=False, average=0.0)
    assert train(recipe, small_crops(recipe), tmp_path / "c.pt", lambda _: "", lambda _: None)
    state = begin(recipe, None, "cpu")
    state.load(tmp_path / "c.pt")
    with pytest.raises(TrainError, match="leave it out, or start from nothing"):
        carry(state.average)


def test_a_phase_goes_on_from_one_that_carried_and_lets_go() -> None:
    first = begin(RECIPE, None, "cpu").average.state_dict()
    further = begin(RECIPE, first, "cpu")
    assert all(torch.equal(further.average.state_dict()[name], value) for name, value in first.items())
    free = begin(replace(RECIPE, carry=False), first, "cpu")
    assert type(free.model.get_submodule("conv_mid.0")) is torch.nn.Conv2d


def test_a_stopped_run_resumes_to_the_same_weights(tmp_path: Path) -> None:
    assert resumes_exactly(RECIPE, tmp_path)


@pytest.mark.parametrize("arch", ["rlfn-s", "enaf-quicksrnet-medium"])
def test_networks_without_such_channels_are_refused_before_anything_is_trained(arch: str) -> None:
    with pytest.raises(TrainError, match="leave out carry"):
        objective_of(replace(RECIPE, arch=arch), build(arch, Fraction(2)))


def test_what_was_let_go_is_not_carried_again(tmp_path: Path) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text(
        'arch = "quicksrnet-small"\nscale = 2\nflavour = "photo"\nphotos = ["p"]\n'
        "[[phases]]\nsteps = 5\n[[phases]]\nsteps = 5\ncarry = true\n"
    )
    with pytest.raises(TrainError, match=r"r\.toml: carry is for the first phases"):
        read_recipe(recipe)


def test_it_is_yes_or_no(tmp_path: Path) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text('arch = "quicksrnet-small"\nscale = 2\nflavour = "photo"\nphotos = ["p"]\ncarry = 1\n')
    with pytest.raises(TrainError, match=r"r\.toml: carry has the wrong type: 1"):
        read_recipe(recipe)
    recipe.write_text(recipe.read_text().replace("carry = 1", "carry = true"))
    assert read_recipe(recipe).carry
