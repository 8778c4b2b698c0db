"""Training learns, resumes exactly and says what is wrong with its files."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from rtsr.errors import TrainError
from rtsr.imresize import imresize
from rtsr.models import build
from rtsr.train.crops import Crops, Example
from rtsr.train.inherit import inherit
from rtsr.train.loop import train
from rtsr.train.losses import fidelity
from rtsr.train.recipe import Recipe, read_recipe

RECIPE = Recipe("tiny", "quicksrnet-small", Fraction(2), "photo", ("photos",), steps=60, batch=4, patch=16, average=0.8)


@pytest.fixture(scope="module")
def crops() -> Crops:
    random = np.random.default_rng(4)
    highs = [imresize(random.integers(0, 256, (24, 24, 3), np.uint8), 96, 96) for _ in range(3)]
    return Crops([Example(high, (imresize(high, 48, 48),), 1.0) for high in highs], RECIPE)


def averaged(checkpoint: Path) -> torch.nn.Module:
    model = build(RECIPE.arch, RECIPE.scale).eval()
    model.load_state_dict(torch.load(checkpoint, weights_only=True)["average"])
    return model


def error(model: torch.nn.Module, crops: Crops) -> float:
    low, high, _ = (torch.from_numpy(side) for side in crops.batch(10_000))
    with torch.inference_mode():
        return float((model(low) - high).square().mean())


@pytest.mark.parametrize("loss", ["l1", "relative"])
def test_learns(crops: Crops, tmp_path: Path, loss: str) -> None:
    lines: list[str] = []
    recipe = replace(RECIPE, loss=loss)
    assert train(recipe, crops, tmp_path / "c.pt", lambda model: f"{error(model, crops)}", lines.append, every=20)
    assert error(averaged(tmp_path / "c.pt"), crops) < 0.8 * error(build(recipe.arch, recipe.scale), crops)
    assert len(lines) == 3 and "step 60/60" in lines[-1] and "steps/s" in lines[-1]


def test_a_stopped_run_resumes_to_the_same_weights(crops: Crops, tmp_path: Path) -> None:
    assert train(RECIPE, crops, tmp_path / "whole.pt", lambda _: "", lambda _: None)
    assert not train(RECIPE, crops, tmp_path / "half.pt", lambda _: "", lambda _: None, minutes=1e-9)
    assert torch.load(tmp_path / "half.pt", weights_only=True)["step"] == 1
    assert train(RECIPE, crops, tmp_path / "half.pt", lambda _: "", lambda _: None)
    whole, resumed = averaged(tmp_path / "whole.pt"), averaged(tmp_path / "half.pt")
    assert all((a == b).all() for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


def test_a_deeper_network_starts_at_the_quality_of_the_shallower() -> None:
    small = build("quicksrnet-small", Fraction(2))
    with torch.no_grad():
        for weights in small.parameters():
            weights += 0.02 * torch.randn(weights.shape, generator=torch.Generator().manual_seed(1))
    medium = build("quicksrnet-medium", Fraction(2))
    inherit(medium, small.state_dict())
    image = torch.rand(1, 3, 20, 24)
    torch.testing.assert_close(medium(image), small(image), rtol=0, atol=1e-6)


def test_weights_of_another_architecture_are_refused() -> None:
    with pytest.raises(TrainError, match="another architecture"):
        inherit(build("quicksrnet-small", Fraction(2)), build("quicksrnet-large", Fraction(2)).state_dict())


def test_a_damaged_checkpoint_is_named(crops: Crops, tmp_path: Path) -> None:
    (tmp_path / "c.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(TrainError, match="cannot read the checkpoint"):
        train(RECIPE, crops, tmp_path / "c.pt", lambda _: "", lambda _: None)


def test_the_losses_vanish_only_at_the_truth() -> None:
    truth = torch.rand(2, 3, 8, 8)
    for loss in ("l1", "relative"):
        recipe = replace(RECIPE, loss=loss)
        losses = [fidelity(truth + off, truth, torch.tensor([0.01, 0.02]), recipe) for off in (0, 0.01, 0.1)]
        assert losses[0] == 0 and losses[0] < losses[1] < losses[2]


def test_the_relative_loss_weighs_a_picture_by_how_easy_it_is() -> None:
    truth = torch.rand(1, 3, 8, 8)
    recipe = replace(RECIPE, loss="relative")
    easy, hard = (float(fidelity(truth + 0.01, truth, torch.tensor([error]), recipe)) for error in (1e-3, 1e-2))
    assert easy == pytest.approx(10 * hard, rel=0.02)


def test_the_learning_rate_is_held_then_falls_to_zero() -> None:
    recipe = replace(RECIPE, steps=100, hold=0.3)
    assert [recipe.pace(step) for step in (0, 30)] == [1.0, 1.0]
    assert recipe.pace(65) == pytest.approx(0.5) and recipe.pace(100) == pytest.approx(0)


def test_shipped_recipes_are_valid() -> None:
    recipes = [read_recipe(path) for path in Path(__file__).parents[2].glob("recipes/*.toml")]
    assert len(recipes) >= 8
    phases = [phase for recipe in recipes for phase in recipe.phases]
    names = {phase.name for phase in phases}
    assert all(phase.start in names for phase in phases if phase.start)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("scale = 2", "arch"),
        ('arch = "quicksrnet-small"\nscale = 2\nflavour = "photo"\nphotos = ["p"]\nspeed = 9', "unknown"),
        ('arch = "quicksrnet-small"\nscale = 2\nflavour = "film"\nphotos = ["p"]', "flavour"),
        ('arch = "quicksrnet-small"\nscale = 2\nflavour = "photo"', "images"),
        ('arch = "quicksrnet-small"\nscale = "3/2"\nflavour = "photo"\nphotos = ["p"]\npatch = 41', "multiple of 2"),
        ("arch = ", "cannot read"),
    ],
)
def test_wrong_recipes_are_named(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(TrainError, match=says):
        read_recipe(tmp_path / "r.toml")
