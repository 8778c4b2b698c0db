"""Sound that is copied into other kinds of files."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.audio.frame import AudioFrame

from rtsr.job import Job
from rtsr.pipeline import run
from tests.media import make_video


def with_pcm(path: Path, codec: str, layout: str) -> Path:
    """Pictures with uncompressed sound, whose channels the file counts but does not name."""
    pictures = make_video(path.with_suffix(".mp4"), frames=20, codec="mpeg4", audio=False)
    with av.open(str(pictures)) as source, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        sound = out.add_stream(codec, rate=48000, layout=layout)
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
        wave = np.arange(1600 * sound.layout.nb_channels, dtype=np.int16)[None]
        for number in range(20):
            frame = AudioFrame.from_ndarray(wave, format="s16", layout=layout)
            frame.sample_rate, frame.pts = 48000, 1600 * number
            out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
    return path


def samples(path: Path) -> bytes:
    with av.open(str(path)) as source:
        return b"".join(bytes(packet) for packet in source.demux(audio=0))


@pytest.mark.parametrize("suffix", [".avi", ".mkv"])
@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1"])
def test_pcm_of_unnamed_channels_fits_into_mp4(tmp_path: Path, suffix: str, layout: str) -> None:
    source = with_pcm(tmp_path / f"in{suffix}", "pcm_s16le", layout)
    report = run(Job(source, tmp_path / "out.mp4", Fraction(2), engine="bicubic"))
    assert report.notes == ()
    with av.open(report.output) as made:
        assert made.streams.audio[0].layout.name == {"mono": "1 channels"}.get(layout, layout)  # As FFmpeg reads it.
    assert samples(Path(report.output)) == samples(source) != b""


def test_channels_without_usual_names_are_left_out_of_mp4(tmp_path: Path) -> None:
    source = with_pcm(tmp_path / "in.mkv", "pcm_s16le", "hexadecagonal")
    report = run(Job(source, tmp_path / "out.mp4", Fraction(2), engine="bicubic"))
    assert report.notes == ("audio stream 1 (pcm_s16le) does not fit into .mp4 and was left out; .mkv holds it",)
