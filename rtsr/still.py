"""Still pictures: a file in, a larger one out, with its transparency, colour profile and camera data."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from rtsr.chunks import described, named, with_chunks
from rtsr.engine.choice import Tell, ran
from rtsr.errors import SinkError, SourceError, UsageError
from rtsr.job import Job, label, reaching
from rtsr.opencv import is_cut_off, silent_opencv
from rtsr.pacing.spending import in_milliseconds
from rtsr.quality.datasets import Picture, size_of
from rtsr.report import STAGES, Report
from rtsr.sink.encoding import Encoding
from rtsr.sink.names import check_target, finish_as, spare_name
from rtsr.source.live import address
from rtsr.upscaler import Upscaler

JPEG = [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
LOSSLESS = {".png": [cv2.IMWRITE_PNG_COMPRESSION, 6], ".webp": [cv2.IMWRITE_WEBP_QUALITY, 101]}
WRITTEN = {**LOSSLESS, ".jpg": JPEG, ".jpeg": JPEG}
"""File types that are written, with OpenCV's options for them."""
PROFILES = {True: b"GRAY", False: b"RGB "}
"""The colour space that a profile says it is for (ICC.1:2022, 7.2.6), by whether the picture is grey."""
BRANDS = ("avif", "heic", "heix", "heim", "heis", "mif1")
"""Of files in the manner of MP4 that hold a picture (ISO/IEC 23008-12, B.4; AVIF 1.0); OpenCV reads AVIF."""
ORIENTATION = 0x0112
"""EXIF's tag."""


@dataclass(frozen=True, slots=True, eq=False)
class Still:
    """What is in a picture's file, turned as it is displayed."""

    rgb: Picture
    alpha: NDArray[np.uint8] | None = None
    """Opacity, (H, W); None where all is opaque."""
    grey: bool = False
    """Whether the file has but one channel of colour."""
    metadata: dict[int, NDArray[np.uint8]] = field(default_factory=dict)
    """Bytes by OpenCV's kind of metadata: camera data (EXIF) of an upright picture, colour profile (ICC)."""
    chunks: bytes = b""
    """Texts and the density of pixels, as chunks of PNG."""
    notes: tuple[str, ...] = ()
    """What was left out, or is not as it was."""


def is_still(source: str | Path) -> bool:
    """Whether `source` is a picture's file by its content; GIF and APNG are where there is but one in them."""
    path = Path(source)
    if address(source) is not None or not os.path.isfile(path):  # Pipes and devices would lose what is read here.
        return False
    try:
        with av.open(str(path.absolute())) as container:
            kind, brand = container.format.name, container.metadata.get("major_brand")
            lone = kind == "gif" and container.streams.video[0].frames == 1
            return kind.endswith("_pipe") or kind == "image2" or brand in BRANDS or lone
    except (FFmpegError, OSError, ValueError):
        return False


def upscale_still(job: Job, tell: Tell | None = None) -> Report:
    """Do `job` on the picture that is its source; `tell` is as for `Upscaler`.

    The output has 8 bits a sample. By default it is of the source's type where that is one of `WRITTEN`, else PNG;
    PNG and WebP are written without loss, JPEG with its chroma at full size. Nothing is left under its name unless
    all of it was written. Raises SourceError, SinkError, EngineError, CardError and UsageError.
    """
    began, cpu_began, source = time.perf_counter(), time.process_time(), Path(job.source)
    _check(job)
    output = still_output(job)
    check_target(output, source, job.overwrite)
    if output.suffix.lower() not in WRITTEN:
        raise UsageError(f"{source} is a picture; name the output .png, .jpg or .webp, not {output.name}")
    seconds: dict[str, float] = {}
    with _timed(seconds, "decode"):
        still = read_still(source)
    height, width = still.rgb.shape[:2]
    scale, size = plan_still(job, width, height)
    wish = {"model": job.model, "engine": job.engine, "provider": job.provider, "precision": job.precision}
    with (
        Upscaler(scale, **wish, threads=job.threads, tell=tell, size=(width, height)) as upscaler,
        _timed(seconds, "upscale"),
    ):
        large, engine = _enlarged(still, upscaler, size), upscaler.describe()
        what = ran(upscaler.engine)
    large = _fitting(large, output)
    with _timed(seconds, "encode"):
        written = write_still(output, large, job.overwrite)
    return Report(
        source=str(source),
        output=str(written),
        engine=engine,
        input_size=(width, height),
        output_size=size,
        frames=1,
        seconds=time.perf_counter() - began,
        cpu_seconds=time.process_time() - cpu_began,
        stages={stage: in_milliseconds([seconds[stage]]) for stage in STAGES},
        notes=large.notes,
        asked=job.asked(),
        **what,
    )


