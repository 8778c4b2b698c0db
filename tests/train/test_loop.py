"""Training learns, resumes exactly and says what is wrong with its files."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from rtsr.errors import TrainError
from rtsr.models import build
from rtsr.train.crops import Crops
from rtsr.train.loop import train
from rtsr.train.recipe import Recipe
from tests.train.pictures import small_crops

RECIPE = Recipe("tiny", "quicksrnet-small", Fraction(2), "photo", ("photos",), steps=60, batch=4, patch=16, average=0.8)


@pytest.fixture(scope="module")
def crops() -> Crops:
    return small_crops(RECIPE)


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


def test_a_damaged_checkpoint_is_named(crops: Crops, tmp_path: Path) -> None:
    (tmp_path / "c.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(TrainError, match="cannot read the checkpoint"):
        train(RECIPE, crops, tmp_path / "c.pt", lambda _: "", lambda _: None)
