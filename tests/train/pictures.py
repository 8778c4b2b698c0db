"""Small pictures to train on, and whether a run on them resumes exactly."""

from pathlib import Path

import numpy as np
import torch

from rtsr.quality.imresize import imresize
from rtsr.train.crops import Crops, Example
from rtsr.train.loop import train
from rtsr.train.recipe import Recipe


def small_crops(recipe: Recipe, side: int = 96) -> Crops:
    """Crops of three smooth square pictures, `side` pixels high at high resolution."""
    random, low = np.random.default_rng(4), int(side / recipe.scale)
    highs = [imresize(random.integers(0, 256, (side // 4, side // 4, 3), np.uint8), side, side) for _ in range(3)]
    return Crops([Example(high, (imresize(high, low, low),), 1.0) for high in highs], recipe)


def resumes_exactly(recipe: Recipe, folder: Path) -> bool:
    """Whether a run that was stopped ends with the same averaged weights as one that was not; writes to `folder`."""
    crops = small_crops(recipe)
    assert train(recipe, crops, folder / "whole.pt", lambda _: "", lambda _: None)
    assert not train(recipe, crops, folder / "half.pt", lambda _: "", lambda _: None, minutes=1e-9)
    assert train(recipe, crops, folder / "half.pt", lambda _: "", lambda _: None)
    whole, half = (torch.load(folder / f"{name}.pt", weights_only=True)["average"] for name in ("whole", "half"))
    return all(torch.equal(whole[name], half[name]) for name in whole)
