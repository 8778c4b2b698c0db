"""Frames and packets of a media file, through PyAV."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Self

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError, InvalidDataError
from av.stream import Disposition, Stream
from av.video.plane import VideoPlane
from av.video.stream import VideoStream
from numpy.typing import NDArray

from rtsr.errors import SourceError
from rtsr.frame import Colour, Frame, Video

MATRICES = {1: "bt709", 4: "fcc", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020", 10: "bt2020"}
"""Matrix coefficients by H.273 code point."""
UNSPECIFIED = 2
FULL_RANGE = 2
PLANAR_420 = ("yuv420p", "yuvj420p")


@dataclass(frozen=True, slots=True)
class Copied:
    """A packet of another stream (sound, subtitles) on its way to the output, untouched."""

    stream: int
    """Index of the stream in the source."""
    packet: av.Packet


class PyAVSource:
    """The first video stream of `path` as frames, and every other stream as packets.

    Raises SourceError for what cannot be opened, has no video, or ends before its time.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.container = _open(path)
        try:
            self._stream = _video_stream(self.container, path)
            self._stream.thread_type = "AUTO"
            self.others = [s for s in self.container.streams if s.index != self._stream.index and _copyable(s)]
            self.notes: list[str] = []
            self._decoded = self._decode()
            self._early: list[Copied] = []
            self._first = self._read_first()
            self.video = _describe(self._stream, self._first)
        except BaseException:
            self.container.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.container.close()

    def items(self) -> Iterator[Frame | Copied]:
        """Every frame in order of presentation and every packet of the other streams, in file order. Runs once.

        Frames are 8-bit 4:2:0; other picture formats are converted, with the same matrix and range.
        """
        yield from self._early
        clock = _Clock(self.video)
        yield self._frame(self._first, clock)
        for item in self._decoded:
            if isinstance(item, Copied):
                yield item
            else:
                yield self._frame(item, clock)
        self._check_complete(clock)

    def measure(self) -> tuple[int, float]:
        """Number of pictures and the seconds from the first to the end of the last, without decoding them."""
        starts, ends = [], []
        with _open(self.path) as container:
            for packet in container.demux(video=0):
                if packet.pts is not None:
                    starts.append(packet.pts)
                    ends.append(packet.pts + (packet.duration or 0))
        return len(starts), float((max(ends, default=0) - min(starts, default=0)) * self.video.time_base)

    def _read_first(self) -> av.VideoFrame:
        for item in self._decoded:
            if not isinstance(item, Copied):
                return item
            self._early.append(item)
        raise SourceError(f"{self.path}: its video stream holds no pictures; record or export it again")

    def _decode(self) -> Iterator[av.VideoFrame | Copied]:
        damaged = 0
        try:
            for packet in self.container.demux([self._stream, *self.others]):
                if packet.stream.index != self._stream.index:
                    if packet.dts is not None:
                        yield Copied(packet.stream.index, packet)
                    continue
                try:
                    yield from self._stream.decode(packet)
                except InvalidDataError:
                    damaged += 1
        except FFmpegError as cause:
            raise SourceError(f"{self.path}: reading failed ({cause.strerror}); is the file complete?") from cause
        if damaged:
            self.notes.append(f"{damaged} damaged video packets were left out, as a player would")

    def _frame(self, picture: av.VideoFrame, clock: "_Clock") -> Frame:
        if (picture.width, picture.height) != (self.video.width, self.video.height):
            raise SourceError(
                f"{self.path}: the picture size changes from {self.video.width}x{self.video.height} to "
                f"{picture.width}x{picture.height}; split the file there and upscale the parts"
            )
        if picture.format.name not in PLANAR_420:
            picture = _to_planar_420(picture, self.video.colour)
        y, u, v = (_pixels(plane) for plane in picture.planes)
        pts, duration = clock.place(picture)
        return Frame(y, u, v, self.video.colour, pts, duration)

    def _check_complete(self, clock: "_Clock") -> None:
        """A container that promises a longer video than it holds was cut off."""
        if self._stream.duration is None or self.container.duration is None:
            return
        promised = min(float(self._stream.duration * clock.base), self.container.duration / av.time_base)
        found = float((clock.end - clock.start) * clock.base)
        if found < promised - max(0.5, 0.02 * promised):
            raise SourceError(
                f"{self.path} is cut off: {found:.1f} of {promised:.1f} s can be read; copy it again, or keep "
                "what is there with: ffmpeg -i IN -c copy FIXED.mp4"
            )


