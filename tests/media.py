"""Makes real little videos for tests, and reads back what tests ask about."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.container import OutputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

FINE = Fraction(1, 90000)
"""Time base of videos with given timestamps."""

AUDIO_RATE = 48000
AUDIO_BLOCK = 1024
INDEX_BITS = 6

UNSPECIFIED = 2
MATRICES = {"bt709": 1, "bt601": 6, "bt2020": 9}
"""H.273 code points, for matrix, primaries and transfer alike where they have the same."""
TRANSFERS = {"bt709": 1, "bt601": 6, "bt2020": 14}


@dataclass(frozen=True, slots=True)
class Probe:
    """What is in a video file, read by decoding all of it."""

    frames: int
    """Decoded video frames."""
    seconds: tuple[float, ...]
    """Presentation time of each frame, in seconds."""
    size: tuple[int, int]
    """Stored width and height, before rotation."""
    rotation: int
    """Of the display matrix, in degrees, counter-clockwise."""
    matrix: int
    """H.273 code point, 2 where untagged; so are primaries and transfer."""
    full_range: bool
    range_tagged: bool
    primaries: int
    transfer: int
    sample_aspect: Fraction
    """Width over height of a pixel; 1 where unknown."""
    pix_fmt: str
    video_codec: str
    audio_codecs: tuple[str, ...]
    """One per audio stream."""
    audio_packets: int
    """In all audio streams."""
    audio_bytes: int
    duration: float
    """Of the container, in seconds."""
    metadata: dict[str, str]
    """Of the container."""


def make_unreadable_colours(path: Path) -> Path:
    """Write a picture's video in YCgCo (H.273, matrix 8), which rtsr does not know, to `path`, and return the path."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.colorspace = 8
        out.mux(stream.encode(picture(0, (64, 48))))
        out.mux(stream.encode(None))
    return path


def make_video(
    path: Path,
    *,
    frames: int = 20,
    size: tuple[int, int] = (64, 48),
    rate: int | Fraction = 30,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    pts: Sequence[int] | None = None,
    audio: bool = True,
    rotation: int = 0,
    matrix: str | None = "bt709",
    full_range: bool = False,
    sample_aspect: Fraction | None = None,
    title: str | None = None,
    still: bool = False,
    keyframes: int | None = None,
) -> Path:
    """Write a video of `frames` pictures (see `picture`) to `path`, and return the path.

    `pts` are timestamps in 1/90000 s for a variable frame rate, one per frame; they replace `rate`.
    `rotation` is in degrees, counter-clockwise. `matrix` is a key of `MATRICES`, None leaves colour untagged.
    `still` shows the first picture for the whole video. Odd sizes need a codec that takes them: `ffv1` or
    `mpeg4` for 4:2:0, in Matroska; libx264 with `yuv444p`. `keyframes` counts the frames from one to the next;
    by default the encoder chooses.
    """
    base = FINE if pts is not None else 1 / Fraction(rate)
    times = list(pts) if pts is not None else list(range(frames))
    if len(times) != frames:
        raise ValueError(f"{frames} frames need as many timestamps, got {len(times)}")
    with av.open(str(path), "w") as out:
        if title is not None:
            out.metadata["title"] = title
        stream = out.add_stream(codec, rate=rate)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = size
        stream.pix_fmt = pix_fmt
        stream.time_base = base
        if keyframes is not None:
            stream.codec_context.gop_size = keyframes
        context = stream.codec_context
        context.time_base = base
        if sample_aspect is not None:
            context.sample_aspect_ratio = sample_aspect
        if matrix is not None:
            context.colorspace = context.color_primaries = MATRICES[matrix]
            context.color_trc = TRANSFERS[matrix]
        context.color_range = 2 if full_range else 1 if matrix is not None else 0
        if rotation:
            stream.set_display_rotation(rotation)
        sound = (
            _sine(out, (times[-1] + 1) * base if pts is None else times[-1] * base + Fraction(1, 30)) if audio else []
        )
        packets = list(sound)
        for number, time in enumerate(times):
            frame = picture(0 if still else number, size, pix_fmt)
            frame.pts, frame.time_base = time, base
            frame.color_range, frame.colorspace = context.color_range, context.colorspace
            frame.color_primaries, frame.color_trc = context.color_primaries, context.color_trc
            packets += stream.encode(frame)
        packets += stream.encode(None)
        for packet in sorted(packets, key=_decode_time):
            out.mux(packet)
    return path


