"""Whole files through decode, upscale and encode."""

import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from rtsr.engine import RESAMPLERS
from rtsr.engine.fake import FakeEngine
from rtsr.errors import EngineError, RtsrError, SinkError, SourceError, UsageError
from rtsr.frame import Colour, Video
from rtsr.job import Job
from rtsr.pipeline import run
from rtsr.report import Progress
from rtsr.sink.encoding import Encoding
from rtsr.sink.pyav import PyAVSink
from rtsr.stopping import Stopped
from tests.command import SCALE, upscale
from tests.media import make_unreadable_colours, make_video, probe


def test_the_display_matrix_moves_with_the_size(tmp_path: Path) -> None:
    matrix = (0, 65536, 0, -65536, 0, 0, 48 << 16, 0, 1 << 30)
    video = Video(64, 48, Colour("bt709"), Fraction(1, 90000), display_matrix=matrix, rotation=-90)
    assert video.resized(96, 72).display_matrix == (0, 65536, 0, -65536, 0, 0, 72 << 16, 0, 1 << 30)


@pytest.mark.parametrize("engine", ["bicubic", "lanczos", "fsr"])
def test_odd_factors_cost_no_more_than_others(tmp_path: Path, engine: str) -> None:
    source = make_video(tmp_path / "in.mkv", frames=2, size=(65, 71), codec="ffv1", audio=False)
    for name, wish in (("a.mp4", {"scale": Fraction(13333, 10000)}), ("b.mp4", {"height": 108})):
        report = run(Job(source, tmp_path / name, engine=engine, **wish))  # type: ignore[arg-type]
        assert report.frames == 2 and report.seconds < 60


def test_a_failed_check_keeps_what_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unlike(sink: PyAVSink) -> None:
        raise SinkError("out.mp4 is not as meant")

    monkeypatch.setattr(PyAVSink, "check", unlike)
    with pytest.raises(SinkError, match=r"kept in .*out\.partial\.mp4"):
        upscale(make_video(tmp_path / "in.mp4", frames=5), tmp_path / "out.mp4")
    assert probe(tmp_path / "out.partial.mp4").frames == 5
    assert not (tmp_path / "out.mp4").exists()


def test_a_colour_matrix_without_a_formula_is_refused(tmp_path: Path) -> None:
    source = make_unreadable_colours(tmp_path / "in.mkv")
    with pytest.raises(SourceError, match="matrix 8"):
        upscale(source, tmp_path / "out.mp4")


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", frames=5)
    output = tmp_path / "out.mp4"
    report = run(Job(source, output, SCALE, engine="bicubic"), lambda progress: output.write_text("precious") and None)
    assert output.read_text() == "precious"
    assert report.output == str(tmp_path / "out-2.mp4") and probe(tmp_path / "out-2.mp4").frames == 5


