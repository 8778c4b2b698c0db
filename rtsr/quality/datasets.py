"""Pictures to measure on: pairs of a small and a true large picture, from the layouts of folders that are in use."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from rtsr.errors import SourceError, need
from rtsr.opencv import is_cut_off, silent_opencv
from rtsr.quality.imresize import imresize

RENDERS = {Fraction(2): "540.avif", Fraction(3, 2): "720.avif"}
"""The low-resolution picture of a rendered pair, by scale; its truth is `1080.avif`."""
TRUTH = "1080.avif"
SUFFIXES = (".avif", ".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
"""Files that are pictures in a plain folder."""

Picture = NDArray[np.uint8]
"""RGB, (H, W, 3)."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Where a small picture and its truth are; nothing is read yet."""

    name: str
    truth: Path
    low: Path | None
    """None: the truth is cropped to a multiple of the scale, and reduced by `rtsr.quality.imresize`."""
    rendered: bool = False
    """Whether both were rendered; then the truth is not cropped."""

    def read(self, scale: Fraction) -> tuple[Picture, Picture]:
        """The small picture and its truth; raises SourceError where they are damaged or differ by another scale."""
        high = read_picture(self.truth)
        if self.low is None:
            low, high = reduced_picture(high, self.name, scale)
        else:
            low, high = read_picture(self.low), high if self.rendered else _crop(high, self.name, scale)
        if any(high.shape[axis] != low.shape[axis] * scale for axis in (0, 1)):
            raise SourceError(
                f"{self.name}: input {size_of(low)} and truth {size_of(high)} do not differ by a scale of {scale}"
            )
        return low, high


def pictures(dataset: Path, scale: Fraction, only: tuple[str, ...] = ()) -> Iterator[tuple[str, Picture, Picture]]:
    """Name, input and truth of the pairs of the folder `dataset` (see `find_pairs`), one after another."""
    for pair in find_pairs(dataset, scale, only):
        yield pair.name, *pair.read(scale)


def find_pairs(dataset: Path, scale: Fraction, only: tuple[str, ...] = ()) -> list[Pair]:
    """The pairs in the folder `dataset`, sorted by name; all, or those whose names hold one of `only`.

    Three layouts are known: `HR/NAME.png` with `LR_bicubic/XS/NAMExS.png` (made by bicubic downscaling where
    the folder is missing); rendered pairs, `NAME/{540,720,1080}.avif`; and truths alone, `NAME.png` or any other
    picture, whose name is whole where another differs from it by its type alone. Raises SourceError where the folder
    is none of them, or has no such names.
    """
    if not dataset.is_dir():
        raise SourceError(f"there is no folder {dataset}; name one of pictures, or one that holds HR/NAME.png")
    if (dataset / "HR").is_dir():
        found = _benchmark(dataset, scale)
    elif any(dataset.glob(f"*/{TRUTH}")):
        found = _renders(dataset, scale)
    else:
        files = sorted(file for file in dataset.iterdir() if file.suffix.lower() in SUFFIXES)
        stems = Counter(file.stem for file in files)
        found = [Pair(file.stem if stems[file.stem] == 1 else file.name, file, None) for file in files]
    if not found:
        raise SourceError(f"{dataset} is not a data set: it has neither HR/NAME.png nor NAME/{TRUTH} nor pictures")
    wanted = [pair for pair in found if not only or any(part in pair.name for part in only)]
    if not wanted:
        raise SourceError(f"there are no images with such names in {dataset}: {' or '.join(only)}")
    return wanted


def read_picture(path: Path) -> Picture:
    """The picture in a file, as 8-bit RGB; raises SourceError where that fails."""
    return _read_avif(path) if path.suffix.lower() == ".avif" else _read_other(path)


def reduced_picture(high: Picture, name: str, scale: Fraction) -> tuple[Picture, Picture]:
    """`high` reduced by `rtsr.quality.imresize`, and `high` cropped from the top left to a multiple of the scale.

    Raises SourceError, with `name`, where it is too small.
    """
    high = _crop(high, name, scale)
    return imresize(high, *(int(side / scale) for side in high.shape[:2])), high


def size_of(picture: Picture) -> str:
    """Width and height, as "640x480"."""
    return f"{picture.shape[1]}x{picture.shape[0]}"


def _benchmark(dataset: Path, scale: Fraction) -> list[Pair]:
    truths = sorted((dataset / "HR").glob("*.png"))
    if not truths:
        raise SourceError(f"there are no .png images in {dataset / 'HR'}")
    times = _decimal(scale)
    inputs = dataset / "LR_bicubic" / f"X{times}"
    made = not inputs.is_dir()
    return [Pair(truth.stem, truth, None if made else inputs / f"{truth.stem}x{times}.png") for truth in truths]


def _renders(dataset: Path, scale: Fraction) -> list[Pair]:
    if scale not in RENDERS:
        known = " and ".join(_decimal(scale) for scale in sorted(RENDERS))
        raise SourceError(f"rendered pairs like those in {dataset} exist for scales {known}, not {_decimal(scale)}")
    truths = sorted(dataset.glob(f"*/{TRUTH}"))
    return [Pair(truth.parent.name, truth, truth.parent / RENDERS[scale], rendered=True) for truth in truths]


def _crop(high: Picture, name: str, scale: Fraction) -> Picture:
    """The largest part of `high` from the top left whose sides are multiples of the scale."""
    height, width = (side - side % scale.numerator for side in high.shape[:2])
    if min(height, width) == 0:
        raise SourceError(f"{name} is too small for a scale of {scale}")
    return high[:height, :width]


def _read_other(path: Path) -> Picture:
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as cause:
        raise SourceError(f"cannot read {path}: {cause.strerror}") from cause
    if is_cut_off(data.tobytes()):
        raise SourceError(f"{path} is cut off; copy it again")
    with silent_opencv():
        try:
            image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
        except cv2.error:  # where a header claims more pixels than OpenCV allows
            image = None
    if image is None:
        raise SourceError(f"{path} is not an image, or damaged")
    return np.ascontiguousarray(image[:, :, ::-1], np.uint8)


def _read_avif(path: Path) -> Picture:
    pillow = need("PIL.Image", "train")
    try:
        with pillow.open(path) as image:
            return np.asarray(image.convert("RGB"), np.uint8)
    except pillow.UnidentifiedImageError as cause:
        raise SourceError(f"{path} is not an image, or damaged, or Pillow is older than 11.3") from cause
    except (OSError, ValueError, SyntaxError) as cause:
        raise SourceError(f"cannot read {path}: {getattr(cause, 'strerror', None) or cause}") from cause


def _decimal(scale: Fraction) -> str:
    """The scale as folders are named: "2", "1.5"."""
    return f"{float(scale):g}"
