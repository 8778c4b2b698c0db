"""Small pictures to train on."""

import numpy as np

from rtsr.quality.imresize import imresize
from rtsr.train.crops import Crops, Example
from rtsr.train.recipe import Recipe


def small_crops(recipe: Recipe, side: int = 96) -> Crops:
    """Crops of three smooth square pictures, `side` pixels high at high resolution."""
    random, low = np.random.default_rng(4), int(side / recipe.scale)
    highs = [imresize(random.integers(0, 256, (side // 4, side // 4, 3), np.uint8), side, side) for _ in range(3)]
    return Crops([Example(high, (imresize(high, low, low),), 1.0) for high in highs], recipe)