class _Clock:
    """Gives every frame a time later than the one before, guessing where the file says none."""

    def __init__(self, video: Video) -> None:
        self.base = video.time_base
        self.usual = max(1, round(1 / ((video.rate or Fraction(25)) * video.time_base)))
        self.start = self.end = 0
        self.last: int | None = None

    def place(self, picture: av.VideoFrame) -> tuple[int, int]:
        """Presentation time and duration in the stream's time base."""
        pts = picture.pts
        if self.last is None:
            pts = self.start = pts or 0
        elif pts is None or pts <= self.last:
            pts = max(self.end, self.last + 1)
        duration = picture.duration or self.usual
        self.last, self.end = pts, pts + duration
        return pts, duration


def _open(path: Path) -> InputContainer:
    if not path.exists():
        raise SourceError(f"{path} does not exist; check the name")
    if path.is_dir():
        raise SourceError(f"{path} is a folder; name a video file in it")
    if path.is_file() and path.stat().st_size == 0:
        raise SourceError(f"{path} is empty; copy or record it again")
    try:
        return av.open(str(path))
    except PermissionError as cause:
        raise SourceError(f"{path} may not be read; change its permissions") from cause
    except (FFmpegError, OSError, ValueError) as cause:
        raise SourceError(f"{path} is not a video that can be read, or it is cut off; does it play?") from cause


def _video_stream(container: InputContainer, path: Path) -> VideoStream:
    pictures = Disposition.attached_pic
    for stream in container.streams.video:
        if not stream.disposition & pictures:
            if stream.codec_context is None:
                raise SourceError(f"{path}: no decoder for its video is built into PyAV; convert it to H.264 first")
            return stream
    found = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
    raise SourceError(f"{path} has no video stream (it has {found}); name a file with video")


def _copyable(stream: Stream) -> bool:
    return stream.type in ("audio", "subtitle") and stream.codec_context is not None


def _describe(stream: VideoStream, first: av.VideoFrame) -> Video:
    assert stream.time_base is not None
    code = int(first.colorspace)
    matrix = MATRICES.get(code, "bt709" if first.height >= 720 else "bt601")
    full = first.color_range == FULL_RANGE or first.format.name.startswith("yuvj")
    turned = first.side_data.get("DISPLAYMATRIX")
    return Video(
        width=first.width,
        height=first.height,
        colour=Colour(matrix, full, chroma_left=stream.codec_context.name != "mjpeg"),
        time_base=stream.time_base,
        rate=stream.average_rate or stream.guessed_rate,
        frames=stream.frames or _estimate(stream),
        sample_aspect=stream.sample_aspect_ratio or Fraction(1),
        primaries=int(first.color_primaries),
        transfer=int(first.color_trc),
        display_matrix=tuple(np.frombuffer(turned, np.int32).tolist()) if turned else None,
        rotation=first.rotation,
    )


def _estimate(stream: VideoStream) -> int:
    seconds = None
    if stream.duration is not None and stream.time_base is not None:
        seconds = stream.duration * stream.time_base
    elif isinstance(stream.container, InputContainer) and stream.container.duration is not None:
        seconds = Fraction(stream.container.duration, av.time_base)
    return round(seconds * stream.average_rate) if seconds and stream.average_rate else 0


def _to_planar_420(picture: av.VideoFrame, colour: Colour) -> av.VideoFrame:
    """`picture` as 8-bit 4:2:0. RGB becomes YCbCr of `colour`; YCbCr keeps its matrix and range."""
    levels = "JPEG" if colour.full_range else "MPEG"
    matrix = {"bt709": "ITU709", "bt601": "ITU601", "smpte240m": "SMPTE240M", "fcc": "FCC"}.get(colour.matrix, 9)
    if picture.format.is_rgb:
        return picture.reformat(format="yuv420p", dst_colorspace=matrix, dst_color_range=levels)
    return picture.reformat(
        format="yuv420p",
        src_colorspace=matrix,
        dst_colorspace=matrix,
        src_color_range=levels,
        dst_color_range=levels,
        interpolation="BICUBIC",
    )


def _pixels(plane: VideoPlane) -> NDArray[np.uint8]:
    """A view of the plane's pixels, (H, W), that keeps the decoder's buffer alive."""
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return rows[: plane.height, : plane.width]
