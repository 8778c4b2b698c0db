"""Parts of videos: just the frames and the sound of theirs, in time with each other, from every kind of file."""

from fractions import Fraction
from pathlib import Path
from threading import Event

import av
import cv2
import numpy as np
import pytest

import rtsr
from rtsr.errors import SourceError, UsageError
from rtsr.frame import Frame
from rtsr.job import Job
from rtsr.part import WHOLE, Part, as_part
from rtsr.pipeline import run
from rtsr.report import Report
from rtsr.source.pyav import PyAVSource
from tests.command import SCALE, assert_one_error_line
from tests.command import rtsr as command
from tests.media import luma, make_video, picture_number, probe

SECOND = 48000


def upscale(source: Path, output: Path, part: Part, **wishes: object) -> Report:
    return run(Job(source, output, SCALE, engine="bicubic", part=part, **wishes))  # type: ignore[arg-type]


def numbers(path: Path) -> list[int]:
    return [picture_number(plane) for plane in luma(path)]


def remux(source: Path, path: Path, options: dict[str, str] | None = None) -> Path:
    with av.open(str(source)) as read, av.open(str(path), "w", options=options or {}) as write:
        streams = {stream.index: write.add_stream_from_template(stream) for stream in read.streams}
        for packet in read.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                write.mux(packet)
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".ts", ".flv"])
@pytest.mark.parametrize(
    ("part", "first", "frames"),
    [
        (as_part(0.5, 0.7), 15, 21),
        (as_part("1.2"), 36, 24),
        (as_part(duration="400ms"), 0, 12),
        (as_part(0.51, 0.1), 16, 3),  # The first frame that starts in it.
        (as_part(1.9, 60), 57, 3),
    ],
)
def test_just_its_frames(tmp_path: Path, suffix: str, part: Part, first: int, frames: int) -> None:
    source = remux(make_video(tmp_path / "made.mp4", frames=60, keyframes=20), tmp_path / f"in{suffix}")
    report = upscale(source, tmp_path / f"out{suffix}", part)
    assert report.frames == frames and report.notes == ()
    assert numbers(tmp_path / f"out{suffix}") == list(range(first, first + frames))
    done = probe(tmp_path / f"out{suffix}")
    steps = np.array(done.seconds) - done.seconds[0]
    assert steps == pytest.approx(np.arange(frames) / 30, abs=1.1e-3)  # Matroska and FLV count milliseconds.


