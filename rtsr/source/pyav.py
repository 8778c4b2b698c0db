"""Frames and packets of a media file, through PyAV."""

import os
from collections.abc import Generator, Iterator
from fractions import Fraction
from pathlib import Path
from threading import Event
from typing import Any, Self

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError, InvalidDataError
from av.sidedata.sidedata import SideDataContainer
from av.stream import Disposition, Stream
from av.video.plane import VideoPlane
from av.video.stream import VideoStream
from numpy.typing import NDArray

from rtsr.errors import SourceError
from rtsr.frame import MATRICES, Colour, Frame, GpuFrame, Video
from rtsr.part import WHOLE, Part
from rtsr.source.base import Copied, Item
from rtsr.source.cut import Cut
from rtsr.source.timeline import Timeline

BT709, UNSPECIFIED, BT601 = 1, 2, 6
FULL_RANGE = 2
HDR = {16: "PQ", 18: "HLG"}
"""Transfer functions of high dynamic range (H.273)."""
UNTIMED = ("avi", "h264", "hevc", "m4v", "mjpeg")
"""Containers that keep no presentation times."""
SOUGHT = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")
"""Containers with an index by time; in others, a part is found by decoding all that is before it."""
BACK = (0, 1, 4, 16, 64)
"""Seconds before a part at which a keyframe is looked for: an index may count in times of decoding."""
TEXTS = 10
"""More of them where there are subtitles, which Matroska keeps beside the pictures that they come up with."""
PLANAR_420 = ("yuv420p", "yuvj420p")


