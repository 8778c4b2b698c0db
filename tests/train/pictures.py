"""Small pictures to train on."""

import numpy as np

from rtsr.imresize import imresize
from rtsr.train.crops import Crops, Example
from rtsr.train.recipe import Recipe


def small_crops(recipe: Recipe) -> Crops:
    """Crops of three smooth pictures of 144x144 pixels that hold `recipe.patch`."""
    random = np.random.default_rng(4)
    low = int(144 / recipe.scale)
    highs = [imresize(random.integers(0, 256, (36, 36, 3), np.uint8), 144, 144) for _ in range(3)]
    return Crops([Example(high, (imresize(high, low, low),), 1.0) for high in highs], recipe)