def test_files_that_count_frames(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.avi", frames=60, codec="mpeg4", keyframes=20, audio=False)
    assert upscale(source, tmp_path / "out.mp4", as_part(1, 0.5)).frames == 15
    assert numbers(tmp_path / "out.mp4") == list(range(30, 45))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_sound_stays_in_time(tmp_path: Path, suffix: str) -> None:
    """A tone that begins with frame 45."""
    source, output = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    mute = np.arange(2 * SECOND) < 1.5 * SECOND
    wave = np.where(mute, 0, np.sin(np.arange(2 * SECOND) * 2 * np.pi * 1000 / SECOND) / 2).astype(np.float32)
    with_sound(make_video(tmp_path / "made.mp4", frames=60, keyframes=20, audio=False), wave, source)
    upscale(source, output, as_part(1, 0.8))
    with av.open(str(output)) as read:
        frames = list(read.decode(audio=0))
    loud = [np.flatnonzero(np.abs(frame.to_ndarray()[0]) > 0.2) for frame in frames]
    began, at = next((frame, where[0]) for frame, where in zip(frames, loud, strict=True) if where.size)
    assert began.time is not None
    seen = probe(output)
    assert began.time + at / SECOND - seen.seconds[0] == pytest.approx(0.5, abs=0.003)
    assert frames[0].time == pytest.approx(seen.seconds[0], abs=0.03)  # Cut between packets, of 21 ms.
    assert frames[-1].time == pytest.approx(seen.seconds[0] + 0.8, abs=0.03)


def with_sound(silent: Path, wave: np.ndarray, path: Path, codec: str = "aac") -> None:
    """Write the video `silent`, with `wave` (samples,) for its sound, to `path`."""
    with av.open(str(silent)) as read, av.open(str(path), "w") as write:
        video = write.add_stream_from_template(read.streams.video[0])
        sound = write.add_stream(codec, rate=SECOND, layout="mono")
        packets = [packet for packet in read.demux(video=0) if packet.dts is not None]
        for packet in packets:
            packet.stream = video
        block = 1024 if codec == "aac" else 1536
        for start in range(0, len(wave), block):
            frame = av.AudioFrame.from_ndarray(wave[None, start : start + block], format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = SECOND, start, Fraction(1, SECOND)
            packets += sound.encode(frame)
        packets += sound.encode(None)
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):  # type: ignore[operator]
            write.mux(packet)


def damaged(path: Path) -> Path:
    """A video of 60 frames whose frames 5 to 14 in file order cannot be decoded; keyframes are 20 apart."""
    make_video(path, frames=60, keyframes=20, audio=False)
    with av.open(str(path)) as read:
        places = [(packet.pos, packet.size) for packet in read.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for place, size in places[5:15]:
        data[place + 8 : place + size] = bytes(size - 8)
    path.write_bytes(data)
    return path


def test_what_is_before_it_is_not_read(tmp_path: Path) -> None:
    source = damaged(tmp_path / "in.mp4")
    assert "damaged" in upscale(source, tmp_path / "all.mp4", WHOLE).notes[0]
    assert upscale(source, tmp_path / "out.mp4", as_part(1.5)).notes == ()
    assert numbers(tmp_path / "out.mp4") == list(range(45, 60))


def test_a_picture_that_stays_on_screen(tmp_path: Path) -> None:
    """A recording with pauses: frames 0 to 9 in the first third of a second, 10 after 2 s, 11 after 4 s."""
    times = [3000 * n for n in range(10)] + [180_000, 360_000]
    source = make_video(tmp_path / "in.mp4", frames=12, pts=times, audio=False)
    for part, found, seconds in (
        (as_part(1, 2), [9, 10], [0, 1]),
        (as_part(1, 0.5), [9], [0]),
        (as_part(2, 1), [10], [0]),
        (as_part(3), [10, 11], [0, 1]),
    ):
        upscale(source, tmp_path / "out.mp4", part, overwrite=True)
        assert numbers(tmp_path / "out.mp4") == found
        assert probe(tmp_path / "out.mp4").seconds == pytest.approx(seconds, abs=1e-3)
    upscale(source, tmp_path / "out.mp4", as_part(1, 0.5), overwrite=True)
    assert probe(tmp_path / "out.mp4").duration == pytest.approx(0.5, abs=1e-3)


def test_texts_that_are_on_screen_where_it_starts(tmp_path: Path) -> None:
    times = [("00:00:00,200", "00:00:00,400"), ("00:00:00,500", "00:00:01,300"), ("00:00:01,400", "00:00:09,000")]
    texts = "\n".join(f"{n}\n{a} --> {b}\ntext {n}\n" for n, (a, b) in enumerate(times, 1))
    (tmp_path / "in.srt").write_text(texts)
    clip, source = make_video(tmp_path / "clip.mp4", frames=60, keyframes=20), tmp_path / "in.mkv"
    with av.open(str(clip)) as video, av.open(str(tmp_path / "in.srt")) as words, av.open(str(source), "w") as write:
        inputs = (video.streams.video[0], words.streams[0])
        streams = [write.add_stream_from_template(stream) for stream in inputs]
        packets = [(packet, to) for stream, to in zip(inputs, streams, strict=True) for packet in _demuxed(stream)]
        for packet, to in packets:
            packet.stream = to
            write.mux(packet)
    upscale(source, tmp_path / "out.mkv", as_part(1, 0.8))
    with av.open(str(tmp_path / "out.mkv")) as read:
        found = [
            (bytes(p).decode(), round(p.pts * p.time_base, 3), round(p.duration * p.time_base, 3))  # type: ignore
            for p in read.demux(subtitles=0)
            if p.size
        ]
    assert found == [("text 2", 0, Fraction(3, 10)), ("text 3", Fraction(4, 10), Fraction(4, 10))]


def _demuxed(stream: av.stream.Stream) -> list[av.Packet]:
    return [packet for packet in stream.container.demux(stream) if packet.dts is not None]  # type: ignore


def test_the_same_part_of_a_reference(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", frames=60, keyframes=20)
    upscale(source, tmp_path / "large.mp4", WHOLE)
    report = upscale(source, tmp_path / "out.mp4", as_part(1, 0.5), reference=tmp_path / "large.mp4")
    assert report.reference is not None and report.reference["frames"] == 15
    assert report.reference["psnr_y_db"] > 35  # As encoded; other frames would differ in their bar codes.
    assert (report.asked["start_s"], report.asked["duration_s"]) == (1, 0.5)


def test_it_has_a_name_of_its_own(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", frames=60)
    assert rtsr.upscale(source, scale=1.5, engine="bicubic", start="0:01", duration=0.5).frames == 15
    assert (tmp_path / "in_1.5x_1s-1.5s.mp4").exists()
    done = command("upscale", source, "--height", "96", "--engine", "bicubic", "--start", "1.5")
    assert done.returncode == 0 and (tmp_path / "in_96p_from-1.5s.mp4").exists(), done.stderr
    assert "15 frames" in done.stdout


@pytest.mark.parametrize("start", [0.2, 0.21, 0.24, 0.26])
def test_a_reference_of_another_rate(tmp_path: Path, start: float) -> None:
    """Every second frame of it, so that the part begins at another frame in each."""
    source = make_video(tmp_path / "in.mp4", frames=30, rate=15)
    times = [3000 * n for n in range(60)]
    upscale(source, tmp_path / "large.mp4", WHOLE)
    with av.open(str(tmp_path / "twice.mp4"), "w") as write:
        stream = write.add_stream("libx264", rate=30, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = 96, 72, "yuv420p"
        for n, y in enumerate(plane for plane in luma(tmp_path / "large.mp4") for _ in range(2)):
            grey = np.full((36, 96), 128, np.uint8)
            frame = av.VideoFrame.from_ndarray(np.concatenate([y, grey]), format="yuv420p")
            frame.pts, frame.time_base = times[n], Fraction(1, 90000)
            frame.color_range = 1
            write.mux(stream.encode(frame))
        write.mux(stream.encode(None))
    report = upscale(source, tmp_path / "out.mp4", as_part(start, 1), reference=tmp_path / "twice.mp4", overwrite=True)
    assert report.reference is not None and report.reference["frames"] >= 14
    assert report.reference["psnr_y_db"] > 35  # Beside other frames it is 13 dB.


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("rate", [30, Fraction(30000, 1001), Fraction(24000, 1001)])
def test_times_as_tools_print_them(tmp_path: Path, suffix: str, rate: Fraction) -> None:
    source = make_video(tmp_path / f"in{suffix}", frames=30, rate=rate, audio=False)
    times = probe(source).seconds
    for first in (1, 7, 8, 16, 20):
        shown = float(first / rate)
        for start in (shown, round(shown, 6)):
            with PyAVSource(source, as_part(start, round(float(4 / rate), 6))) as part:
                found = [picture_number(item.y) for item in part.items() if isinstance(item, Frame)]
            assert found == list(range(first, first + 4)), (start, times[first])


def test_slow_pictures_open_it_where_it_starts(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", frames=8, rate=1, audio=False)
    upscale(source, tmp_path / "out.mp4", as_part(2.2, 2))
    assert numbers(tmp_path / "out.mp4") == [2, 3, 4]
    assert probe(tmp_path / "out.mp4").seconds == pytest.approx([0, 0.8, 1.8], abs=1e-3)
    assert probe(tmp_path / "out.mp4").duration == pytest.approx(2, abs=1e-3)


def test_an_end_while_its_start_is_looked_for(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.ts", frames=60, keyframes=20, audio=False)
    stop, seen = Event(), []
    with PyAVSource(source, as_part(1.9), stop) as part:
        decode = part._frame
        part._frame = lambda *wish: (seen.append(stop.set()), decode(*wish))[1]  # type: ignore[method-assign]
        assert list(part.items()) == [] and len(seen) == 1


def test_what_is_wrong_within_it_is_said(tmp_path: Path) -> None:
    source = damaged(tmp_path / "in.mp4")
    assert "damaged" in upscale(source, tmp_path / "out.mp4", as_part(duration=1)).notes[0]


def test_sound_of_coarse_ticks_stays_in_time(tmp_path: Path) -> None:
    """AVI counts AC-3 by its packets, of 32 ms."""
    wave = np.where(np.arange(2 * SECOND) < 1.5 * SECOND, 0, np.sin(np.arange(2 * SECOND) / 7.6) / 2)
    silent = make_video(tmp_path / "made.avi", frames=60, codec="mpeg4", keyframes=20, audio=False)
    with_sound(silent, wave.astype(np.float32), tmp_path / "in.avi", codec="ac3")
    found = []
    for name, part in (("whole", WHOLE), ("part", as_part(1.1, 0.8))):
        upscale(tmp_path / "in.avi", tmp_path / f"{name}.mkv", part)
        with av.open(str(tmp_path / f"{name}.mkv")) as read:
            frames = list(read.decode(audio=0))
        loud = [np.flatnonzero(np.abs(frame.to_ndarray()[0]) > 0.2) for frame in frames]
        began, at = next((frame, where[0]) for frame, where in zip(frames, loud, strict=True) if where.size)
        found.append(began.time + at / SECOND - probe(tmp_path / f"{name}.mkv").seconds[0])
    assert found[1] == pytest.approx(found[0] - 1.1, abs=0.002)


def test_a_file_that_is_cut_off_before_it(tmp_path: Path) -> None:
    whole = make_video(tmp_path / "whole.mp4", frames=120, size=(320, 240), keyframes=20, audio=False)
    moved = remux(whole, tmp_path / "front.mov", {"movflags": "faststart"})
    (tmp_path / "in.mov").write_bytes(moved.read_bytes()[: moved.stat().st_size * 2 // 3])
    with pytest.raises(SourceError, match="is cut off"):
        upscale(tmp_path / "in.mov", tmp_path / "out.mp4", as_part(3.8))


def test_played_at_its_own_pace(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.ts", frames=60, keyframes=20)
    live = rtsr.Live(realtime=True)
    job = Job(source, tmp_path / "out.mp4", SCALE, live=live, model="quicksrnet-small", part=as_part(0.5, 1))
    report = run(job)
    assert report.spending is not None and report.spending["frames"]["repeated"] + report.frames >= 30
    assert set(numbers(tmp_path / "out.mp4")) <= set(range(15, 45))


def test_behind_the_end_there_is_nothing(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", frames=60)
    with pytest.raises(SourceError, match=r"in.mp4 is 2.00 s long; there is no picture at 2.50 s"):
        upscale(source, tmp_path / "out.mp4", as_part(2.5))
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_what_does_not_go_with_it_is_said(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", frames=6)
    wrong = command("upscale", source, "--scale", "2", "--start", "1:75")
    assert_one_error_line(wrong, 2, "'1:75' is no time; write seconds, 1:30")
    wrong = command("upscale", source, "--scale", "2", "--start", "")
    assert_one_error_line(wrong, 2, "is no time")
    wrong = command("upscale", source, "--scale", "2", "--duration", "0s")
    assert_one_error_line(wrong, 2, "its duration is above 0")
    picture = tmp_path / "in.png"
    cv2.imwrite(str(picture), np.zeros((32, 32, 3), np.uint8))
    wrong = command("upscale", picture, "--scale", "2", "--start", "1", "--duration", "2")
    assert_one_error_line(wrong, 2, "leave out what is for videos: --start, --duration")
    with pytest.raises(UsageError, match="live input starts when it comes"):
        Job("udp://127.0.0.1:5000", "out.mkv", SCALE, live=rtsr.Live(), part=as_part(1))
    with pytest.raises(UsageError, match="a picture"):
        rtsr.upscale(picture, scale=2, start=1)
