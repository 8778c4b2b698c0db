"""Encodes frames and muxes them with the source's other streams, through PyAV."""

import gc
import os
from array import array
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Self

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.codec.hwaccel import HWAccel
from av.container import OutputContainer
from av.error import FFmpegError
from av.stream import Stream
from av.video.codeccontext import VideoCodecContext
from av.video.frame import CudaContext
from av.video.stream import VideoStream

from rtsr.errors import SinkError, SourceError, UsageError
from rtsr.frame import Frame, GpuFrame, Video
from rtsr.sink.dlpack import picture_of
from rtsr.sink.encoding import PIXELS, Encoding
from rtsr.sink.metadata import from_phones, missing, portable
from rtsr.sink.names import TIMED, finish_as, mp4_family, spare_name
from rtsr.source.base import Copied, Item, Source
from rtsr.source.pyav import PyAVSource

IN_MPEGTS = {"h264", "hevc", "mpeg2video", "mpeg4", "aac", "ac3", "eac3", "mp2", "mp3", "opus", "dvb_subtitle"}

CHANNELS = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
"""FFmpeg's layouts by default (av_channel_layout_default)."""


class PyAVSink:
    """Writes `video` to `path`, with the sound, subtitles, chapters and metadata of `source`.

    With `gpu`, the index of one, an encoder there (NVENC) takes `GpuFrame`s of its primary context as they are, each
    waited for before it is written.

    Everything goes to a file of another name beside `path`, which takes its own only in `finish`: what is
    found under `path` is always whole. Raises SinkError for what cannot be written, UsageError for what
    `path`'s file type or the encoder cannot hold.
    """

    how_kept = "are kept in"
    """What is said of frames before the name that `keep` returns."""

    def __init__(
        self,
        path: Path,
        video: Video,
        source: Source,
        encoding: Encoding,
        overwrite: bool = False,
        gpu: int | None = None,
    ) -> None:
        self.path = path
        self.video = video
        self._gpu = None if gpu is None else CudaContext(gpu)
        self.overwrite = overwrite
        self.notes: list[str] = []
        self._times = array("q")
        self._last_duration = 0
        self._closed = False
        self._metadata = portable(source.metadata)
        self._container = self._open()
        try:
            self._stream = self._add_video(source, encoding)
            self._copies = self._add_copies(source)
            self._container.metadata.update(self._metadata)
            self._container.set_chapters(source.chapters())
            self._container.start_encoding()
        except (FFmpegError, OSError) as cause:
            self.abandon()
            raise SinkError(f"cannot write {self.name}: {_reason(cause)}") from cause
        except BaseException:
            self.abandon()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.abandon()
        if self._gpu is not None:
            # The memory of its frames may be freed next, and not before the encoder, which PyAV keeps in a cycle.
            del self._stream, self._copies, self._container
            gc.collect()

    def write(self, item: Item) -> None:
        """Encode a frame, or pass a packet on."""
        try:
            if not isinstance(item, Copied):
                self._container.mux(self._stream.encode(self._picture(item)))
                self._times.append(item.pts)
                self._last_duration = item.duration
            elif item.stream in self._copies:
                item.packet.stream = self._copies[item.stream]
                self._container.mux(item.packet)
        except (FFmpegError, OSError, ValueError) as cause:
            raise SinkError(f"cannot write {self.name}: {_reason(cause)}") from cause

    def close(self) -> None:
        """Encode what the encoder still holds and complete the file beside the final name."""
        if self._closed:
            return
        try:
            packets = self._stream.encode()
            for packet in packets:
                if self.frames < 3:  # x265 leaves decode times unset then; so few are decoded as they are shown.
                    packet.dts = packet.pts
                # The last frame and the last packet end the track; with B-frames they are not the same.
                if packet.time_base and (packet is packets[-1] or packet.pts == max(p.pts or 0 for p in packets)):
                    packet.duration = round(self._last_duration * self.video.time_base / packet.time_base)
            self._container.mux(packets)
            self._container.close()
            self._closed = True
        except (FFmpegError, OSError, ValueError) as cause:
            raise SinkError(f"cannot write {self.name}: {_reason(cause)}") from cause

    def check(self) -> None:
        """Read the completed file back; raise SinkError unless every frame's time, size and tags are as meant."""
        video = self.video
        try:
            with PyAVSource(self.part) as written:
                got, lost = written.video, missing(self._metadata, written.metadata)
            times = _packet_times(self.part)
        except (SourceError, FFmpegError) as cause:
            raise SinkError(f"{self.path}: what was written cannot be read back") from cause
        wanted = [(time - self._times[0]) * float(video.time_base) for time in self._times]
        found = [time - times[0] for time in times]
        if len(found) != len(wanted):
            raise SinkError(f"{self.path} is not as meant: it holds {len(found)} of {len(wanted)} frames")
        late = max(abs(a - b) for a, b in zip(wanted, found, strict=True))
        # Matroska and FLV count milliseconds.
        if late > 0.002:
            raise SinkError(f"{self.path} is not as meant: its frames are up to {late:.3f} s off; name it .mp4 or .mkv")
        tags = (got.width, got.height, got.matrix, got.colour.full_range, _turn(got))
        meant = (video.width, video.height, video.matrix, video.colour.full_range, _turn(video))
        if tags != meant:
            raise SinkError(f"{self.path} is not as meant: {tags} was written for {meant}; name it .mp4 or .mkv")
        if lost:
            said = f"does not fit into {self.path.suffix} and was left out; .mkv holds it"
            self.notes.append(f"metadata ({', '.join(lost)}) {said}")

    @property
    def name(self) -> str:
        """Of what is written to, for messages."""
        return str(self.path)

    @property
    def kind(self) -> str:
        """What is written, for messages; more than one of it."""
        return f"{self.path.suffix} files"

    @property
    def frames(self) -> int:
        """How many were written; after `keep`, how many of them are kept."""
        return len(self._times)

    def finish(self, partial: bool = False) -> Path | str:
        """Give the completed file its final name, or a `partial` one's, and return it.

        A file that came to be there meanwhile is replaced only where overwriting was allowed.
        """
        path = self.path.with_name(f"{self.path.stem}.partial{self.path.suffix}") if partial else self.path
        return finish_as(self.part, path, self.overwrite and not partial)

    def keep(self) -> Path | str:
        """Complete what was written so far, as well as can be, and return where it is, under a partial name.

        Raises SinkError where that cannot be read back.
        """
        try:
            self.close()
        except SinkError:  # Some kinds of files are read without their end.
            self._abort()
        try:
            with PyAVSource(self.part):
                del self._times[len(_packet_times(self.part)) :]
        except (SourceError, FFmpegError) as cause:
            raise SinkError(f"{self.path}: what was written cannot be read back") from cause
        return self.finish(partial=True)

    def abandon(self) -> None:
        """Remove what was not given a name; does nothing after `finish`."""
        try:
            self._abort()
        finally:
            self.part.unlink(missing_ok=True)

    def _abort(self) -> None:
        # What was written is thrown away: that its end cannot be written does not matter.
        with suppress(FFmpegError, OSError, ValueError):
            self._container.close()

    def _open(self) -> OutputContainer:
        self.part = spare_name(self.path)
        return _create(self.part, self.path, self._metadata)

    def _add_video(self, source: Source, encoding: Encoding) -> VideoStream:
        video = self.video
        wanted = av.Codec(encoding.codec, "w").canonical_name
        if not _holds(self._container, {wanted}):
            other = ", or add --codec libvpx-vp9" if self.path.suffix.lower() == ".webm" else ""
            raise UsageError(f"{self.kind} cannot hold {wanted} video; write an .mp4 or .mkv file{other}")
        os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 prints a banner otherwise.
        options = encoding.as_options()
        gpu = None if self._gpu is None else HWAccel("cuda", device=self._gpu.device_id, is_hw_owned=True)
        stream = self._container.add_stream(encoding.codec, rate=video.rate or 25, options=options, hwaccel=gpu)
        context = stream.codec_context
        assert isinstance(stream, VideoStream) and isinstance(context, VideoCodecContext)
        stream.width, stream.height, stream.pix_fmt = video.width, video.height, "nv12" if gpu else PIXELS
        stream.time_base = context.time_base = video.time_base
        context.sample_aspect_ratio = video.sample_aspect
        context.colorspace = video.matrix
        context.color_range = 2 if video.colour.full_range else 1
        context.color_primaries = video.primaries
        context.color_trc = video.transfer
        if video.display_matrix:
            if not (mp4_family(self.path) or self.path.suffix.lower() == ".mkv"):
                raise UsageError(f"{self.kind} keep no rotation; write an .mp4 or .mkv file")
            stream.set_display_matrix(video.display_matrix)
        if source.stream is not None:
            _describe_as(source.stream, stream)
        if wanted == "hevc" and mp4_family(self.path):
            context.codec_tag = "hvc1"  # Apple's players ignore FFmpeg's default, hev1.
        try:
            context.open()
        except (FFmpegError, ValueError) as cause:
            said = " ".join(f"{key}={value}" for key, value in options.items())
            raise SinkError(
                f"{encoding.codec} does not accept {video.width}x{video.height} at a time base of {video.time_base}"
                f"{' with ' + said if said else ''} ({_reason(cause)}); check --crf and --encoder-option, or use "
                f"{encoding.instead}; rtsr doctor says which encoders work here"
            ) from cause
        if unknown := ", ".join(sorted(set(options) & set(context.options))):
            raise UsageError(f"{encoding.codec} has no option {unknown}; see: ffmpeg -h encoder={encoding.codec}")
        return stream

    def _add_copies(self, source: Source) -> dict[int, Stream]:
        copies = {}
        for stream in source.others:
            name = stream.codec_context.codec.canonical_name
            try:
                if not _holds(self._container, {name}):
                    raise ValueError(name)
                copy = self._container.add_stream_from_template(stream)
                self._name_channels(copy)
                copies[stream.index] = copy
            except (FFmpegError, ValueError):
                what = f"{stream.type} stream {stream.index} ({name})"
                self.notes.append(f"{what} does not fit into {self.path.suffix} and was left out; .mkv holds it")
            else:
                _describe_as(stream, copies[stream.index])
        return copies

    def _name_channels(self, copy: Stream) -> None:
        """Give `copy` the usual channels where only their number is known, as of PCM in AVI: MP4 insists on names.

        Raises ValueError where there are no usual ones for an MP4 file.
        """
        context = copy.codec_context
        if not isinstance(context, AudioCodecContext) or not context.layout.name.endswith(" channels"):
            return
        if context.layout.nb_channels in CHANNELS:
            context.layout = CHANNELS[context.layout.nb_channels]
        elif mp4_family(self.path):
            raise ValueError(context.layout.name)

    def _picture(self, frame: Frame | GpuFrame) -> av.VideoFrame:
        picture = picture_of(frame, self._gpu) if isinstance(frame, GpuFrame) else _planar(frame)
        picture.pts, picture.duration, picture.time_base = frame.pts, frame.duration, self.video.time_base
        picture.colorspace = self.video.matrix
        picture.color_range = 2 if self.video.colour.full_range else 1
        return picture


