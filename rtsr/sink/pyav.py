"""Encodes frames and muxes them with the source's other streams, through PyAV."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import av
import numpy as np
from av.codec.codec import UnknownCodecError
from av.container import OutputContainer
from av.error import FFmpegError
from av.stream import Stream
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from rtsr.errors import SinkError, UsageError
from rtsr.frame import Frame, Video
from rtsr.source.pyav import Copied, PyAVSource

CODE_POINTS = {"bt709": 1, "fcc": 4, "bt601": 6, "smpte240m": 7, "bt2020": 9}
"""H.273 matrix coefficients that the output is tagged with."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the output's video is encoded."""

    codec: str = "libx264"
    """Name of an encoder in PyAV's FFmpeg."""
    crf: int | None = None
    """Constant rate factor; lower is better and larger. None: 17 for x264, the encoder's own default elsewhere."""
    options: dict[str, str] = field(default_factory=dict)
    """Further options of the encoder, e.g. {"preset": "slow"}."""

    def __post_init__(self) -> None:
        try:
            codec = av.Codec(self.codec, "w")
        except (UnknownCodecError, ValueError) as cause:
            raise UsageError(
                f"unknown encoder {self.codec!r}; try libx264, libx265, libsvtav1 or libvpx-vp9"
            ) from cause
        if codec.type != "video":
            raise UsageError(f"{self.codec} encodes {codec.type}, not video; try libx264")
        if self.crf is not None and not 0 <= self.crf <= 63:
            raise UsageError(f"crf is between 0 (best) and 63, not {self.crf}")

    def as_options(self) -> dict[str, str]:
        """The encoder's options, as FFmpeg takes them."""
        crf = 17 if self.crf is None and self.codec == "libx264" else self.crf
        quality = {} if crf is None else {"crf": str(crf)}
        return {**quality, **self.options}


class PyAVSink:
    """Writes `video` to `path`, with the sound, subtitles, chapters and metadata of `source`.

    Everything goes to a file beside `path`, which takes its name only when `finish` was called: what is
    found under `path` is always whole. Raises SinkError for what cannot be written.
    """

    def __init__(self, path: Path, video: Video, source: PyAVSource, encoding: Encoding) -> None:
        self.path = path
        self.part = path.with_name(f".{path.stem}.part{path.suffix}")
        self.video = video
        self.notes: list[str] = []
        self.frames = 0
        self._span = (0, 0)
        self._container = _create(self.part, path)
        try:
            self._stream = self._add_video(encoding)
            self._copies = self._add_copies(source)
            self._container.metadata.update(_portable(source.container.metadata))
            self._container.set_chapters(source.container.chapters())
            self._container.start_encoding()
        except (FFmpegError, OSError) as cause:
            self.abandon()
            raise SinkError(f"cannot write {path}: {_reason(cause)}") from cause
        except BaseException:
            self.abandon()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.abandon()

    def write(self, item: Frame | Copied) -> None:
        """Encode a frame, or pass a packet on."""
        try:
            if isinstance(item, Frame):
                self._container.mux(self._stream.encode(self._picture(item)))
                start = self._span[0] if self.frames else item.pts
                self._span = (start, item.pts + item.duration)
                self.frames += 1
            elif item.stream in self._copies:
                item.packet.stream = self._copies[item.stream]
                self._container.mux(item.packet)
        except (FFmpegError, OSError, ValueError) as cause:
            raise SinkError(f"cannot write {self.path}: {_reason(cause)}") from cause

    def close(self) -> None:
        """Encode what the encoder still holds and complete the file beside the final name."""
        try:
            self._container.mux(self._stream.encode())
            self._container.close()
        except (FFmpegError, OSError, ValueError) as cause:
            raise SinkError(f"cannot write {self.path}: {_reason(cause)}") from cause

    def check(self) -> None:
        """Read the completed file back; raise SinkError unless frames, duration, size and tags are as meant."""
        video, seconds = self.video, float((self._span[1] - self._span[0]) * self.video.time_base)
        with PyAVSource(self.part) as written:
            got = written.video
            frames, found_seconds = written.measure()
        tags = (got.width, got.height, got.colour.matrix, got.colour.full_range, got.rotation)
        wanted = (video.width, video.height, video.colour.matrix, video.colour.full_range, video.rotation)
        if frames != self.frames or tags != wanted or abs(found_seconds - seconds) > max(0.1, 0.001 * seconds):
            raise SinkError(
                f"{self.path} was not kept, as it differs from what was meant: {frames} of {self.frames} "
                f"frames, {found_seconds:.2f} of {seconds:.2f} s, {tags} for {wanted}; try another --codec or file type"
            )

    def finish(self, path: Path | None = None) -> None:
        """Give the completed file its final name, or `path`."""
        try:
            os.replace(self.part, path or self.path)
        except OSError as cause:
            raise SinkError(f"cannot write {path or self.path}: {_reason(cause)}") from cause

    def abandon(self) -> None:
        """Remove what was not given a name; does nothing after `finish`."""
        try:
            self._container.close()
        except (FFmpegError, OSError, ValueError):
            pass  # The file is thrown away: that its end cannot be written no longer matters.
        finally:
            self.part.unlink(missing_ok=True)

    def _add_video(self, encoding: Encoding) -> VideoStream:
        video = self.video
        wanted = av.Codec(encoding.codec, "w").canonical_name
        if wanted not in self._container.supported_codecs and self._container.format.name != "mpegts":
            raise UsageError(f"{self.path.suffix} files cannot hold {wanted} video; name the output .mp4 or .mkv")
        options = encoding.as_options()
        stream = self._container.add_stream(encoding.codec, rate=video.rate or 25, options=options)
        context = stream.codec_context
        assert isinstance(stream, VideoStream) and isinstance(context, VideoCodecContext)
        stream.width, stream.height, stream.pix_fmt = video.width, video.height, "yuv420p"
        stream.time_base = context.time_base = video.time_base
        context.sample_aspect_ratio = video.sample_aspect
        context.colorspace = CODE_POINTS[video.colour.matrix]
        context.color_range = 2 if video.colour.full_range else 1
        context.color_primaries = video.primaries
        context.color_trc = video.transfer
        if video.display_matrix:
            stream.set_display_matrix(video.display_matrix)
        if wanted == "hevc" and self.path.suffix.lower() in (".mp4", ".mov", ".m4v"):
            context.codec_tag = "hvc1"  # Apple's players ignore FFmpeg's default, hev1.
        try:
            context.open()
        except (FFmpegError, ValueError) as cause:
            raise SinkError(
                f"{encoding.codec} does not accept {video.width}x{video.height} with {options} "
                f"({_reason(cause)}); check --crf and --encoder-option"
            ) from cause
        if unknown := ", ".join(sorted(set(options) & set(context.options))):
            raise UsageError(f"{encoding.codec} has no option {unknown}; see: ffmpeg -h encoder={encoding.codec}")
        return stream

    def _add_copies(self, source: PyAVSource) -> dict[int, Stream]:
        copies = {}
        for stream in source.others:
            try:
                copies[stream.index] = self._container.add_stream_from_template(stream)
            except (FFmpegError, ValueError):
                what = f"{stream.type} stream {stream.index} ({stream.codec_context.name})"
                self.notes.append(f"{what} does not fit into {self.path.suffix} and was left out; .mkv holds it")
        return copies

    def _picture(self, frame: Frame) -> av.VideoFrame:
        picture = av.VideoFrame(self.video.width, self.video.height, "yuv420p")
        for plane, pixels in zip(picture.planes, (frame.y, frame.u, frame.v), strict=True):
            rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
            rows[: plane.height, : plane.width] = pixels
        picture.pts, picture.duration, picture.time_base = frame.pts, frame.duration, self.video.time_base
        picture.colorspace = CODE_POINTS[self.video.colour.matrix]
        picture.color_range = 2 if self.video.colour.full_range else 1
        return picture


