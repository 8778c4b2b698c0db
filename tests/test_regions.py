"""Tiles, windows and rectangles cover a frame exactly, and a change is seen wherever it matters."""

import numpy as np
import pytest

from rtsr.regions import Grid, Rect, Region, changed, join, spans, window


def test_a_grid_covers_the_frame_once_and_a_thin_rest_goes_to_the_last() -> None:
    grid = Grid(100, 70, 32)
    seen = np.zeros((70, 100), int)
    for row in range(grid.rows):
        for column in range(grid.columns):
            rect = grid.rect(row, column)
            seen[rect.pixels] += 1
            assert grid.areas()[row, column] == rect.area
    assert (seen == 1).all() and (grid.rows, grid.columns) == (2, 3)
    assert grid.rect(1, 2) == Rect(64, 32, 36, 38) and Grid(20, 10, 32).rect(0, 0) == Rect(0, 0, 20, 10)


@pytest.mark.parametrize("seed", range(30))
def test_joined_rectangles_are_the_chosen_tiles(seed: int) -> None:
    random = np.random.default_rng(seed)
    chosen = random.random((7, 11)) < random.random()
    most = int(random.integers(1, 30))
    covered = np.zeros(chosen.shape, int)
    for region in join(chosen, most):
        covered[region.tiles] += 1
        assert region.rows * region.columns <= most
    assert (covered == chosen).all()


def test_all_tiles_become_one_rectangle_and_scattered_ones_stay_apart() -> None:
    assert join(np.ones((5, 8), bool), 40) == [Region(0, 0, 5, 8)]
    assert len(join(np.eye(4, dtype=bool), 16)) == 4
    assert join(np.zeros((3, 3), bool), 9) == []


def test_windows_stay_inside_the_frame_and_on_even_pixels() -> None:
    grid = Grid(100, 70, 32)
    assert window(grid.rect(0, 0), 7, grid, 2) == Rect(0, 0, 40, 40)
    assert window(grid.rect(1, 1), 7, grid, 2) == Rect(24, 24, 48, 46)
    assert window(grid.rect(0, 0, 2, 3), 7, grid, 2) == Rect(0, 0, 100, 70)


@pytest.mark.parametrize("multiple", [1, 2, 6])
def test_spans_are_those_of_windows(multiple: int) -> None:
    grid, halo = Grid(96, 66, 32), 7
    (left, right), (top, bottom) = (spans(side, grid.side, halo, multiple) for side in (grid.width, grid.height))
    for row, column in np.ndindex(grid.rows, grid.columns):
        for rows, columns in np.ndindex(grid.rows - row, grid.columns - column):
            seen = window(grid.rect(row, column, rows + 1, columns + 1), halo, grid, multiple)
            assert (left[column], top[row]) == (seen.x, seen.y)
            assert (right[column + columns], bottom[row + rows]) == (seen.x + seen.w, seen.y + seen.h)


@pytest.mark.parametrize("factor", [1, 2])
@pytest.mark.parametrize("seed", range(20))
def test_a_changed_pixel_is_seen_by_the_tiles_that_look_at_it(seed: int, factor: int) -> None:
    random = np.random.default_rng(seed)
    grid, halo = Grid(90, 62, 16), int(random.integers(0, 20))
    height, width = -(-62 // factor), -(-90 // factor)
    before = random.integers(0, 256, (height, width), np.uint8)
    now = before.copy()
    y, x = int(random.integers(height)), int(random.integers(width))
    now[y, x] ^= 1
    found = changed(before, now, grid, halo, (factor, factor))
    for row in range(grid.rows):
        for column in range(grid.columns):
            seen = window(grid.rect(row, column), halo, grid).pixels
            inside = [s.start // factor <= p < -(-s.stop // factor) for s, p in zip(seen, (y, x), strict=True)]
            assert found[row, column] == all(inside)


def test_nothing_changed() -> None:
    plane = np.full((40, 50), 9, np.uint8)
    assert not changed(plane, plane.copy(), Grid(50, 40, 16), 8).any()
