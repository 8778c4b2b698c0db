"""Which sizes an engine takes: it is built for a range of them, and tuned for one."""

from dataclasses import dataclass
from typing import Self

from rtsr.errors import UsageError

Size = tuple[int, int]
"""Width and height in input pixels."""

USUAL: tuple[Size, ...] = ((640, 360), (960, 540), (1280, 720), (1920, 1080), (2560, 1440), (3840, 2160))
"""The sizes that engines are built for, so that few are: a frame takes the first that holds it."""
SMALLEST = 16
"""Least side: attention blocks reduce a picture so far that less leaves nothing."""
GRAIN = 16
"""The largest size is a multiple of this, for what a frame is padded to."""
LARGEST = 8192
"""Longest side: more than any decoder gives."""


@dataclass(frozen=True, slots=True)
class Profile:
    """The sizes and batches that an engine takes."""

    smallest: Size
    usual: Size
    """The size that it is tuned for."""
    largest: Size
    """The size that its memory is laid out for."""
    batch: int = 1
    """Most pictures in one run."""

    def __post_init__(self) -> None:
        for low, mid, high in zip(self.smallest, self.usual, self.largest, strict=True):
            if not 1 <= low <= mid <= high:
                raise UsageError(f"an engine's sizes go from small to large, not {self}")
        if self.batch < 1:
            raise UsageError(f"an engine takes at least one picture, not {self.batch}")

    @classmethod
    def for_frames(cls, width: int, height: int, batch: int = 1) -> Self:
        """For frames of `width` x `height` and all smaller ones, down to `SMALLEST` on a side; raises UsageError."""
        if not (SMALLEST <= width <= LARGEST and SMALLEST <= height <= LARGEST):
            raise UsageError(
                f"engines are built for sides of {SMALLEST} to {LARGEST} pixels, not {width}x{height}; "
                "for other frames use --engine onnx"
            )
        largest = (_up(width, GRAIN), _up(height, GRAIN))
        return cls((SMALLEST, SMALLEST), (width, height), largest, batch)

    @classmethod
    def holding(cls, width: int, height: int, batch: int = 1) -> Self:
        """For the first of the usual sizes, turned where the frame is upright, that holds `width` x `height`.

        Larger frames get a profile of their own. Raises UsageError as `for_frames` does.
        """
        own = cls.for_frames(width, height, batch)
        for long, short in USUAL:
            usual = (short, long) if height > width else (long, short)
            if width <= _up(usual[0], GRAIN) and height <= _up(usual[1], GRAIN):
                return cls.for_frames(*usual, batch)
        return own

    def holds(self, width: int, height: int, batch: int = 1) -> bool:
        """Whether the engine takes `batch` pictures of `width` x `height`."""
        fits = zip(self.smallest, (width, height), self.largest, strict=True)
        return 1 <= batch <= self.batch and all(low <= side <= high for low, side, high in fits)

    def patches(self, width: int, height: int) -> int:
        """How many patches of `width` x `height` the largest frame is cut into."""
        return -(-self.largest[0] // width) * -(-self.largest[1] // height)

    def describe(self) -> str:
        """The range of sizes in words."""
        (w, h), (wide, high) = self.smallest, self.largest
        return f"{w}x{h} to {wide}x{high}" + (f", up to {self.batch} at once" if self.batch > 1 else "")


def _up(side: int, multiple: int) -> int:
    return -(-side // multiple) * multiple