def check_output(path: Path, source: Path, overwrite: bool) -> None:
    """Raise before any work is done if `path` cannot become the output."""
    if path.is_dir():
        raise SinkError(f"{path} is a folder; name a file in it with -o")
    if not path.suffix:
        raise UsageError(f"the output {path} needs a file type, e.g. {path}.mp4")
    if path.exists() and source.exists() and path.samefile(source):
        raise SinkError(f"{path} is the input itself; name another output with -o")
    if path.exists() and not overwrite:
        raise SinkError(f"{path} exists already; choose another name with -o, or allow it with --overwrite")
    if not path.parent.is_dir():
        raise SinkError(f"the folder {path.parent} does not exist; make it first")
    if not os.access(path.parent, os.W_OK):
        raise SinkError(f"the folder {path.parent} may not be written to; choose another with -o")


def holding_suffix(source: PyAVSource, encoding: Encoding) -> str:
    """File type of the first container that holds the encoder and all copied streams: the source's own, .mp4, .mkv."""
    codecs = {av.Codec(encoding.codec, "w").canonical_name}
    codecs |= {stream.codec_context.codec.canonical_name for stream in source.others}
    own = source.path.suffix.lower()
    with TemporaryDirectory() as scratch:
        for suffix in (own, ".mp4", ".mkv"):
            try:
                with av.open(f"{scratch}/probe{suffix}", "w") as container:
                    if codecs <= container.supported_codecs:
                        return suffix
            except ValueError:
                continue  # Not a file type that anything can be written to.
    return ".mkv"


def _create(part: Path, path: Path) -> OutputContainer:
    options = {"movflags": "+faststart"} if path.suffix.lower() in (".mp4", ".mov", ".m4v") else {}
    try:
        return av.open(str(part), "w", options=options)
    except (FFmpegError, OSError, ValueError) as cause:
        raise UsageError(f"{path}: {path.suffix!r} is not a video file type; try .mp4 or .mkv") from cause


def _portable(metadata: dict[str, str]) -> dict[str, str]:
    """Metadata of the content, without what describes the file that it came from."""
    own = {"major_brand", "minor_version", "compatible_brands", "encoder", "duration"}
    return {key: value for key, value in metadata.items() if key.lower() not in own}


def _reason(cause: Exception) -> str:
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
