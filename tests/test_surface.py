"""Tiles see every sample that counts for their result, and parts of a frame become what they become in all of it."""

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


@pytest.mark.parametrize("scale", [Fraction(3, 2), Fraction(2), Fraction(3)])
@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize(("width", "height"), [(4102, 70), (71, 2163), (640, 128)])
def test_parts_become_what_they_become_in_the_whole(scale: Fraction, left: bool, width: int, height: int) -> None:
    random, surface = np.random.default_rng(2), Captured()
    shapes = [(height, width), *[(-(-height // 2), -(-width // 2))] * 2]
    y, u, v = (random.integers(0, 256, shape, np.uint8) for shape in shapes)
    frame = Frame(y, u, v, Colour("bt709", chroma_left=left))
    if not surface.local(frame, scale):
        assert scale == 3 or not left
        return
    whole, made, rgb = surface.enlarge(frame, scale), surface.enlarge(frame, scale), surface.rgb(frame)
    for plane in made:
        plane[...] = 0
    grid = Grid(width, height, 64)
    for row, column in np.ndindex(grid.rows, grid.columns):
        rect = grid.rect(row, column)
        seen = window(rect, 6, grid, 4 * scale.denominator)
        part = surface.crop(frame, seen)
        surface.copy(rect, seen, scale, surface.enlarge(part, scale), made)
        inner = slice(rect.y - seen.y, rect.y - seen.y + rect.h), slice(rect.x - seen.x, rect.x - seen.x + rect.w)
        assert (surface.rgb(part)[0][:, *inner] == rgb[0][:, *rect.pixels]).all()
    for a, b in zip(made, whole, strict=True):
        assert (a == b).all()