def still_output(job: Job) -> Path:
    """Where the result of `job` goes, whose source is a picture."""
    source = Path(job.source)
    suffix = source.suffix if source.suffix.lower() in WRITTEN else ".png"
    return Path(job.output or source.with_name(f"{source.stem}_{label(job)}{suffix}"))


def plan_still(job: Job, width: int, height: int) -> tuple[Fraction, tuple[int, int]]:
    """The scale that `job` needs for a picture of `width` x `height`, and the size of the result."""
    if job.size is not None:
        size = job.size
    elif job.height is not None:
        size = round(Fraction(width * job.height, height)), job.height
    else:
        assert job.scale is not None
        size = round(width * job.scale), round(height * job.scale)
        if size == (width, height):
            raise UsageError(f"{width}x{height} times {float(job.scale):g} is the same size; choose a larger scale")
        return job.scale, size
    return reaching(size, (width, height)), size


def read_still(path: Path) -> Still:
    """The picture in `path`, 16 bits a sample reduced to 8; raises SourceError where it is none, or there are more."""
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as cause:
        raise SourceError(f"cannot read {path}: {cause.strerror}") from cause
    if is_cut_off(data.tobytes()):
        raise SourceError(f"{path} is cut off; copy it again")
    pixels, metadata, several = _decoded(data)
    if pixels is None or (pixels.ndim == 3 and pixels.shape[2] not in (3, 4)):
        raise SourceError(f"{path} is a picture that is damaged, or of a kind not known here; convert it to PNG first")
    if several:
        raise SourceError(f"{path} holds several pictures; take them apart, or make a video of them, first")
    notes = []
    if pixels.dtype == np.uint16:
        pixels = cv2.convertScaleAbs(pixels, alpha=1 / 257)
        notes.append("16 bits a sample became 8")
    if pixels.dtype != np.uint8:
        raise SourceError(f"{path} has samples of {pixels.dtype}; convert it to a PNG of 8 bits first")
    pixels = pixels.astype(np.uint8, copy=False)
    if (camera := metadata.get(cv2.IMAGE_METADATA_EXIF)) is not None:
        pixels = _upright(pixels, camera)
    grey = pixels.ndim == 2
    rgb = np.repeat(pixels[..., None], 3, 2) if grey else np.ascontiguousarray(pixels[..., 2::-1])
    alpha = None if grey or pixels.shape[2] == 3 else np.ascontiguousarray(pixels[..., 3])
    profile = metadata.get(cv2.IMAGE_METADATA_ICCP)
    if profile is not None and bytes(profile[16:20]) != PROFILES[grey]:
        del metadata[cv2.IMAGE_METADATA_ICCP]
        notes.append("the colour profile is for other colours and was left out")
    if metadata.pop(cv2.IMAGE_METADATA_XMP, None) is not None:
        notes.append("XMP data was left out")
    return Still(rgb, alpha, grey, metadata, described(data.tobytes()), tuple(notes))


def write_still(path: Path, still: Still, overwrite: bool = False) -> Path:
    """Write `still` to `path`, which only an `overwrite` replaces; returns the name. Raises SinkError."""
    pixels = cv2.cvtColor(still.rgb, cv2.COLOR_RGB2GRAY) if still.grey else np.ascontiguousarray(still.rgb[..., ::-1])
    if still.alpha is not None:
        pixels = np.dstack([pixels, still.alpha])
    kind, parts = path.suffix.lower(), [part[None] for part in still.metadata.values()]
    with silent_opencv():
        try:
            done, data = cv2.imencodeWithMetadata(kind, pixels, list(still.metadata), parts, WRITTEN[kind])
        except cv2.error:
            done, data = False, np.empty(0, np.uint8)
    if not done:
        raise SinkError(f"a picture of {size_of(still.rgb)} does not fit into a {kind} file; name the output .png")
    part = spare_name(path)
    try:
        part.write_bytes(with_chunks(data.tobytes(), still.chunks) if kind == ".png" else data.tobytes())
        return finish_as(part, path, overwrite)
    except OSError as cause:
        raise SinkError(f"cannot write {path}: {cause.strerror}") from cause
    finally:
        part.unlink(missing_ok=True)