def picture(number: int, size: tuple[int, int], pix_fmt: str = "yuv420p") -> VideoFrame:
    """A frame of its own for each `number`: a square moves over a coloured ramp, a bar code tells the number."""
    width, height = size
    frame = VideoFrame(width, height, pix_fmt)
    for index, plane in enumerate(frame.planes):
        rows, columns = np.mgrid[0 : plane.height, 0 : plane.width]
        if index == 0:
            values = 60 + 80 * columns / width + 40 * rows / height
            side = max(4, height // 4)
            left, top = (3 * number) % max(1, width - side), height // 2
            values[top : top + side, left : left + side] = 210
            for bit in range(INDEX_BITS):
                values[: height // 4, _stripe(bit, width)] = 220 if number >> bit & 1 else 30
        else:
            values = 128 + (40 if index == 1 else -40) * np.sin(columns / plane.width * np.pi + number / 10)
        padded = np.zeros((plane.height, plane.line_size), np.uint8)
        padded[:, : plane.width] = np.rint(values)
        plane.update(padded.tobytes())
    return frame


def picture_number(y: np.ndarray) -> int:
    """The number in the bar code of a luma plane (H, W) of any size, modulo 64: survives coding and upscaling."""
    height, width = y.shape
    bar = y[height // 16 : height * 3 // 16]
    bright = (float(bar[:, _stripe(bit, width)].mean()) > 125 for bit in range(INDEX_BITS))
    return sum(1 << bit for bit, lit in enumerate(bright) if lit)


def probe(path: Path) -> Probe:
    """What is in the video file `path`."""
    with av.open(str(path)) as source:
        sounds = [packet for packet in source.demux() if packet.size and packet.stream.type == "audio"]
    with av.open(str(path)) as source:
        stream = source.streams.video[0]
        pictures = list(source.decode(stream))
        context = stream.codec_context
        return Probe(
            frames=len(pictures),
            seconds=tuple(float(frame.time) for frame in pictures),
            size=(stream.width, stream.height),
            rotation=pictures[0].rotation if pictures else 0,
            matrix=context.colorspace,
            full_range=context.color_range == 2,
            range_tagged=context.color_range != 0,
            primaries=context.color_primaries,
            transfer=context.color_trc,
            sample_aspect=stream.sample_aspect_ratio or Fraction(1),
            pix_fmt=context.pix_fmt or "",
            video_codec=context.name,
            audio_codecs=tuple(sound.codec_context.name for sound in source.streams.audio),
            audio_packets=len(sounds),
            audio_bytes=sum(packet.size for packet in sounds),
            duration=(source.duration or 0) / av.time_base,
            metadata=dict(source.metadata),
        )


def luma(path: Path) -> list[np.ndarray]:
    """Luma planes (H, W) of all frames."""
    with av.open(str(path)) as source:
        return [_rows(frame) for frame in source.decode(video=0)]


def _rows(frame: VideoFrame) -> np.ndarray:
    plane = frame.planes[0]
    return np.frombuffer(bytes(plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]


def _stripe(bit: int, width: int) -> slice:
    return slice(bit * width // INDEX_BITS, (bit + 1) * width // INDEX_BITS)


def _sine(out: OutputContainer, seconds: Fraction) -> Iterator[Packet]:
    """AAC packets of a tone of 440 Hz, at least `seconds` long."""
    stream = out.add_stream("aac", rate=AUDIO_RATE)
    for start in range(0, int(seconds * AUDIO_RATE), AUDIO_BLOCK):
        wave = np.sin(2 * np.pi * 440 / AUDIO_RATE * np.arange(start, start + AUDIO_BLOCK)) / 4
        frame = AudioFrame.from_ndarray(wave.astype(np.float32)[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = AUDIO_RATE, start, Fraction(1, AUDIO_RATE)
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _decode_time(packet: Packet) -> Fraction:
    assert packet.dts is not None and packet.time_base is not None
    return packet.dts * packet.time_base