class PyAVSource:
    """The first video stream of `path` as frames, and its sound and subtitles as packets; or `part` of it, which is not
    looked for any more once `stop` is set.

    `video` describes the stream, `others` are the streams that are passed on, and `notes` say what is not, or
    not as it was. Raises SourceError for what cannot be opened, has no video, or ends before its time.
    """

    threads = "AUTO"
    """How FFmpeg decodes on several cores: whole frames, which come later for it, or slices."""
    joins = True
    """Whether a clock that begins anew goes on from where it was."""
    moves = False
    """Whether time counts from the first picture on even where all of the file is taken."""

    def __init__(self, path: Path | str, part: Part = WHOLE, stop: Event | None = None) -> None:
        self.path = Path(path)
        self.name = str(path)
        self.part = part
        self._stop = stop
        self._cut: Cut | None = None
        self.container = self._open()
        self._decoded = self._decode()
        try:
            self._stream = video_stream(self.container, self.name)
            self._stream.thread_type = self.threads
            rest = [stream for stream in self.container.streams if stream.index != self._stream.index]
            self.others = [stream for stream in rest if _copyable(stream)]
            lost = [stream for stream in rest if not _copyable(stream) and not self._holds_chapters(stream)]
            self.notes = [f"{_name(stream)} was left out" for stream in lost]
            self._span: tuple[int, int] | None = None
            self._end = 0.0
            self._timeline = Timeline() if self.joins else None
            self._early: list[Copied] = []
            self._first = self._read_first()
            self._zero = 0 if self._counts else self._first.pts or 0
            self.video = part.limit(_describe(self._stream, self._first, self.name))
            self.notes += _reductions(self._stream, self._first)
        except BaseException:
            self.__exit__()
            raise

    @property
    def stream(self) -> VideoStream:
        """PyAV's stream behind `video`, for its metadata."""
        return self._stream

    @property
    def metadata(self) -> dict[str, str]:
        """The file's own."""
        return self.container.metadata

    def _holds_chapters(self, stream: Stream) -> bool:
        """Whether `stream` is what MP4 keeps the names of chapters in, which are taken from there."""
        return stream.type == "data" and bool(self.container.chapters())

    def chapters(self) -> list:
        """As PyAV gives and takes them."""
        chapters = self.container.chapters()
        return self.part.chapters(chapters, self._zero * self.video.time_base) if self.part else chapters

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._decoded.close()  # Unfinished, it and this source refer to each other, and the decoder's threads live on.
        self.container.close()

    def items(self) -> Generator[Item, None, None]:
        """Every frame in order of presentation and every packet of the other streams, in file order. Runs once.

        Frames are 8-bit 4:2:0; other picture formats are converted, with the same matrix and range.
        """
        if not (self.part or self.moves):
            yield from self._items()
            return
        if self.part.start and self.container.format.name in SOUGHT:
            self._seek()
        self._cut = Cut(self.part, self._zero, self.video, self.others, self.name, self._stop)
        try:
            yield from self._cut.items(self._items())
        finally:
            self._decoded.close()  # What it has to say is part of the notes.

    @property
    def lead(self) -> Fraction:
        """Seconds by which the first frame of `part` follows its start."""
        return Fraction(0) if self._cut is None else self._cut.lead

    def _items(self) -> Generator[Item, None, None]:
        """From where the file was opened or sought, up to its end."""
        yield from self._early
        clock = Clock(self.video, self._counts)
        yield self._frame(self._first, clock)
        for item in self._decoded:
            yield item if isinstance(item, Copied) else self._frame(item, clock)
        self._check_complete()

    @property
    def _counts(self) -> bool:
        return self.container.format.name in UNTIMED

    def _seek(self) -> None:
        """Go on from the keyframe before the part; without one, from the start."""
        assert self._stream.time_base is not None
        begin = self._zero + self.part.start / self._stream.time_base
        texts = any(stream.type == "subtitle" for stream in self.others)
        for back in [back + (TEXTS if texts else 0) for back in BACK]:
            self._decoded.close()
            self._decoded, self._early = self._decode(), []
            self._timeline = Timeline() if self.joins else None
            at = max(self._zero, int(begin - back / self._stream.time_base))
            self.container.seek(at, stream=self._stream)
            try:
                self._first = self._read_first()
            except SourceError:
                if at == self._zero or back >= BACK[-1]:
                    raise
                continue
            if at == self._zero or (self._first.pts is not None and self._first.pts <= begin):
                break

    def _open(self) -> InputContainer:
        return _open(self.path)

    def _read_first(self) -> av.VideoFrame:
        for item in self._decoded:
            if not isinstance(item, Copied):
                return item
            self._early.append(item)
        raise SourceError(f"{self.name}: its video stream holds no pictures; record or export it again")

    def _packets(self) -> Iterator[av.Packet]:
        yield from self.container.demux([self._stream, *self.others])

    def _decode(self) -> Generator[av.VideoFrame | Copied, None, None]:
        damaged = 0
        try:
            for packet in self._packets():
                if self._timeline is not None:
                    self._timeline.place(packet)
                if packet.pts is not None and packet.time_base is not None:
                    self._end = max(self._end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
                if packet.stream.index != self._stream.index:
                    if packet.size:  # An empty one says that the file ends.
                        yield Copied(packet.stream.index, packet)
                    continue
                if packet.dts is not None:
                    start = packet.dts if self._span is None else self._span[0]
                    self._span = (start, packet.dts + (packet.duration or 0))
                try:
                    yield from self._stream.decode(packet)
                except InvalidDataError:
                    damaged += 1
        except FFmpegError as cause:
            raise SourceError(f"{self.name}: reading failed ({cause.strerror}); is the file complete?") from cause
        finally:  # However it ends: a live stream hardly ever does so of itself.
            if damaged:
                self.notes.append(f"{damaged} damaged video packets were left out, as a player would")
            if self._timeline is not None and (jumps := self._timeline.jumps):
                times = f"by {float(jumps[0]):.1f} s" if len(jumps) == 1 else f"{len(jumps)} times"
                self.notes.append(f"the clock goes back {times}; what follows was joined to what was before")

    def _frame(self, picture: av.VideoFrame, clock: "Clock") -> Frame | GpuFrame:
        self._check_size(picture)
        if picture.format.name not in PLANAR_420:
            picture = _to_planar_420(picture, self.video.colour)
        y, u, v = (_pixels(plane) for plane in picture.planes)
        pts, duration = clock.place(picture)
        return Frame(y, u, v, self.video.colour, pts, duration)

    def _check_size(self, picture: av.VideoFrame) -> None:
        if (picture.width, picture.height) != (self.video.width, self.video.height):
            raise SourceError(
                f"{self.name}: the picture size changes from {self.video.width}x{self.video.height} to "
                f"{picture.width}x{picture.height}; split the file there and upscale the parts"
            )

    def _check_complete(self) -> None:
        """A container that promises a longer video than it holds was cut off."""
        stream, base = self._stream, self.video.time_base
        if self.container.duration is None or self._span is None:
            return
        promised, found = self.container.duration / av.time_base, self._end
        if stream.duration is not None:
            promised, found = (
                min(promised, float(stream.duration * base)),
                float((self._span[1] - self._span[0]) * base),
            )
        if found < promised - max(0.5, 0.02 * promised):
            raise SourceError(
                f"{self.name} is cut off: {found:.1f} of {promised:.1f} s can be read; copy it again, or keep "
                "what is there with: ffmpeg -i IN -c copy FIXED.mp4"
            )


class Clock:
    """Gives every frame a time later than the one before, guessing where the file says none.

    Where the container `counts` frames instead of keeping their times, as AVI does, a frame is shown as long after the
    first as it is decoded: it has a number then, and numbers that are left out are frames that were dropped.
    """

    def __init__(self, video: Video, counts: bool) -> None:
        self.counts = counts
        self.usual = max(1, round(1 / ((video.rate or Fraction(25)) * video.time_base)))
        self.last: int | None = None
        self._zero: int | None = None
        """When the first frame was decoded."""
        self._step: int | None = None
        """Least time between two frames that were counted."""

    def place(self, picture: av.VideoFrame) -> tuple[int, int]:
        """Presentation time and duration in the stream's time base."""
        pts = self._counted(picture.dts) if self.counts else picture.pts
        if self.last is None:
            pts = pts or 0
        elif pts is None:
            pts = self.last + self.usual
        else:
            pts = max(pts, self.last + 1)
        self.last = pts
        return pts, self.usual if self.counts else picture.duration or self.usual

    def _counted(self, decoded: int | None) -> int | None:
        """The frame's time by when it is `decoded`; the last ones come without."""
        if self.last is None:
            self._zero = decoded
            return 0
        if decoded is None or self._zero is None:
            return None
        step = max(1, decoded - self._zero - self.last)
        self._step = self.usual = step if self._step is None else min(step, self._step)
        return self.last + step


def _open(path: Path) -> InputContainer:
    if not os.path.exists(path):  # Unlike Path's, it takes names that are too long, or hold a NUL character.
        raise SourceError(f"{path} does not exist; check the name")
    if path.is_dir():
        raise SourceError(f"{path} is a folder; name a video file in it")
    if path.is_file() and path.stat().st_size == 0:
        raise SourceError(f"{path} is empty; copy or record it again")
    try:
        container = av.open(str(path.absolute()))  # FFmpeg takes what stands before a colon for a protocol.
    except PermissionError as cause:
        raise SourceError(f"{path} may not be read; change its permissions") from cause
    except (FFmpegError, OSError, ValueError) as cause:
        raise SourceError(f"{path} is not a video that can be read, or it is cut off; does it play?") from cause
    if container.format.name == "tty":  # FFmpeg draws text files as pictures of letters.
        container.close()
        raise SourceError(f"{path} is not a video, but text; name a video file")
    return container


def video_stream(container: InputContainer, path: str) -> VideoStream:
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            if stream.codec_context is None:
                raise SourceError(f"{path}: no decoder for its video is built into PyAV; convert it to H.264 first")
            return stream
    found = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
    raise SourceError(f"{path} has no video stream (it has {found}); name a file with video")


def _copyable(stream: Stream) -> bool:
    return stream.type in ("audio", "subtitle") and stream.codec_context is not None


def _name(stream: Stream) -> str:
    cover = bool(stream.disposition & Disposition.attached_pic)
    kind = "cover picture" if cover else f"{stream.type} stream"
    codec = f" ({stream.codec_context.name})" if stream.codec_context is not None else ""
    return f"{kind} {stream.index}{codec}"


def _describe(stream: VideoStream, first: av.VideoFrame, path: str) -> Video:
    assert stream.time_base is not None
    code = int(first.colorspace)
    if code == UNSPECIFIED or first.format.is_rgb:
        code = BT709 if first.height >= 720 else BT601
    if code not in MATRICES:
        raise SourceError(f"{path}: colour matrix {code} (H.273) is not known to rtsr; convert it to BT.709 first")
    full = first.color_range == FULL_RANGE or first.format.name.startswith("yuvj")
    turned = _side_data(first, "DISPLAYMATRIX")
    return Video(
        width=first.width,
        height=first.height,
        colour=Colour(MATRICES[code], full, chroma_left=stream.codec_context.name != "mjpeg"),
        time_base=stream.time_base,
        rate=stream.average_rate or stream.guessed_rate,
        frames=stream.frames or _estimate(stream),
        sample_aspect=stream.sample_aspect_ratio or Fraction(1),
        matrix=code,
        primaries=int(first.color_primaries),
        transfer=int(first.color_trc),
        display_matrix=tuple(np.frombuffer(turned, np.int32).tolist()) if turned else None,
        rotation=first.rotation,
    )


def _side_data(picture: av.VideoFrame, kind: str) -> Any:
    """As `picture.side_data.get`, which would keep the picture until the next garbage collection."""
    container: Any = SideDataContainer  # PyAV's types leave out what it takes.
    return container(picture).get(kind)


def _reductions(stream: VideoStream, picture: av.VideoFrame) -> list[str]:
    """What 8-bit 4:2:0 cannot keep of `picture`."""
    lost = []
    components = picture.format.components
    if any(component.bits > 8 for component in components):
        lost.append(f"{components[0].bits} bits a sample became 8")
    if (transfer := HDR.get(int(picture.color_trc))) is not None:
        data = ", and its mastering data was left out" if _side_data(picture, "MASTERING_DISPLAY_METADATA") else ""
        lost.append(f"HDR ({transfer}) in 8 bits shows bands{data}; tone-map it to SDR first")
    if picture.format.name not in PLANAR_420 and len(components) >= 3 and picture.format.chroma_height(2) == 2:
        lost.append("chroma at full height became 4:2:0")
    # WebM's transparency is a stream of its own, which decoders skip.
    if stream.metadata.get("alpha_mode") == "1" or any(component.is_alpha for component in components):
        lost.append("transparency was left out")
    if picture.interlaced_frame:
        lost.append("interlaced pictures were upscaled as whole frames; deinterlace the input first")
    return lost


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
    """A read-only view of the plane's pixels, (H, W), that keeps the decoder's buffer alive: it may be needed there."""
    rows = np.frombuffer(memoryview(plane).toreadonly(), np.uint8).reshape(-1, plane.line_size)
    return rows[: plane.height, : plane.width]
