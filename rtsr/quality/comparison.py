"""One place of a picture as several engines upscale it, side by side on a labelled sheet."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from rtsr.colour import to_rgb
from rtsr.errors import SinkError, SourceError, UsageError
from rtsr.frame import Frame
from rtsr.part import WHOLE, Part
from rtsr.quality.datasets import SUFFIXES, Picture, read_picture, size_of
from rtsr.quality.metrics import luma, psnr
from rtsr.sink.names import check_folder, spare_name
from rtsr.source.pyav import PyAVSource
from rtsr.upscaler import Upscaler, target_size

DEFAULT_SIZE = (160, 120)
"""Width and height of a crop that is looked for, in input pixels."""
SHEETS = (".png", ".webp")
"""File types of sheets."""
WEBP_QUALITY = 90
BAR, GAP = 22, 4
"""Height of a panel's label, and the space between panels, in pixels; even, as WebP's chroma wants them."""
INK, PAPER = (235, 235, 235), (24, 24, 24)


@dataclass(frozen=True, slots=True)
class Crop:
    """A rectangle of the input, in its pixels."""

    width: int
    height: int
    x: int
    y: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}+{self.x}+{self.y}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The crop written as WxH+X+Y; raises UsageError for anything else, and for one without area."""
        found = re.fullmatch(r"(\d{1,5})x(\d{1,5})\+(\d{1,5})\+(\d{1,5})", text.strip())
        crop = cls(*map(int, found.groups())) if found else None
        if crop is None or crop.width * crop.height == 0:
            raise UsageError(f"{text!r} is not a crop; write WxH+X+Y in input pixels, e.g. 160x120+300+40")
        return crop

    def of(self, picture: Picture, scale: Fraction = Fraction(1)) -> Picture:
        """The part of `picture`, which is the input upscaled by `scale`, that shows this crop."""
        rows, columns = (
            slice(round(start * scale), round((start + side) * scale))
            for start, side in ((self.y, self.height), (self.x, self.width))
        )
        return picture[rows, columns]

    def check(self, picture: Picture) -> None:
        """Raise UsageError unless the crop lies within `picture`."""
        if self.y + self.height > picture.shape[0] or self.x + self.width > picture.shape[1]:
            raise UsageError(
                f"the crop {self} does not lie within a picture of {size_of(picture)}; choose a smaller one"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """What one engine makes of the crop."""

    title: str
    picture: Picture
    psnr: float | None = None
    """PSNR-Y in dB against the truth, over the crop alone; None where there is no truth, or it is the truth itself."""


@dataclass(frozen=True, slots=True, eq=False)
class Input:
    """A picture, or a frame of a video."""

    picture: Picture
    frame: Frame | None = None
    """Where it comes from a video: it is upscaled as the video would be."""
    turns: int = 0
    """Quarter turns, counter-clockwise, that its display matrix asks for."""

    def upscaled(self, upscaler: Upscaler) -> Picture:
        """The whole of it upscaled, not turned."""
        if self.frame is None:
            return upscaler(self.picture)
        return rgb(upscaler.frame(self.frame, *target_size(self.frame.width, self.frame.height, upscaler.scale)))


def read_input(path: Path, number: int | None = None, part: Part = WHOLE) -> Input:
    """The picture in `path`, or frame `number`, by default 0, of a `part` of the video there.

    Raises SourceError where it cannot be read or the video ends before, UsageError where a picture has no frames.
    """
    if path.suffix.lower() in SUFFIXES:
        if number is not None or part:
            raise UsageError(f"{path} is a picture; --frame and --start choose a frame of a video")
        return Input(read_picture(path))
    with PyAVSource(path, part) as source:
        frames = (item for item in source.items() if isinstance(item, Frame))
        frame = next(islice(frames, number or 0, None), None)
        turns = source.video.rotation // 90 % 4
    if frame is None:
        raise SourceError(f"{path} ends before frame {number}; frames count from 0")
    return Input(rgb(frame), frame, turns)


def rgb(frame: Frame) -> Picture:
    """The frame as 8-bit RGB."""
    planes = to_rgb(frame.y, frame.u, frame.v, frame.colour)[0]
    return np.ascontiguousarray((planes * 255).round().astype(np.uint8).transpose(1, 2, 0))


def most_detailed(picture: Picture, width: int = DEFAULT_SIZE[0], height: int = DEFAULT_SIZE[1]) -> Crop:
    """The crop with the steepest luma on average, at even places; smaller where `picture` is."""
    height, width = min(height, picture.shape[0]), min(width, picture.shape[1])
    smooth = cv2.GaussianBlur(luma(picture).astype(np.float32), (0, 0), 1.0)  # Noise is no detail.
    steepness = cv2.magnitude(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1))
    whole = cv2.integral(steepness)
    sums = whole[height:, width:] - whole[:-height, width:] - whole[height:, :-width] + whole[:-height, :-width]
    y, x = np.unravel_index(np.argmax(sums[::2, ::2]), sums[::2, ::2].shape)
    return Crop(width, height, 2 * int(x), 2 * int(y))