def test_two_runs_at_once_do_not_meet(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", frames=10)
    outputs: list[str] = []
    job = Job(source, tmp_path / "out.mp4", SCALE, engine="bicubic")

    def nested(progress: Progress) -> None:
        if progress.done == 4:
            outputs.append(run(job).output)

    outputs.append(run(job, nested).output)
    assert [Path(output).name for output in outputs] == ["out.mp4", "out-2.mp4"]
    assert all(probe(Path(output)).frames == 10 for output in outputs)


@pytest.mark.parametrize("size", [(65, 49), (66, 50), (101, 57)])
def test_odd_sizes_come_out_even(tmp_path: Path, size: tuple[int, int]) -> None:
    source = make_video(tmp_path / "in.mkv", size=size, codec="ffv1", audio=False)
    for scale in (SCALE, Fraction(2), Fraction(7, 4)):
        after = probe(upscale(source, tmp_path / f"{scale.numerator}.mp4", scale))
        assert after.frames == 20
        for side, was in zip(after.size, size, strict=True):
            assert side % 2 == 0 and abs(side - was * scale) <= 2


def test_height_counts_displayed_lines(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", size=(64, 48), rotation=90)
    after = probe(upscale(source, tmp_path / "out.mp4", None, height=96))
    assert after.size == (96, 72)


def test_size_keeps_the_displayed_proportions(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", size=(64, 48))
    after = probe(upscale(source, tmp_path / "out.mp4", None, size=(128, 72)))
    assert after.size == (128, 72)
    assert after.size[0] * after.sample_aspect / after.size[1] == Fraction(64, 48)


def test_default_name_says_the_scale_and_stays_in_the_same_kind_of_file(tmp_path: Path) -> None:
    for name, expected in (("a.mp4", "a_1.5x.mp4"), ("b.mkv", "b_1.5x.mkv"), ("c.mov", "c_1.5x.mov")):
        report = run(Job(make_video(tmp_path / name, frames=3), scale=SCALE, engine="bicubic"))
        assert Path(report.output) == tmp_path / expected
        assert probe(tmp_path / expected).frames == 3


def test_a_container_that_cannot_hold_the_encoder_is_replaced_by_default_and_refused_by_name(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.webm", frames=3, codec="libvpx-vp9", audio=False)
    assert run(Job(source, scale=SCALE, engine="bicubic")).output.endswith("in_1.5x.mp4")
    with pytest.raises(UsageError, match="cannot hold"):
        upscale(source, tmp_path / "out.webm")


def test_report_counts_what_was_done(tmp_path: Path) -> None:
    seen: list[int] = []
    source = make_video(tmp_path / "in.mp4", frames=12)
    report = run(Job(source, tmp_path / "out.mp4", SCALE, engine="fsr"), lambda progress: seen.append(progress.done))
    assert seen == list(range(1, 13))
    assert report.frames == 12 and report.input_size == (64, 48) and report.output_size == (96, 72)
    assert set(report.stages) == {"decode", "upscale", "encode"}
    assert all(0 <= stage["p50"] <= stage["p99"] for stage in report.stages.values())


def test_an_interrupt_leaves_a_playable_part(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", frames=60)

    def interrupt(progress: Progress) -> None:
        if progress.done == 25:
            raise KeyboardInterrupt

    with pytest.raises(Stopped, match="stopped after 25 frames; they are kept in") as stop:
        run(Job(source, tmp_path / "out.mp4", SCALE, engine="bicubic"), interrupt)
    report = stop.value.report
    assert (report.frames, report.stopped) == (25, True) and report.output == str(tmp_path / "out.partial.mp4")
    assert probe(tmp_path / "out.partial.mp4").frames == 25
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mp4", "out.partial.mp4"]


FULL_DISK = """
import resource, sys
from fractions import Fraction
from rtsr.job import Job
from rtsr.pipeline import run
from rtsr.sink.encoding import Encoding

resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
try:
    run(Job("in.mp4", sys.argv[1], Fraction(2), engine="bicubic", encoding=Encoding("ffv1")))
except Exception as error:
    print(repr(error))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sizes of files have no limit on Windows")
def test_what_fits_onto_a_full_disk_is_kept_where_it_can_be_read(tmp_path: Path) -> None:
    make_video(tmp_path / "in.mp4", frames=60)
    said = subprocess.run([sys.executable, "-c", FULL_DISK, "a.mkv"], cwd=tmp_path, capture_output=True, text=True)
    kept = probe(tmp_path / "a.partial.mkv").frames
    assert "SinkError" in said.stdout and "cannot write a.mkv" in said.stdout, said.stdout
    assert f"frames; {kept} of them are kept in a.partial.mkv" in said.stdout and 0 < kept < 60
    said = subprocess.run([sys.executable, "-c", FULL_DISK, "a.mp4"], cwd=tmp_path, capture_output=True, text=True)
    assert "which could not be kept (a.mp4: what was written cannot be read back)" in said.stdout
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.partial.mkv", "in.mp4"]


def test_an_error_on_the_upscaling_thread_reaches_the_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(FakeEngine):
        calls = 0

        def infer(self, tiles: np.ndarray) -> np.ndarray:
            self.calls += 1
            if self.calls == 12:
                raise EngineError("out of memory")
            return super().infer(tiles)

    monkeypatch.setitem(RESAMPLERS, "bicubic", Failing)
    with pytest.raises(EngineError, match=r"out of memory; stopped after 11 frames; they are kept in .*partial\.mp4"):
        upscale(make_video(tmp_path / "in.mp4", frames=60), tmp_path / "out.mp4", Fraction(2))
    assert probe(tmp_path / "out.partial.mp4").frames == 11 and not (tmp_path / "out.mp4").exists()
    assert threading.active_count() == 1


def test_a_change_of_size_half_way_is_an_error(tmp_path: Path) -> None:
    joined = tmp_path / "in.ts"
    parts = [make_video(tmp_path / f"{side}.ts", size=(side, 48), audio=False) for side in (64, 96)]
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    with pytest.raises(SourceError, match=r"size changes .* stopped after 20 frames; they are kept in .*out\.partial"):
        upscale(joined, tmp_path / "out.mp4")
    assert probe(tmp_path / "out.partial.mp4").frames == 20 and not (tmp_path / "out.mp4").exists()


def test_a_file_cut_short_is_an_error(tmp_path: Path) -> None:
    make_video(tmp_path / "whole.mp4", frames=90, size=(320, 240))
    start_first = {"movflags": "+faststart"}
    with (
        av.open(str(tmp_path / "whole.mp4")) as whole,
        av.open(str(tmp_path / "fast.mp4"), "w", options=start_first) as fast,
    ):
        streams = {stream.index: fast.add_stream_from_template(stream) for stream in whole.streams}
        for packet in whole.demux():
            if packet.size:
                packet.stream = streams[packet.stream.index]
                fast.mux(packet)
    data = (tmp_path / "fast.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) * 6 // 10])
    whole = make_video(tmp_path / "whole.mkv", frames=90, size=(320, 240)).read_bytes()
    (tmp_path / "cut.mkv").write_bytes(whole[: len(whole) // 2])
    for name in ("cut.mkv", "cut.mp4"):
        with pytest.raises(SourceError, match=r"cut off.* they are kept in"):
            upscale(tmp_path / name, tmp_path / f"{name}.mp4")
        assert 20 < probe(tmp_path / f"{name}.partial.mp4").frames < 90
    assert threading.active_count() == 1
    assert not any((tmp_path / name).exists() for name in ("cut.mkv.mp4", "cut.mp4.mp4"))


@pytest.mark.parametrize("wishes", [{}, {"scale": SCALE, "height": 96}])
def test_wishes_that_contradict_each_other_are_refused(tmp_path: Path, wishes: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Job(tmp_path / "in.mp4", **wishes)  # type: ignore[arg-type]


@pytest.mark.parametrize("wishes", [{"height": 97}, {"size": (100, 51)}])
def test_videos_have_even_sides(tmp_path: Path, wishes: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="even numbers of pixels"):
        upscale(make_video(tmp_path / "in.mp4"), tmp_path / "out.mp4", None, **wishes)


@pytest.mark.parametrize("height", [48, 40, 194])
def test_a_height_that_is_no_upscaling_is_refused(tmp_path: Path, height: int) -> None:
    with pytest.raises(UsageError, match="more than 1 and at most 4"):
        upscale(make_video(tmp_path / "in.mp4"), tmp_path / "out.mp4", None, height=height)


@pytest.mark.parametrize(
    ("encoding", "match"),
    [
        ({"codec": "nothing"}, "unknown encoder"),
        ({"codec": "aac"}, "encodes audio"),
        ({"crf": 64}, "between 0"),
        ({"crf": "20"}, "between 0 .* not '20'"),
        ({"crf": 20, "options": {"crf": "30"}}, "crf is said twice"),
        ({"crf": 20, "options": {"qp": "30"}}, "rate is said twice, .* option qp=30"),
        ({"crf": True}, "between 0 .* not True"),
        ({"codec": None}, "unknown encoder None"),
        ({"options": {"bf": 2}}, "encoder options are texts"),
        ({"options": "bf=2"}, "encoder options are texts"),
        ({"codec": "prores_ks"}, "rtsr gives yuv420p"),
        ({"options": {"nosuch": "1"}}, "no option nosuch"),
        ({"options": {"preset": "nosuch"}}, "does not accept .*, or use libx265"),
        ({"codec": "libx265", "options": {"preset": "nosuch"}}, "does not accept .*, or use libx264"),
    ],
)
def test_encodings_that_cannot_be(tmp_path: Path, encoding: dict[str, object], match: str) -> None:
    source = make_video(tmp_path / "in.mp4", frames=2)
    with pytest.raises(RtsrError, match=match):
        upscale(source, tmp_path / "out.mp4", encoding=Encoding(**encoding))  # type: ignore[arg-type]
    assert [p.name for p in tmp_path.iterdir()] == ["in.mp4"]
