"""What a video has beside its pixels, times, sound, texts, rotation, colours, is in its upscaled one, or is named."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from rtsr.errors import UsageError
from rtsr.frame import Colour, Video
from rtsr.job import Job
from rtsr.pipeline import run
from rtsr.sink.encoding import Encoding
from rtsr.source.pyav import Clock
from tests.command import SCALE, upscale
from tests.media import luma, make_video, picture, picture_number, probe


def test_keeps_every_frame_its_time_and_the_sound(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", frames=33, title="a title")
    before, after = probe(source), probe(upscale(source, tmp_path / "out.mp4"))
    assert after.size == (96, 72)
    assert after.frames == 33
    assert after.seconds == pytest.approx(before.seconds, abs=1e-6)
    assert (after.audio_packets, after.audio_bytes) == (before.audio_packets, before.audio_bytes)
    assert after.duration == pytest.approx(before.duration, abs=0.04)
    assert after.metadata["title"] == "a title"
    numbers = [picture_number(plane) for plane in luma(tmp_path / "out.mp4")]
    assert numbers == list(range(33))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_keeps_chapters_without_a_word(tmp_path: Path, suffix: str) -> None:
    plain, source = make_video(tmp_path / "plain.mp4", frames=60), tmp_path / f"in{suffix}"
    millisecond = Fraction(1, 1000)
    chapters: list = [
        {"id": 1, "start": 0, "end": 1000, "time_base": millisecond, "metadata": {"title": "menu"}},
        {"id": 2, "start": 1000, "end": 2000, "time_base": millisecond, "metadata": {"title": "race"}},
    ]
    with av.open(str(plain)) as read, av.open(str(source), "w") as write:
        streams = {stream.index: write.add_stream_from_template(stream) for stream in read.streams}
        write.set_chapters(chapters)
        for packet in read.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                write.mux(packet)
    report = run(Job(source, tmp_path / f"out{suffix}", SCALE, engine="bicubic"))
    assert report.notes == ()
    with av.open(report.output) as written:
        found = [(c["metadata"]["title"], float(c["start"] * c["time_base"])) for c in written.chapters()]
    assert found == [("menu", 0.0), ("race", 1.0)]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_keeps_a_variable_frame_rate(tmp_path: Path, suffix: str) -> None:
    random = np.random.default_rng(3)
    ticks = np.cumsum(random.integers(900, 9000, 40)) - 900
    source = make_video(tmp_path / f"in{suffix}", frames=40, pts=(ticks - ticks[0]).tolist())
    after = probe(upscale(source, tmp_path / f"out{suffix}"))
    tick = 1e-3 if suffix == ".mkv" else 1e-5  # Matroska counts milliseconds
    assert after.seconds == pytest.approx(probe(source).seconds, abs=tick)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".ts"])
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_keeps_a_hang_near_the_end(tmp_path: Path, suffix: str, codec: str) -> None:
    ticks = [3000 * i + (45000 if i >= 17 else 0) for i in range(20)]
    source = make_video(tmp_path / "in.mp4", pts=ticks)
    after = probe(upscale(source, tmp_path / f"out{suffix}", encoding=Encoding(codec)))
    steps = np.diff(after.seconds)
    assert steps == pytest.approx(np.diff(ticks) / 90000, abs=1e-3)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("frames", [1, 2])
def test_keeps_the_shortest_of_videos(tmp_path: Path, suffix: str, codec: str, frames: int) -> None:
    source = make_video(tmp_path / "in.mp4", frames=frames, audio=False)
    output = upscale(source, tmp_path / f"out{suffix}", encoding=Encoding(codec))
    assert np.diff(probe(output).seconds) == pytest.approx([1 / 30] * (frames - 1), abs=1e-3)
    if suffix != ".mkv":  # Matroska has no decode times.
        with av.open(str(output)) as written:
            packets = [packet for packet in written.demux(video=0) if packet.pts is not None]
            assert [packet.dts for packet in packets] == [packet.pts for packet in packets]


def test_keeps_the_length_of_the_last_frame(tmp_path: Path) -> None:
    source = tmp_path / "in.mp4"
    with av.open(str(source), "w") as out:
        stream = out.add_stream("libx264", rate=30, options={"bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(10):
            frame = picture(number, (64, 48))
            frame.pts = number
            out.mux(stream.encode(frame))
        packets = stream.encode(None)
        packets[-1].duration = 45
        out.mux(packets)
    before = probe(source)
    assert before.duration > 1.5
    assert probe(upscale(source, tmp_path / "out.mp4")).duration == pytest.approx(before.duration, abs=0.01)


def test_frames_of_containers_without_times_are_counted(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.avi", frames=20, audio=False)
    report = run(Job(source, scale=SCALE, engine="bicubic"))
    assert report.output.endswith("in_1.5x.mp4")
    assert probe(Path(report.output)).seconds == pytest.approx(np.arange(20) / 30, abs=1e-4)


def test_a_time_that_stands_still_does_not_move_the_rest(tmp_path: Path) -> None:
    video = Video(64, 48, Colour("bt709"), Fraction(1, 90000), Fraction(30))
    clock = Clock(video, counts=False)
    placed = [clock.place(frame_at(pts))[0] for pts in (0, 3000, 3000, 6000, None, 12000)]
    assert placed == [0, 3000, 3001, 6000, 9000, 12000]


def test_frames_that_an_avi_file_leaves_out_take_their_time(tmp_path: Path) -> None:
    """A second of 60 numbers, of which every second one is a frame, and then none for a third of a second."""
    numbers = [2 * n + (20 if n >= 20 else 0) for n in range(40)]
    source = tmp_path / "in.avi"
    with av.open(str(source), "w") as write:
        stream = write.add_stream("mpeg4", rate=60, options={"bf": "2"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for n, number in enumerate(numbers):
            frame = picture(n, (64, 48))
            frame.pts, frame.time_base = number, Fraction(1, 60)
            write.mux(stream.encode(frame))
        write.mux(stream.encode(None))
    output = upscale(source, tmp_path / "out.mp4")
    assert [picture_number(plane) for plane in luma(output)] == list(range(40))
    seconds = probe(output).seconds
    assert seconds[-1] == pytest.approx(numbers[-1] / 60, abs=0.05)
    steps = np.diff(seconds)
    assert (steps > 0.03).all() and np.median(steps) == pytest.approx(1 / 30, abs=1e-3)
    assert steps.max() == pytest.approx(22 / 60, abs=1e-3)


def frame_at(pts: int | None) -> av.VideoFrame:
    frame = av.VideoFrame(16, 16, "yuv420p")
    frame.pts = pts
    return frame


def test_languages_titles_and_roles_stay_with_their_streams(tmp_path: Path) -> None:
    plain, source = make_video(tmp_path / "plain.mkv"), tmp_path / "in.mkv"
    with av.open(str(plain)) as whole, av.open(str(source), "w") as out:
        for role, stream in enumerate(whole.streams):
            copy = out.add_stream_from_template(stream)
            copy.metadata.update(language="deu", title=f"track {role}")
            copy.disposition = Disposition.default if role else Disposition.original
        for packet in whole.demux():
            if packet.size:
                packet.stream = out.streams[packet.stream.index]
                out.mux(packet)
    upscale(source, tmp_path / "out.mkv")
    with av.open(str(source)) as before, av.open(str(tmp_path / "out.mkv")) as after:
        for old, new in zip(before.streams, after.streams, strict=True):
            assert (new.language, new.metadata["title"]) == (old.language, old.metadata["title"])
            assert new.disposition == old.disposition


PHONE = {
    "com.apple.quicktime.make": "Apple",
    "com.apple.quicktime.location.ISO6709": "+52.5200+013.4050/",
    "title": "a match",
    "creation_time": "2024-01-02T03:04:05.000000Z",
}


def with_metadata(path: Path, metadata: dict[str, str], movflags: str) -> Path:
    plain = make_video(path.with_name("plain.mp4"), frames=3, audio=False)
    options = {"movflags": movflags} if movflags else {}
    with av.open(str(plain)) as whole, av.open(str(path), "w", options=options) as out:
        out.metadata.update(metadata)
        copy = out.add_stream_from_template(whole.streams.video[0])
        for packet in whole.demux(video=0):
            if packet.size:
                packet.stream = copy
                out.mux(packet)
    return path


@pytest.mark.parametrize("suffix", [".mov", ".mp4", ".mkv"])
def test_what_phones_say_of_a_recording_stays(tmp_path: Path, suffix: str) -> None:
    source = with_metadata(tmp_path / "in.mov", PHONE, "use_metadata_tags")
    report = run(Job(source, tmp_path / f"out{suffix}", SCALE, engine="bicubic"))
    found = {key.lower(): value for key, value in probe(Path(report.output)).metadata.items()}
    assert report.notes == () and {key.lower(): value for key, value in PHONE.items()}.items() <= found.items()


def test_titles_stay_where_all_players_look(tmp_path: Path) -> None:
    source = with_metadata(tmp_path / "in.mp4", {"title": "a match", "date": "2024"}, "")
    output = upscale(source, tmp_path / "out.mp4")
    assert b"\xa9nam" in output.read_bytes() and b"mdta" not in output.read_bytes()
    assert probe(output).metadata.items() >= {"title": "a match", "date": "2024"}.items()


def test_metadata_that_does_not_fit_is_named(tmp_path: Path) -> None:
    source = with_metadata(tmp_path / "in.mkv", {"MAKE": "Apple", "TITLE": "a match"}, "")
    notes = run(Job(source, tmp_path / "out.mp4", SCALE, engine="bicubic")).notes
    assert notes == ("metadata (MAKE) does not fit into .mp4 and was left out; .mkv holds it",)


def test_what_is_left_out_or_reduced_is_said(tmp_path: Path) -> None:
    deep = make_video(tmp_path / "deep.mkv", frames=2, codec="ffv1", pix_fmt="yuv444p", audio=False)
    assert "chroma at full height became 4:2:0" in run(Job(deep, scale=SCALE, engine="bicubic")).notes
    source = make_video(tmp_path / "in.mkv", frames=2)
    notes = run(Job(source, tmp_path / "out.ts", SCALE, engine="bicubic")).notes
    assert notes == ()
    assert any("does not fit" in note for note in run(Job(source, tmp_path / "o.webm", SCALE, engine="bicubic",
                                                          encoding=Encoding("libvpx-vp9"))).notes)  # fmt: skip


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
@pytest.mark.parametrize("mastered", [True, False])
def test_high_dynamic_range_is_noted_with_its_cure(tmp_path: Path, transfer: int, name: str, mastered: bool) -> None:
    display = ":master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)" * mastered
    with av.open(str(tmp_path / "in.mp4"), "w") as out:
        stream = out.add_stream("libx265", rate=30, options={"x265-params": f"log-level=error{display}"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p10le"
        stream.codec_context.color_trc, stream.codec_context.colorspace = transfer, 9
        for number in range(3):  # x265 sets no decode times for fewer.
            deep = picture(number, (64, 48)).reformat(format="yuv420p10le")
            deep.pts, deep.time_base = number, Fraction(1, 30)
            out.mux(stream.encode(deep))
        out.mux(stream.encode(None))
    data = ", and its mastering data was left out" * mastered
    assert run(Job(tmp_path / "in.mp4", scale=SCALE, engine="bicubic")).notes == (
        "10 bits a sample became 8",
        f"HDR ({name}) in 8 bits shows bands{data}; tone-map it to SDR first",
    )


def test_a_rotation_that_the_file_type_cannot_hold_is_refused_at_once(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", rotation=90)
    with pytest.raises(UsageError, match=r"\.ts files keep no rotation; write an \.mp4 or \.mkv file"):
        upscale(source, tmp_path / "out.ts")
    with pytest.raises(UsageError, match="MPEG-TS streams keep no rotation"):
        run(Job(source, "udp://127.0.0.1:9", SCALE, engine="bicubic"))


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_keeps_the_rotation(tmp_path: Path, rotation: int) -> None:
    source = make_video(tmp_path / "in.mp4", rotation=rotation)
    after = probe(upscale(source, tmp_path / "out.mp4"))
    assert after.rotation == probe(source).rotation != 0
    assert after.size == (96, 72)


@pytest.mark.parametrize(("matrix", "full"), [("bt709", False), ("bt601", False), ("bt709", True), ("bt2020", False)])
def test_keeps_the_colour_tags_and_the_colours(tmp_path: Path, matrix: str, full: bool) -> None:
    source = make_video(tmp_path / "in.mp4", matrix=matrix, full_range=full)
    output = upscale(source, tmp_path / "out.mp4", encoding=Encoding(crf=4))
    before, after = probe(source), probe(output)
    assert (after.matrix, after.full_range) == (before.matrix, full)
    assert (after.primaries, after.transfer) == (before.primaries, before.transfer)
    small, large = luma(source)[5], luma(output)[5]
    assert abs(float(small.mean()) - float(large.mean())) < 1


@pytest.mark.parametrize(("lines", "code"), [(72, 6), (720, 1)])
def test_untagged_colour_is_guessed_from_the_input_and_written_down(tmp_path: Path, lines: int, code: int) -> None:
    source = make_video(tmp_path / "in.mp4", frames=2, size=(64, lines), matrix=None, audio=False)
    assert probe(upscale(source, tmp_path / "out.mp4")).matrix == code


def test_transparency_that_decoders_skip_is_noted(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "in.webm"), "w") as out:
        stream = out.add_stream("libvpx", rate=30, options={"auto-alt-ref": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuva420p"
        for number in range(3):
            frame = picture(number, (64, 48)).reformat(format="yuva420p")
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    assert run(Job(tmp_path / "in.webm", scale=SCALE, engine="bicubic")).notes == ("transparency was left out",)
