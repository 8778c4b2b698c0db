"""Pictures through lanes: whole where the GPU's memory holds them, else tile by tile.

A tile's window overlaps its neighbours' by as far as the network looks, so that the result is the whole picture's.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, lcm
from typing import Self

import numpy as np
from numpy.typing import NDArray

from rtsr.card import Card
from rtsr.errors import OutOfMemory
from rtsr.nvidia.cuda import INSTEAD, OutOfGpuMemory, in_mib
from rtsr.nvidia.lanes import Arrays, Lanes, Ticket

SIDES = (1536, 1024, 768, 512, 384, 256, 192, 128)
"""Sides of windows that are tried one after the other, in input pixels."""
CHROMA = 4
"""How much further than the network planes look, in input pixels: chroma is interpolated before it, averaged behind."""


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a side of a picture, and the window around it that the network sees; in input pixels."""

    start: int
    stop: int
    seen: slice


@dataclass(frozen=True, slots=True)
class Cut:
    """How the tensors of a network lie in its picture, and where that can be cut."""

    scale: Fraction
    halo: int
    """How far a pixel looks, in input pixels."""
    multiple: int
    """Windows start at multiples of this."""
    inputs: tuple[int, ...] = (1,)
    """Pixels of the picture for one of each tensor, along a side: 2 for chroma."""
    outputs: tuple[int, ...] = (1,)

    @classmethod
    def rgb(cls, card: Card) -> Self:
        """Of "image" and "upscaled"."""
        multiple = lcm(card.size_multiple, card.alignment, card.scale.denominator)
        return cls(card.scale, _up(card.radius, multiple), multiple)

    @classmethod
    def planes(cls, card: Card) -> Self:
        """Of 8-bit 4:2:0 planes; both pictures are cut where chroma has a sample."""
        multiple = lcm(card.size_multiple, card.alignment, 2 * card.scale.denominator)
        return cls(card.scale, _up(card.radius + CHROMA, multiple), multiple, (1, 2, 2), (1, 2, 2))

    def spans(self, length: int, side: int) -> tuple[Span, ...]:
        """A picture's side of `length` in parts whose windows have at most `side` pixels, all the same where it can be.

        `side` is a multiple of `multiple`.
        """
        if length <= side:
            return (Span(0, length, slice(0, length)),)
        found, start = [], 0
        while start < length:
            left = max(0, start - self.halo)
            if left + side >= length:
                left = _up(length - side, self.multiple)
                stop, right = length, length
            else:
                stop, right = left + side - self.halo, left + side
            found.append(Span(start, stop, slice(left, right)))
            start = stop
        return tuple(found)

    def large(self, length: int) -> int:
        """A side of the upscaled picture; with chroma, an odd last pixel is left out."""
        side = ceil(length * self.scale)
        return side // 2 * 2 if max(self.outputs) > 1 else side

    def small(self, seen: slice, factor: int) -> slice:
        """The part of a tensor's side that lies in a window."""
        return slice(seen.start // factor, -(-seen.stop // factor))

    def placed(self, span: Span, factor: int, length: int) -> tuple[slice, slice]:
        """Where a part goes in a tensor of the upscaled picture of an input `length`, and is in its window's."""
        first = int(span.start * self.scale)
        last = self.large(length) if span.stop == length else int(span.stop * self.scale)
        offset = int(span.seen.start * self.scale)
        return (
            slice(first // factor, last // factor),
            slice((first - offset) // factor, (last - offset) // factor),
        )


class Pictures:
    """Runs pictures of any size through `lanes`, of which this is the only user; `cut` says how they may be cut.

    `note` is told when one does not fit and is cut. For one thread at a time.
    """

    def __init__(self, lanes: Lanes, cut: Cut, note: Callable[[str], None]) -> None:
        self.lanes, self.cut, self._note = lanes, cut, note
        self._sides: dict[tuple[int, ...], int] = {}
        """Of the windows, for shapes that did not fit as they are."""

    def submit(self, *arrays: NDArray) -> Ticket:
        """As `Lanes.submit`; what is cut is done when this returns.

        Raises EngineError; `OutOfMemory`, with the figures, where there is not even room for the smallest tile.
        """
        shape = arrays[0].shape
        full = None
        if shape not in self._sides:
            try:
                return self.lanes.submit(*arrays)
            except OutOfGpuMemory as failure:
                full = failure
        for side in self._tried(shape):
            try:
                results = self._tiled(arrays, side)
            except OutOfGpuMemory as failure:
                full = failure
                continue
            if self._sides.get(shape) != side:
                self._sides[shape] = side
                self._note(self._cut_up(shape, side, full))
            return Ticket(results)
        raise self._no_room(shape, full)

    def collect(self, ticket: Ticket) -> Arrays:
        """As `Lanes.collect`."""
        return self.lanes.collect(ticket)

    def _tried(self, shape: tuple[int, ...]) -> Iterator[int]:
        """Sides of windows for pictures of `shape`, large ones first."""
        least = self.lanes.plan.inputs[0].smallest[-1]
        known = self._sides.get(shape, max(shape[-2:]) - 1)
        for side in SIDES:
            side = side // self.cut.multiple * self.cut.multiple
            # Where most of a window is halo, it is no use.
            if side <= known and side >= max(least, 4 * self.cut.halo, 1):
                yield side

    def _tiled(self, arrays: Arrays, side: int) -> Arrays:
        height, width = arrays[0].shape[-2:]
        rows, columns = self.cut.spans(height, side), self.cut.spans(width, side)
        results: list[NDArray] = []
        waiting: deque[tuple[Span, Span, Ticket]] = deque()

        def place() -> None:
            row, column, ticket = waiting.popleft()
            for i, part in enumerate(self.lanes.collect(ticket)):
                if len(results) == i:
                    sides = [self.cut.large(length) // self.cut.outputs[i] for length in (height, width)]
                    results.append(np.empty((*part.shape[:2], *sides), part.dtype))
                (to_y, from_y), (to_x, from_x) = (
                    self.cut.placed(span, self.cut.outputs[i], length)
                    for span, length in ((row, height), (column, width))
                )
                results[i][..., to_y, to_x] = part[..., from_y, from_x]

        for row in rows:
            for column in columns:
                parts = (
                    array[..., self.cut.small(row.seen, factor), self.cut.small(column.seen, factor)]
                    for array, factor in zip(arrays, self.cut.inputs, strict=True)
                )
                waiting.append((row, column, self.lanes.submit(*parts)))
                if len(waiting) >= self.lanes.count:
                    place()
        while waiting:
            place()
        return tuple(results)

    def _cut_up(self, shape: tuple[int, ...], side: int, full: OutOfGpuMemory | None) -> str:
        free = f" ({in_mib(full.free)} of {in_mib(full.total)} free)" if full else ""
        return (
            f"{self.lanes.plan.name}: GPU memory is short{free}, so frames of {shape[-1]}x{shape[-2]} are upscaled in "
            f"tiles of {side} pixels, which takes longer"
        )

    def _no_room(self, shape: tuple[int, ...], full: OutOfGpuMemory | None) -> OutOfMemory:
        figures = f": {full.figures}" if full else ""
        return OutOfMemory(
            f"{self.lanes.plan.name}: the GPU has no room for frames of {shape[-1]}x{shape[-2]}, not even in small "
            f"tiles{figures}; close other programs that use the GPU, {INSTEAD}"
        )


def _up(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple
