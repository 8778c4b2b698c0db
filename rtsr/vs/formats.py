"""Between a VapourSynth frame's planes and the networks' planar RGB.

A coding says what the numbers of one frame mean; it comes from the clip's format and the frame's props. Integer
YCbCr goes through `rtsr.colour`, as in `rtsr upscale`, so that both come out the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from rtsr.colour import from_rgb, to_rgb
from rtsr.errors import UsageError
from rtsr.frame import MATRICES, Colour, Sampling
from rtsr.vs.binding import vs

SMALLEST = 16
"""Pixels that a side has at least; networks look about that far."""
UNSPECIFIED = 2
MPV_MATRIX = "_ColorSpace"
"""What mpv calls `_Matrix`; same code points."""
HD_LINES = 720
"""Untagged YCbCr of at least so many lines is BT.709, else BT.601, as in `rtsr.source.pyav`."""
ROWS = ("centre", "top", "bottom")
"""Where chroma lies between rows, by half of `_ChromaLocation`; even ones lie on a luma column (H.273)."""

Planes = Sequence[NDArray]


class Coding(Protocol):
    """What the planes of a frame mean. Equal codings give equal pictures for equal planes."""

    @property
    def steps(self) -> tuple[int, int]:
        """Rows and columns of the first plane for each of the others'."""
        ...

    def decode(self, planes: Planes) -> NDArray[np.float32]:
        """RGB in [0, 1], (1, 3, H, W), contiguous."""
        ...

    def encode(self, rgb: NDArray[np.float32]) -> Planes:
        """Planes of RGB (3, H, W); H and W suit `steps`."""
        ...


@dataclass(frozen=True, slots=True)
class Rgb:
    """Three planes of R, G and B, of type `dtype`: float32, float16 or uint8."""

    dtype: str
    steps: tuple[int, int] = (1, 1)

    def decode(self, planes: Planes) -> NDArray[np.float32]:
        rgb = np.empty((1, 3, *planes[0].shape), np.float32)
        for i, plane in enumerate(planes):
            if self.dtype == "uint8":
                np.multiply(plane, np.float32(1 / 255), out=rgb[0, i], dtype=np.float32)
            else:
                rgb[0, i] = plane
        return rgb

    def encode(self, rgb: NDArray[np.float32]) -> Planes:
        if self.dtype == "uint8":
            return [cv2.convertScaleAbs(plane, alpha=255) for plane in rgb]
        return list(rgb.astype(self.dtype, copy=False))


@dataclass(frozen=True, slots=True)
class Grey:
    """One plane in [0, 1]."""

    steps: tuple[int, int] = (1, 1)

    def decode(self, planes: Planes) -> NDArray[np.float32]:
        rgb = np.empty((1, 3, *planes[0].shape), np.float32)
        rgb[0] = planes[0]
        return rgb

    def encode(self, rgb: NDArray[np.float32]) -> Planes:
        grey = cv2.addWeighted(rgb[0], 0.2126, rgb[1], 0.7152, 0)
        return [cv2.scaleAdd(rgb[2], 0.0722, grey)]


@dataclass(frozen=True, slots=True)
class Yuv:
    """Luma and chroma in whole steps."""

    colour: Colour
    sampling: Sampling

    @property
    def steps(self) -> tuple[int, int]:
        return self.sampling.rows, self.sampling.columns

    def decode(self, planes: Planes) -> NDArray[np.float32]:
        y, u, v = planes
        return to_rgb(y, u, v, self.colour, self.sampling)

    def encode(self, rgb: NDArray[np.float32]) -> Planes:
        return from_rgb(rgb, self.colour, self.sampling)


def check_clip(clip: vs.VideoNode) -> None:
    """Raise UsageError unless every frame of `clip` is of one size and of a format that a coding exists for."""
    if not isinstance(clip, vs.VideoNode):
        raise UsageError(f"a clip is needed, not {type(clip).__name__}; e.g. core.bs.VideoSource('in.mp4')")
    form = clip.format
    if form is None or form.color_family == vs.UNDEFINED or not clip.width or not clip.height:
        raise UsageError("the clip changes its format or size; make both constant first, e.g. with core.resize.Bicubic")
    whole = form.sample_type == vs.INTEGER
    if form.color_family == vs.YUV:
        known = whole and form.bits_per_sample <= 16 and form.subsampling_w <= 2 and form.subsampling_h <= 2
    elif form.color_family == vs.RGB:
        known = form.bits_per_sample == 8 if whole else form.bits_per_sample in (16, 32)
    else:
        known = not whole and form.bits_per_sample == 32
    if not known:
        raise UsageError(
            f"{form.name} clips are not taken; RGBS, RGBH, RGB24, GRAYS and integer YUV of 8 to 16 bits are: convert "
            "it first, e.g. core.resize.Bicubic(clip, format=vs.RGBS)"
        )
    if min(clip.width, clip.height) < SMALLEST:
        raise UsageError(f"the clip is too small: {clip.width}x{clip.height}; it has at least {SMALLEST}x{SMALLEST}")


def steps_of(form: vs.VideoFormat) -> tuple[int, int]:
    """Rows and columns of luma for each of chroma."""
    return 1 << form.subsampling_h, 1 << form.subsampling_w


def coding_of(form: vs.VideoFormat, props: Mapping[str, object], height: int) -> Coding:
    """What the planes of a frame of `height` lines mean; raises UsageError for a colour matrix that is not known."""
    if form.color_family == vs.GRAY:
        return Grey()
    if form.color_family == vs.RGB:
        return Rgb(
            "uint8" if form.sample_type == vs.INTEGER else "float32" if form.bits_per_sample == 32 else "float16"
        )
    code = _whole(props, "_Matrix", _whole(props, MPV_MATRIX, UNSPECIFIED))
    if code == UNSPECIFIED:
        matrix = "bt709" if height >= HD_LINES else "bt601"
    elif code in MATRICES:
        matrix = MATRICES[code]
    else:
        raise UsageError(f"the colour matrix {code} (_Matrix) is not known; convert the clip to RGBS or BT.709 first")
    site = _whole(props, "_ChromaLocation", 0)
    row, left = ROWS[site // 2] if 0 <= site < 6 else ROWS[0], site % 2 == 0
    rows, columns = steps_of(form)
    return Yuv(
        Colour(matrix, _whole(props, "_Range", 0) == 1, left), Sampling(form.bits_per_sample, columns, rows, row)
    )


def _whole(props: Mapping[str, object], name: str, default: int) -> int:
    value = props.get(name, default)
    return value if isinstance(value, int) else default
