"""A video frame in YCbCr planes, and the tags that say what its numbers mean."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

KR_KB = {"bt709": (0.2126, 0.0722), "bt601": (0.299, 0.114), "bt2020": (0.2627, 0.0593)}
"""Luma weights of red and blue per matrix (ITU-R BT.709, BT.601, BT.2020 non-constant luminance)."""


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


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A picture in 8-bit 4:2:0, its place in time and its colour tags."""

    y: NDArray[np.uint8]
    """Luma, (H, W)."""
    u: NDArray[np.uint8]
    """Cb, (ceil(H / 2), ceil(W / 2))."""
    v: NDArray[np.uint8]
    """Cr, as `u`."""
    colour: Colour
    pts: int = 0
    """Presentation time in the stream's time base."""
    duration: int = 0
    """In the stream's time base; 0 where unknown."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time spent on this frame so far, per stage."""

    def __post_init__(self) -> None:
        half = tuple(-(-side // 2) for side in self.y.shape)
        if self.u.shape != half or self.v.shape != half:
            raise ValueError(f"luma {self.y.shape} needs chroma {half}, got {self.u.shape}, {self.v.shape}")

    @property
    def height(self) -> int:
        return self.y.shape[0]

    @property
    def width(self) -> int:
        return self.y.shape[1]
