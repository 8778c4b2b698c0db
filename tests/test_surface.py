"""A changed sample of a frame is seen by every tile for whose result it counts."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from rtsr.frame import Colour, Frame
from rtsr.regions import Grid, window
from rtsr.surface import Captured

GRID = Grid(96, 64, 32)
SCALE = Fraction(2)


@pytest.mark.parametrize("plane", ["y", "u", "v"])
@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("halo", [0, 1, 2, 5, 8])
def test_tiles_see_all_that_their_pixels_are_made_of(plane: str, left: bool, halo: int) -> None:
    random, surface = np.random.default_rng(1), Captured()
    shapes = {"y": (64, 96), "u": (32, 48), "v": (32, 48)}
    planes = {name: random.integers(60, 180, shape, np.uint8) for name, shape in shapes.items()}
    before = Frame(**planes, colour=Colour("bt709", chroma_left=left))
    corner = GRID.side // (1 if plane == "y" else 2)
    for place in np.argwhere(np.ones((28, 28))) + corner - 14:  # Around the corner of four tiles.
        other = planes[plane].copy()
        other[tuple(place)] ^= 64
        now = replace(before, **{plane: other})
        found = surface.changed(before, now, GRID, halo)
        seen = (surface.rgb(before) != surface.rgb(now)).any((0, 1))
        larger = [a != b for a, b in zip(surface.enlarge(before, SCALE), surface.enlarge(now, SCALE), strict=True)]
        for row, column in np.argwhere(~found):
            rect = GRID.rect(row, column)
            assert not seen[window(rect, halo, GRID).pixels].any()
            for changed, step in zip(larger, (2, 1, 1), strict=True):
                rows, columns = (slice(s.start * step, s.stop * step) for s in rect.pixels)
                assert not changed[rows, columns].any()
