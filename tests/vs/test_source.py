"""A script as the pipeline's source: its frames, times, sound and tags; and what a broken script says."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import rtsr
from rtsr.errors import SourceError, UsageError
from rtsr.frame import Frame
from rtsr.pipeline import Job, run
from rtsr.source.base import Copied
from rtsr.source.pyav import PyAVSource
from rtsr.source.vapoursynth import VapourSynthSource
from tests.media import luma, make_video, picture_number, probe
from tests.vs.clips import vs

LOSSLESS = rtsr.Encoding(crf=0)
HEAD = "import vapoursynth as vs\ncore = vs.core\n"


def script(folder: Path, body: str) -> Path:
    path = folder / "script.vpy"
    path.write_text(HEAD + body)
    return path


def opening(video: str, sound: str) -> str:
    return (
        f"core.bs.VideoSource('{video}', cachemode=0).set_output()\n"
        f"core.bs.AudioSource('{sound}', cachemode=0).set_output(1)\n"
    )


def test_frames_and_tags_are_those_of_the_file_that_it_opens(tmp_path: Path) -> None:
    make_video(tmp_path / "in.mp4", frames=10, matrix="bt601", sample_aspect=Fraction(4, 3))
    path = script(tmp_path, "core.bs.VideoSource('in.mp4', cachemode=0).set_output()\n")
    with PyAVSource(tmp_path / "in.mp4") as wanted, VapourSynthSource(path) as found:
        same = ("width", "height", "colour", "rate", "frames", "sample_aspect", "matrix", "primaries", "transfer")
        assert [getattr(found.video, name) for name in same] == [getattr(wanted.video, name) for name in same]
        frames = [item for item in found.items() if isinstance(item, Frame)]
        expected = [item for item in wanted.items() if isinstance(item, Frame)]
        assert len(frames) == len(expected) == 10
        for one, other in zip(frames, expected, strict=True):
            assert one.pts * found.video.time_base == other.pts * wanted.video.time_base
            for name in "yuv":
                assert np.array_equal(getattr(one, name), getattr(other, name))


def test_the_whole_job(tmp_path: Path) -> None:
    make_video(tmp_path / "in.mp4", frames=10)
    report = rtsr.upscale(script(tmp_path, opening("in.mp4", "in.mp4")), scale=1.5, encoding=LOSSLESS)
    done = probe(tmp_path / "script_1.5x.mp4")
    assert report.frames == done.frames == 10 and done.size == (96, 72)
    assert done.seconds == pytest.approx([n / 30 for n in range(10)], abs=1e-3)
    assert done.audio_codecs == ("flac",)
    rtsr.upscale(tmp_path / "in.mp4", tmp_path / "direct.mp4", scale=1.5, encoding=LOSSLESS)
    for one, other in zip(luma(tmp_path / "script_1.5x.mp4"), luma(tmp_path / "direct.mp4"), strict=True):
        assert np.array_equal(one, other)


def test_a_part_of_it(tmp_path: Path) -> None:
    make_video(tmp_path / "in.mp4", frames=60, keyframes=20)
    path = script(tmp_path, opening("in.mp4", "in.mp4"))
    report = rtsr.upscale(path, scale=1.5, engine="bicubic", start=1, duration=0.5)
    done = probe(tmp_path / "script_1.5x_1s-1.5s.mp4")
    assert report.frames == done.frames == 15
    assert [picture_number(plane) for plane in luma(tmp_path / "script_1.5x_1s-1.5s.mp4")] == list(range(30, 45))
    assert done.duration == pytest.approx(0.5, abs=0.1)  # Packets of FLAC are long.
    with pytest.raises(SourceError, match=r"there is no picture at 3\.00 s"):
        rtsr.upscale(path, scale=1.5, engine="bicubic", start=3)


@pytest.mark.parametrize("bits", [16, 24])
@pytest.mark.parametrize(
    ("channels", "layout"),
    [
        ("[vs.FRONT_LEFT]", {"FL"}),
        ("[vs.FRONT_LEFT, vs.FRONT_RIGHT]", {"FL", "FR"}),
        ("[vs.FRONT_LEFT, vs.FRONT_RIGHT, vs.FRONT_CENTER]", {"FL", "FR", "FC"}),
        ("[vs.FRONT_LEFT, vs.FRONT_RIGHT, vs.FRONT_CENTER, vs.BACK_CENTER]", {"FL", "FR", "FC", "BC"}),
    ],
)
def test_sound_arrives_sample_by_sample(tmp_path: Path, bits: int, channels: str, layout: set[str]) -> None:
    body = (
        "clip = core.std.BlankClip(format=vs.YUV420P8, width=64, height=48, length=25, fpsnum=25)\n"
        f"sound = core.std.BlankAudio(channels={channels}, bits={bits}, samplerate=48000, length=48000)\n"
        "clip.set_output()\n"
        "sound.set_output(1)\nsound[:24000].set_output(2)\n"
    )
    with VapourSynthSource(script(tmp_path, body)) as source:
        packets: dict[int, list[av.Packet]] = {0: [], 1: []}
        order = []
        for item in source.items():
            if isinstance(item, Copied):
                packets[item.stream].append(item.packet)
            order.append("sound" if isinstance(item, Copied) else "frame")
        lengths = [sum(frame.samples for packet in of for frame in packet.decode()) for of in packets.values()]
        depths = [stream.codec_context.format.bits for stream in source.others]
        assert [{channel.name for channel in stream.codec_context.layout.channels} for stream in source.others] == [
            layout
        ] * 2
    assert lengths == [48000, 24000] and depths == [16 if bits == 16 else 32] * 2
    assert "sound" in order[:6] and "frame" in order[-12:]


def test_samples_keep_their_values(tmp_path: Path) -> None:
    make_video(tmp_path / "in.mkv", frames=15)
    with av.open(str(tmp_path / "in.mkv")) as source, av.open(str(tmp_path / "sound.wav"), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=48000, layout="mono")
        resampler = av.AudioResampler("s16", "mono", 48000)
        for frame in source.decode(audio=0):
            for part in resampler.resample(frame):
                out.mux(stream.encode(part))
        out.mux(stream.encode(None))
    run(Job(script(tmp_path, opening("in.mkv", "sound.wav")), tmp_path / "out.mkv", scale=Fraction(2)))

    def samples(path: Path) -> np.ndarray:
        with av.open(str(path)) as source:
            return np.concatenate([frame.to_ndarray()[0] for frame in source.decode(audio=0)])

    assert np.array_equal(samples(tmp_path / "out.mkv"), samples(tmp_path / "sound.wav"))
    assert np.abs(samples(tmp_path / "out.mkv")).max() > 1000


def test_frames_of_varying_length_keep_their_times(tmp_path: Path) -> None:
    body = (
        "clip = core.std.BlankClip(format=vs.YUV420P8, width=64, height=48, length=4)\n"
        "clip = core.std.Splice([clip[:1].std.AssumeFPS(fpsnum=50), clip[1:].std.AssumeFPS(fpsnum=25)])\n"
        "def lasting(n, f):\n"
        "    f = f.copy()\n"
        "    f.props['_DurationNum'], f.props['_DurationDen'] = n + 1, 50\n"
        "    return f\n"
        "assert clip.fps == 0\n"
        "clip.std.ModifyFrame(clip, lasting).set_output()\n"
    )
    with VapourSynthSource(script(tmp_path, body)) as source:
        frames = [item for item in source.items() if isinstance(item, Frame)]
        seconds = [float(frame.pts * source.video.time_base) for frame in frames]
        durations = [float(frame.duration * source.video.time_base) for frame in frames]
    assert seconds == pytest.approx([0, 0.02, 0.06, 0.12]) and durations == pytest.approx([0.02, 0.04, 0.06, 0.08])


@pytest.mark.parametrize(
    ("form", "notes"),
    [
        ("YUV420P10", ["10 bits a sample became 8"]),
        ("YUV444P8", ["chroma at full height became 4:2:0"]),
        ("RGB24", ["chroma at full height became 4:2:0"]),
        ("RGBS", ["32 bits a sample became 8", "chroma at full height became 4:2:0"]),
        ("GRAY8", []),
    ],
)
def test_other_formats_are_converted_and_that_is_said(tmp_path: Path, form: str, notes: list[str]) -> None:
    body = (
        "clip = core.std.BlankClip(format=vs.RGB24, width=64, height=48, length=2, color=[200, 80, 40])\n"
        f"clip.resize.Bicubic(format=vs.{form}{'' if form.startswith('RGB') else ', matrix=1'}).set_output()\n"
    )
    with VapourSynthSource(script(tmp_path, body)) as source:
        assert source.notes == notes
        first = next(item for item in source.items() if isinstance(item, Frame))
        assert first.y.dtype == np.uint8 and first.u.shape == (24, 32)
        assert abs(int(first.y[20, 20]) - (112 if form.startswith("RGB") else 104)) <= 1  # BT.601, BT.709


BROKEN = [
    ("clip = (\n", "line"),
    ("\n\ncore.nothing.Filter()\n", "in line 5: "),
    ("raise SystemExit(3)\n", "in line 3: 3"),
    ("pass\n", "no video output"),
    ("core.std.BlankAudio().set_output()\n", "no video output"),
    ("core.std.BlankClip(width=65, height=48, format=vs.RGB24).set_output()\n", "65x48 is odd"),
    ("core.std.BlankClip(varsize=1).set_output()\n", "changes its format or size"),
    ("core.std.BlankClip(format=vs.YUV420P8).std.SetFrameProps(_Matrix=8).set_output()\n", "colour matrix 8"),
    ("c = core.std.BlankClip(format=vs.YUV420P8)\nc.std.ModifyFrame(c, lambda n, f: 1 / 0).set_output()\n", "by zero"),
]


@pytest.mark.parametrize(("body", "says"), BROKEN, ids=[says for _, says in BROKEN])
def test_broken_scripts_say_what_is_wrong(tmp_path: Path, body: str, says: str) -> None:
    with pytest.raises(SourceError, match=says) as raised:
        VapourSynthSource(script(tmp_path, body))
    assert "\n" not in str(raised.value) and "script.vpy" in str(raised.value)
    assert not vs.get_outputs()


def test_a_frame_that_fails_ends_the_job(tmp_path: Path) -> None:
    body = (
        "clip = core.std.BlankClip(format=vs.YUV420P8, width=64, height=48, length=5)\n"
        "def broken(n, f):\n    if n == 3: raise ValueError('no such frame')\n    return f\n"
        "clip.std.ModifyFrame(clip, broken).set_output()\n"
    )
    with pytest.raises(SourceError, match=r"no such frame.*; stopped after 3 frames; they are kept in"):
        rtsr.upscale(script(tmp_path, body), tmp_path / "out.mp4", scale=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.partial.mp4", "script.vpy"]


def test_scripts_have_no_clock(tmp_path: Path) -> None:
    from rtsr.pacing.delivery import Live

    path = script(tmp_path, "pass\n")
    job = Job(path, tmp_path / "out.mp4", scale=Fraction(2), model="quicksrnet-small", live=Live())
    with pytest.raises(UsageError, match="no clock"):
        run(job)


def test_a_script_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        VapourSynthSource(tmp_path / "nothing.vpy")