def compare(
    source: Input,
    engines: Sequence[tuple[str, Upscaler]],
    crop: Crop,
    scale: Fraction,
    truth: Picture | None = None,
) -> list[Panel]:
    """The crop of the input with its pixels repeated, as each of `engines` upscales it, and of `truth` if given.

    Raises UsageError where the crop lies outside, or `truth` is not as large as what the engines make.
    """
    crop.check(source.picture)
    large = source.frame is not None and target_size(source.picture.shape[1], source.picture.shape[0], scale)
    width, height = large or (round(side * scale) for side in source.picture.shape[1::-1])
    if truth is not None and truth.shape[:2] != (height, width):
        raise UsageError(f"the truth is {size_of(truth)}, but the upscaled input {width}x{height}; give one that fits")
    target = None if truth is None else crop.of(truth, scale)
    made = [(title, crop.of(source.upscaled(upscaler), scale)) for title, upscaler in engines]
    side = made[0][1] if made else crop.of(source.picture)
    small = crop.of(source.picture)
    repeated = cv2.resize(small, side.shape[1::-1], interpolation=cv2.INTER_NEAREST_EXACT).astype(np.uint8)
    panels = [Panel("input", repeated)]
    panels += [Panel(title, part, None if target is None else psnr(luma(part), luma(target))) for title, part in made]
    panels += [] if target is None else [Panel("truth", target)]
    return [Panel(panel.title, np.rot90(panel.picture, source.turns), panel.psnr) for panel in panels]


def sheet(panels: Sequence[Panel], zoom: int = 2, columns: int | None = None) -> Picture:
    """The panels, each pixel `zoom` times `zoom`, in rows of `columns`, each under its title and PSNR."""
    columns = columns or (len(panels) if len(panels) <= 3 else -(-len(panels) // 2))
    cells = [_cell(panel, zoom) for panel in panels]
    height, width = cells[0].shape[:2]
    rows = -(-len(cells) // columns)
    whole = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), PAPER, np.uint8)
    for i, cell in enumerate(cells):
        top, left = i // columns * (height + GAP), i % columns * (width + GAP)
        whole[top : top + height, left : left + width] = cell
    return whole


def check_sheet(path: Path, overwrite: bool) -> None:
    """Raise UsageError or SinkError, before any work is done, if no sheet can be written to `path`."""
    if path.suffix.lower() not in SHEETS:
        raise UsageError(f"a sheet is a {' or '.join(SHEETS)} file, not {path}")
    if path.exists() and not overwrite:
        raise SinkError(f"{path} exists already; choose another name with -o, or allow it with --overwrite")
    check_folder(path)


def write_sheet(path: Path, picture: Picture, quality: int = WEBP_QUALITY) -> None:
    """Write a PNG or WebP file; `quality` is WebP's, 1 to 100, above that lossless. Raises SinkError."""
    kind = path.suffix.lower()
    options = [cv2.IMWRITE_WEBP_QUALITY, quality] if kind == ".webp" else [cv2.IMWRITE_PNG_COMPRESSION, 9]
    done, data = cv2.imencode(kind, picture[:, :, ::-1], options)
    if not done:
        raise SinkError(f"cannot write {path}: the picture of {size_of(picture)} is too large; choose a smaller crop")
    beside = spare_name(path)
    try:
        beside.write_bytes(data.tobytes())
        beside.replace(path)
    except OSError as cause:
        beside.unlink(missing_ok=True)
        raise SinkError(f"cannot write {path}: {cause.strerror}") from cause


def _cell(panel: Panel, zoom: int) -> NDArray[np.uint8]:
    """A panel under its label."""
    large = np.repeat(np.repeat(panel.picture, zoom, axis=0), zoom, axis=1)
    label = np.full((BAR, large.shape[1], 3), PAPER, np.uint8)
    texts = [panel.title] + ([] if panel.psnr is None else [f"{panel.psnr:.2f}"])
    font, size = cv2.FONT_HERSHEY_SIMPLEX, 0.45
    widths = [cv2.getTextSize(text, font, size, 1)[0][0] for text in texts]
    size *= min(1.0, (large.shape[1] - 8) / (sum(widths) + 10 * len(widths)))
    cv2.putText(label, texts[0], (4, 15), font, size, INK, 1, cv2.LINE_AA)
    if panel.psnr is not None:
        width = cv2.getTextSize(texts[1], font, size, 1)[0][0]
        cv2.putText(label, texts[1], (large.shape[1] - width - 4, 15), font, size, INK, 1, cv2.LINE_AA)
    return np.concatenate([label, large])
