"""A video frame in YCbCr planes, and the tags that say what its numbers mean."""

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from rtsr.errors import ArgumentError

KR_KB = {
    "bt709": (0.2126, 0.0722),
    "bt601": (0.299, 0.114),
    "bt2020": (0.2627, 0.0593),
    "smpte240m": (0.212, 0.087),
    "fcc": (0.3, 0.11),
}
"""Luma weights of red and blue per matrix (H.273, matrix coefficients; BT.2020 with non-constant luminance)."""
MATRICES = {1: "bt709", 4: "fcc", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020", 10: "bt2020"}
"""Keys of `KR_KB` by matrix coefficients, H.273 code point."""


@dataclass(frozen=True, slots=True)
class Colour:
    """How Y, Cb and Cr relate to RGB, and where the chroma samples lie."""

    matrix: str
    """A key of `KR_KB`."""
    full_range: bool = False
    """True: 0..255 for all planes; False: 16..235 luma, 16..240 chroma."""
    chroma_left: bool = True
    """True: chroma lies on every second luma column (MPEG-2, H.264's default); False: between two (JPEG)."""

    def __post_init__(self) -> None:
        if self.matrix not in KR_KB:
            raise ValueError(f"unknown matrix {self.matrix!r}; known: {', '.join(KR_KB)}")


@dataclass(frozen=True, slots=True)
class Sampling:
    """How fine the planes of a YCbCr picture are."""

    bits: int = 8
    """Of a sample, 8 to 16."""
    columns: int = 2
    """Luma columns for each chroma column: 1, 2 or 4."""
    rows: int = 2
    """Luma rows for each chroma row."""
    row: str = "centre"
    """Where chroma lies between its luma rows: `top`, `centre` or `bottom`. Between columns, see `Colour`."""

    def __post_init__(self) -> None:
        if not 8 <= self.bits <= 16 or self.row not in ("top", "centre", "bottom"):
            raise ValueError(f"8 to 16 bits, chroma on top, in the centre or at the bottom; not {self}")
        if self.columns not in (1, 2, 4) or self.rows not in (1, 2, 4):
            raise ValueError(f"chroma has a sample for 1, 2 or 4 of luma's, not {self.columns}x{self.rows}")


YUV420P8 = Sampling()
"""What captures are, and what `Frame` holds."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A picture in 8-bit 4:2:0, its place in time and its colour tags.

    Raises ArgumentError, a UsageError and a ValueError, where the planes are of another kind, shape or type, or empty.
    """

    y: NDArray[np.uint8]
    """Luma, (H, W) uint8, in the range that `colour` says."""
    u: NDArray[np.uint8]
    """Cb, (ceil(H / 2), ceil(W / 2)) uint8."""
    v: NDArray[np.uint8]
    """Cr, as `u`."""
    colour: Colour
    pts: int = 0
    """Presentation time in the stream's time base."""
    duration: int = 0
    """In the stream's time base; 0 where unknown."""

    def __post_init__(self) -> None:
        for name in ("y", "u", "v"):
            _check_plane(getattr(self, name), name)
        half = tuple(-(-side // 2) for side in self.y.shape)
        if self.u.shape != half or self.v.shape != half:
            raise ArgumentError(
                f"luma {self.y.shape} needs chroma {half}, not {self.u.shape} and {self.v.shape}; a chroma plane has "
                "half the rows and half the columns, rounded up"
            )

    @property
    def height(self) -> int:
        return self.y.shape[0]

    @property
    def width(self) -> int:
        return self.y.shape[1]

    def kept(self) -> "Frame":
        """The same, to be kept: with copies of the planes that somebody could write to."""
        y, u, v = (plane.copy() if _can_change(plane) else plane for plane in (self.y, self.u, self.v))
        return replace(self, y=y, u=u, v=v)


def _can_change(plane: NDArray) -> bool:
    """Whether the pixels can be written to, be it by another view of them."""
    view: object = plane
    while isinstance(view, np.ndarray):
        if view.flags.writeable:
            return True
        view = view.base
    return False


def _check_plane(plane: object, name: str) -> None:
    if not isinstance(plane, np.ndarray):
        raise ArgumentError(f"the plane {name} is an array, (H, W) uint8, not {type(plane).__name__}; use np.asarray")
    if plane.dtype != np.uint8 or plane.ndim != 2 or not plane.size:
        cure = "; reduce it to 8 bits first" if plane.dtype != np.uint8 else ""
        cure = "; a frame has a plane each for luma, Cb and Cr" if plane.ndim != 2 else cure
        raise ArgumentError(f"the plane {name} is (H, W) uint8 and not empty, got {plane.shape} {plane.dtype}{cure}")


@dataclass(frozen=True, slots=True)
class GpuPlane:
    """Rows of 8-bit samples in the memory of an NVIDIA GPU."""

    address: int
    """Of the first sample."""
    pitch: int
    """Bytes from a row's start to the next's: decoders and encoders pad rows."""
    rows: int
    columns: int
    """Bytes in a row, without what pads it."""

    def __post_init__(self) -> None:
        if not 0 < self.columns <= self.pitch or self.rows <= 0:
            raise ValueError(f"a plane has rows that its pitch holds, not {self}")

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """As a network's input: one picture, one channel, rows, columns."""
        return 1, 1, self.rows, self.columns


@dataclass(frozen=True, slots=True, eq=False)
class GpuFrame:
    """As `Frame`, in the memory of an NVIDIA GPU and as decoders and encoders there have it, NV12; even sides only."""

    y: GpuPlane
    """Luma, (H, W)."""
    uv: GpuPlane
    """Cb and Cr in turns, (H / 2, W): Cb on even columns."""
    colour: Colour
    pts: int = 0
    duration: int = 0
    holds: object = None
    """What the memory belongs to: as long as somebody has this, it is nobody else's."""

    def __post_init__(self) -> None:
        if self.y.rows % 2 or self.y.columns % 2:
            raise ValueError(f"NV12 has even sides, not {self.y.columns}x{self.y.rows}")
        if (self.uv.rows, self.uv.columns) != (self.y.rows // 2, self.y.columns):
            raise ValueError(f"luma {self.y} does not go with chroma {self.uv}")

    @property
    def height(self) -> int:
        return self.y.rows

    @property
    def width(self) -> int:
        return self.y.columns


@dataclass(frozen=True, slots=True)
class Video:
    """What a video stream is, apart from its frames."""

    width: int
    """Stored width in pixels, before any rotation."""
    height: int
    """Stored height in pixels."""
    colour: Colour
    time_base: Fraction
    """Seconds per tick of the frames' times."""
    rate: Fraction | None = None
    """Average frames per second; None where unknown."""
    frames: int = 0
    """Expected number of frames; 0 where unknown."""
    sample_aspect: Fraction = Fraction(1)
    """Width over height of one pixel as displayed."""
    matrix: int = 2
    """Matrix coefficients that the output is tagged with, H.273 code point."""
    primaries: int = 2
    """Colour primaries, H.273 code point (2: unspecified)."""
    transfer: int = 2
    """Transfer characteristics, H.273 code point."""
    display_matrix: tuple[int, ...] | None = None
    """The container's 3x3 display matrix, row by row, in its 16.16 and 2.30 fixed point; None: none."""
    rotation: int = 0
    """Degrees counter-clockwise that the display matrix turns the picture by, any flip left aside."""

    @property
    def sideways(self) -> bool:
        """Whether the displayed picture is as high as the stored one is wide."""
        return self.rotation % 180 == 90

    def resized(self, width: int, height: int) -> "Video":
        """The same video at another stored size, its pixels' shape such that it displays in the same proportions."""
        stretch = Fraction(self.width * height, self.height * width)
        # Rounding to whole, even sides is not worth an odd pixel shape.
        aspect = self.sample_aspect if abs(stretch - 1) < 0.01 else self.sample_aspect * stretch
        return replace(
            self, width=width, height=height, sample_aspect=aspect, display_matrix=self._moved(width, height)
        )

    def _moved(self, width: int, height: int) -> tuple[int, ...] | None:
        """The display matrix with its translation, which counts pixels, in those of another stored size."""
        if self.display_matrix is None:
            return None
        *turn, x, y, w = self.display_matrix
        across, down = Fraction(width, self.width), Fraction(height, self.height)
        if self.sideways:
            across, down = down, across
        return (*turn, round(x * across), round(y * down), w)