def _check(job: Job) -> None:
    """Raise UsageError for what means nothing where the source is a picture."""
    said = {"late": job.late, "live": job.live, "reference": job.reference, "fps, deadline or quality": job.pace}
    said["encoding"] = None if job.encoding == Encoding() else job.encoding
    said["decode"] = None if job.decode == "cpu" else job.decode
    said["start or duration"] = job.part or None
    if meant := ", ".join(name for name, value in said.items() if value is not None):
        raise UsageError(f"{job.source} is a picture; leave out what is for videos: {meant}")
    if job.output is not None and address(job.output) is not None:
        raise UsageError(f"{job.source} is a picture, which goes into a file; name one with -o, e.g. -o large.png")


def _enlarged(still: Still, upscaler: Upscaler, size: tuple[int, int]) -> Still:
    """`still` at `size`: colours by `upscaler`, opacity by the bicubic filter."""
    (height, width), notes = still.rgb.shape[:2], [*still.notes]
    if abs(size[0] * height - size[1] * width) > max(width, height):
        notes.append(f"{size[0]}x{size[1]} has other proportions than {width}x{height}: the picture is stretched")
    if still.alpha is None:
        large, alpha = upscaler(still.rgb, size), None
    else:
        large = upscaler(_bled(still.rgb, still.alpha), size)
        with Upscaler(upscaler.scale, engine="bicubic") as bicubic:
            alpha = bicubic(np.repeat(still.alpha[..., None], 3, 2), size)[..., 0]
    return replace(still, rgb=large, alpha=alpha, notes=(*notes, *upscaler.notes))


def _bled(rgb: Picture, alpha: NDArray[np.uint8]) -> Picture:
    """`rgb` with every wholly transparent pixel of the colour of the nearest other one: hidden colours make no rims."""
    seen = alpha > 0
    if seen.all() or not seen.any():
        return rgb
    hidden = (~seen).astype(np.uint8)
    nearest = cv2.distanceTransformWithLabels(hidden, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL)[1]
    labels = nearest.astype(np.intp)
    colours = np.zeros((labels.max() + 1, 3), np.uint8)
    colours[labels[seen]] = rgb[seen]
    return colours[labels]


def _fitting(still: Still, output: Path) -> Still:
    """`still` as the type of `output` can hold it."""
    if still.chunks and output.suffix.lower() != ".png":
        note = f"left out: {named(still.chunks)}; .png holds that"
        still = replace(still, chunks=b"", notes=(*still.notes, note))
    if still.alpha is None or WRITTEN[output.suffix.lower()] is not JPEG:
        return still
    return replace(still, alpha=None, notes=(*still.notes, "transparency was left out; .png and .webp hold it"))


def _decoded(data: NDArray[np.uint8]) -> tuple[NDArray | None, dict[int, NDArray[np.uint8]], bool]:
    """The picture in `data` as OpenCV gives it, None where it cannot; its metadata; whether there are more pictures."""
    with silent_opencv():
        try:
            pixels, kinds, parts = cv2.imdecodeWithMetadata(data, flags=cv2.IMREAD_UNCHANGED)
            several = bytes(data[:3]) != b"GIF" and cv2.imdecodemulti(data, cv2.IMREAD_UNCHANGED, range=(1, 2))[0]
        except cv2.error:  # Where there is nothing, or a header claims more pixels than OpenCV allows.
            return None, {}, False
    found = {kind: np.array(part, np.uint8).ravel() for kind, part in zip(kinds, parts, strict=True)}
    kept = (cv2.IMAGE_METADATA_EXIF, cv2.IMAGE_METADATA_ICCP, cv2.IMAGE_METADATA_XMP)
    return pixels, {kind: found[kind] for kind in kept if kind in found}, several


def _upright(pixels: NDArray[np.uint8], camera: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`pixels` turned and flipped as the EXIF data `camera` asks for, which then says that they are upright.

    CIPA DC-008, 4.6.5.1 (Orientation): where row 0 and column 0 belong.
    """
    order = "little" if bytes(camera[:2]) == b"II" else "big"

    def number(at: int, size: int = 2) -> int:
        return int.from_bytes(bytes(camera[at : at + size]), order)

    entries = number(4, 4)
    place = next(
        (e for e in range(entries + 2, entries + 2 + 12 * number(entries), 12) if number(e) == ORIENTATION), None
    )
    turn = 1 if place is None else number(place + 8)
    if place is None or not 2 <= turn <= 8:
        return pixels
    camera[place + 8 : place + 10] = list((1).to_bytes(2, order))
    pixels = pixels.swapaxes(0, 1) if turn > 4 else pixels
    pixels = pixels[::-1] if turn in (3, 4, 7, 8) else pixels
    return np.ascontiguousarray(pixels[:, ::-1] if turn in (2, 3, 6, 7) else pixels)


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    seconds[stage] = time.perf_counter() - began
