"""Tiles of a frame, and the rectangles that tiles with the same exit are joined to.

A network sees a region's window: the region and a halo of its radius around it, cut off at the frame's borders,
where the network sees what it sees of a whole frame. The halo is work done twice, and larger rectangles have
less of it; all tiles at one exit become the whole frame. Pure functions; lengths are in source pixels.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Rect:
    """A rectangle of the source frame."""

    x: int
    y: int
    w: int
    h: int

    def __post_init__(self) -> None:
        if self.w <= 0 or self.h <= 0:
            raise ValueError(f"a rectangle needs area, got {self.w}x{self.h}")

    @property
    def area(self) -> int:
        return self.w * self.h

    @property
    def pixels(self) -> tuple[slice, slice]:
        """Rows and columns."""
        return slice(self.y, self.y + self.h), slice(self.x, self.x + self.w)


@dataclass(frozen=True, slots=True)
class Grid:
    """A frame cut into tiles of `side`, row by row; the last of a row or column is half of that to one and a half."""

    width: int
    height: int
    side: int

    @property
    def columns(self) -> int:
        return _count(self.width, self.side)

    @property
    def rows(self) -> int:
        return _count(self.height, self.side)

    def rect(self, row: int, column: int, rows: int = 1, columns: int = 1) -> Rect:
        """The rectangle of `rows` x `columns` tiles whose first is at `row`, `column`."""
        x, y = column * self.side, row * self.side
        right = self.width if column + columns == self.columns else x + columns * self.side
        bottom = self.height if row + rows == self.rows else y + rows * self.side
        return Rect(x, y, right - x, bottom - y)

    def rect_of(self, region: "Region") -> Rect:
        """The rectangle of the tiles of `region`."""
        return self.rect(region.row, region.column, region.rows, region.columns)

    def areas(self) -> NDArray[np.intp]:
        """Pixels of every tile, (rows, columns)."""
        return np.outer(*(np.diff(_edges(length, self.side)) for length in (self.height, self.width)))


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle of tiles."""

    row: int
    column: int
    rows: int
    columns: int

    @property
    def tiles(self) -> tuple[slice, slice]:
        """Its place in an array with one entry a tile."""
        return slice(self.row, self.row + self.rows), slice(self.column, self.column + self.columns)

    def halves(self) -> tuple["Region", "Region"]:
        """Two regions, cut across the longer side; of more than one tile."""
        row, column, rows, columns = self.row, self.column, self.rows, self.columns
        if rows > columns:
            cut = rows // 2
            return Region(row, column, cut, columns), Region(row + cut, column, rows - cut, columns)
        cut = columns // 2
        return Region(row, column, rows, cut), Region(row, column + cut, rows, columns - cut)


def join(chosen: NDArray[np.bool_], most: int) -> list[Region]:
    """Disjoint rectangles of at most `most` tiles that cover the `chosen` tiles, (rows, columns), and no other.

    Greedy: from the first tile that is left, as far right as it goes, then as far down.
    """
    left, found = chosen.tolist(), []
    rows, columns = chosen.shape
    for row, column in np.argwhere(chosen).tolist():
        line = left[row]
        if not line[column]:
            continue
        across = down = 1
        while column + across < columns and across < most and line[column + across]:
            across += 1
        part = slice(column, column + across)
        while row + down < rows and across * (down + 1) <= most and all(left[row + down][part]):
            down += 1
        for taken in left[row : row + down]:
            taken[part] = [False] * across
        found.append(Region(row, column, down, across))
    return found


def window(rect: Rect, halo: int, grid: Grid, multiple: int = 1) -> Rect:
    """What a network must see to compute `rect`: `halo` more on each side, sides and place multiples of `multiple`.

    The frame's sides are multiples of it, too.
    """
    left, top = (max(0, start - halo) // multiple * multiple for start in (rect.x, rect.y))
    right = min(grid.width, -(-(rect.x + rect.w + halo) // multiple) * multiple)
    bottom = min(grid.height, -(-(rect.y + rect.h + halo) // multiple) * multiple)
    return Rect(left, top, right - left, bottom - top)


def spans(length: int, side: int, halo: int, multiple: int = 1) -> tuple[list[int], list[int]]:
    """Where `window` begins and ends along a grid's `length`, by the first tile and by the last one of a rectangle."""
    edges = _edges(length, side).tolist()
    starts = [max(0, edge - halo) // multiple * multiple for edge in edges[:-1]]
    return starts, [min(length, -(-(edge + halo) // multiple) * multiple) for edge in edges[1:]]


def changed(
    before: NDArray, now: NDArray, grid: Grid, halo: int, factors: tuple[int, int] = (1, 1)
) -> NDArray[np.bool_]:
    """Which tiles, each with `halo` around it, differ in any pixel between two planes of one size.

    `factors` are the grid's rows and columns for each of the planes' (chroma). Exact, not a guess.
    """
    (tops, bottoms), (lefts, rights) = _samples(before.shape, grid, halo, factors)
    differs = before != now
    rows = np.array([differs[top:bottom].any(axis=0) for top, bottom in zip(tops, bottoms, strict=True)])
    columns = [rows[:, left:right].any(axis=1) for left, right in zip(lefts, rights, strict=True)]
    return np.array(columns).T


def window_sums(plane: NDArray, grid: Grid) -> NDArray:
    """Sum of `plane`, uint8 or float32, over every tile, (rows, columns); from one summed-area table."""
    table = np.asarray(cv2.integral(plane))
    (top, bottom), (left, right) = _samples(plane.shape, grid)
    outer, inner = table[np.ix_(bottom, right)], table[np.ix_(top, left)]
    return outer - table[np.ix_(top, right)] - table[np.ix_(bottom, left)] + inner


def _samples(
    shape: tuple[int, ...], grid: Grid, halo: int = 0, factors: tuple[int, int] = (1, 1)
) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Where tiles with `halo` around them begin and end in a plane of `shape`, down and across."""
    found = []
    for side, limit, factor in zip((grid.height, grid.width), shape, factors, strict=True):
        edges = _edges(side, grid.side)
        starts, ends = (edges[:-1] - halo) // factor, -(-(edges[1:] + halo) // factor)
        found.append((np.maximum(starts, 0), np.minimum(ends, limit)))
    return found


def _count(length: int, side: int) -> int:
    """How many tiles of `side` there are along `length`: a thin rest would be mostly halo, and goes to the last."""
    return max(1, (length + side // 2) // side)


def _edges(length: int, side: int) -> NDArray[np.intp]:
    """Where tiles begin along `length`, and the end of the last."""
    return np.array([*range(0, _count(length, side) * side, side), length])