def _planar(frame: Frame) -> av.VideoFrame:
    picture = av.VideoFrame(frame.width, frame.height, PIXELS)
    for plane, pixels in zip(picture.planes, (frame.y, frame.u, frame.v), strict=True):
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        rows[: plane.height, : plane.width] = pixels
    return picture


def _packet_times(path: Path) -> list[float]:
    """Presentation times of the pictures in `path`, in seconds and in order."""
    with av.open(str(path.absolute())) as container:
        base = float(container.streams.video[0].time_base or 0)
        return sorted(packet.pts * base for packet in container.demux(video=0) if packet.pts is not None)


def _turn(video: Video) -> list[float]:
    """The part of the display matrix that turns and flips; Matroska keeps no more of it."""
    matrix = video.display_matrix or (65536, 0, 0, 0, 65536)
    return [round(matrix[i] / 65536, 2) + 0.0 for i in (0, 1, 3, 4)]


def holding_suffix(source: Source, encoding: Encoding, rotated: bool) -> str:
    """File type of the first container that holds the encoder and all that is kept of `source`: its own, .mp4, .mkv."""
    codecs = {av.Codec(encoding.codec, "w").canonical_name}
    codecs |= {stream.codec_context.codec.canonical_name for stream in source.others}
    own = source.path.suffix
    for suffix in (own, ".mp4", ".mkv"):
        if rotated and suffix.lower() in (".ts", ".mts", ".m2ts", ".webm", ".flv"):
            continue
        if suffix.lower() in TIMED:
            with NamedTemporaryFile(suffix=suffix) as scratch, av.open(scratch.name, "w") as container:
                if _holds(container, codecs):
                    return suffix
    return ".mkv"


def _holds(container: OutputContainer, codecs: set[str]) -> bool:
    if container.format.name == "mpegts":  # FFmpeg's MPEG-TS muxer does not say what it holds.
        return codecs <= IN_MPEGTS
    return codecs <= container.supported_codecs


def _create(part: Path, path: Path, metadata: Mapping[str, str]) -> OutputContainer:
    options = {"movflags": "+faststart", "movie_timescale": "90000"} if mp4_family(path) else {}
    if options and from_phones(metadata):  # Else titles and the like stay where all players look.
        options["movflags"] += "+use_metadata_tags"
    try:
        return av.open(str(part.absolute()), "w", options=options)
    except (FFmpegError, OSError, ValueError) as cause:
        part.unlink(missing_ok=True)
        raise SinkError(f"cannot write {path}: {_reason(cause)}") from cause


def _describe_as(stream: Stream, copy: Stream) -> None:
    """Give `copy` the language, title and role of `stream`."""
    copy.metadata.update(portable(stream.metadata))
    copy.disposition = stream.disposition


def _reason(cause: Exception) -> str:
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
