"""The audio nodes of a VapourSynth script as FLAC, in a temporary file."""

import heapq
from collections.abc import Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import ModuleType
from typing import IO, Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from numpy.typing import NDArray

from rtsr.errors import SourceError

MOST_CHANNELS = 8
"""As many as FLAC has."""
FLAC_BITS = 24
"""What FLAC keeps of a sample that has more than 16 bits."""


def encode_sound(vs: ModuleType, nodes: list[Any], path: Path) -> tuple[IO[bytes], list[str]]:
    """A temporary Matroska file with a FLAC stream for each of `nodes`, and notes on what it does not keep.

    It vanishes when closed. Raises SourceError, which names the script `path`, where a node cannot be read or has
    more channels than FLAC.
    """
    notes = []
    for node in nodes:
        if node.num_channels > MOST_CHANNELS:
            raise SourceError(f"{path}: sound of {node.num_channels} channels; mix it to 8 first (core.std.AudioMix)")
        if node.sample_type == vs.FLOAT:
            notes.append(f"sound of float samples became {FLAC_BITS} bits")
    file = NamedTemporaryFile(suffix=".mka")  # noqa: SIM115 (the caller closes it)
    try:
        with av.open(file.name, "w", format="matroska") as out:
            streams = [_add(out, vs, node) for node in nodes]
            packets = [_packets(vs, node, stream) for node, stream in zip(nodes, streams, strict=True)]
            for packet in heapq.merge(*packets, key=lambda packet: (packet.pts or 0) * (packet.time_base or 0)):
                out.mux(packet)
    except (vs.Error, FFmpegError, OSError) as cause:
        file.close()
        raise SourceError(f"{path}: its sound cannot be read: {str(cause).strip().splitlines()[-1]}") from cause
    return file, notes


def _add(out: OutputContainer, vs: ModuleType, node: Any) -> AudioStream:
    stream = out.add_stream("flac", rate=node.sample_rate, layout=_layout(node))
    assert isinstance(stream, AudioStream)
    stream.codec_context.format = "s16" if _narrow(vs, node) else "s32"
    return stream


def _layout(node: Any) -> str:
    """The node's channels for FFmpeg, whose mask has the same bits."""
    return hex(node.channel_layout)


def _narrow(vs: ModuleType, node: Any) -> bool:
    return node.sample_type == vs.INTEGER and node.bits_per_sample == 16


def _packets(vs: ModuleType, node: Any, stream: AudioStream) -> Iterator[Packet]:
    start = 0
    for block in node.frames(close=False):
        samples = np.stack([np.asarray(block[i]) for i in range(node.num_channels)], axis=1)
        whole = _as_whole(samples, None if node.sample_type == vs.FLOAT else node.bits_per_sample)
        form = "s16" if whole.dtype == np.int16 else "s32"
        frame = AudioFrame.from_ndarray(whole.reshape(1, -1), format=form, layout=_layout(node))
        frame.sample_rate, frame.pts = node.sample_rate, start
        start += len(samples)
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _as_whole(samples: NDArray, bits: int | None) -> NDArray[np.int16] | NDArray[np.int32]:
    """`samples` as int16, or with their highest bit on top of int32; `bits` None: floats in [-1, 1]."""
    if bits is None:
        steps = np.rint(np.clip(samples, -1, 1) * (2 ** (FLAC_BITS - 1) - 1)).astype(np.int32)
        return steps << 32 - FLAC_BITS
    # VapourSynth shows whole samples without their sign.
    return samples.view(np.int16) if bits == 16 else samples.view(np.int32) << 32 - bits
