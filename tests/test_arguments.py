"""Arguments of a wrong kind from Python get an error of rtsr that says the right one, before anything is done."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import rtsr
from rtsr.duration import frame_time
from rtsr.errors import ArgumentError, RtsrError, SinkError, UsageError
from rtsr.frame import Colour, Frame
from rtsr.job import Job
from rtsr.pacing.deadline import Late
from rtsr.pacing.paced import Pace, PacedUpscaler
from tests.media import make_video, probe

IMAGE = np.zeros((6, 8, 3), np.uint8)


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        ({"live": True}, r"live is given as rtsr\.Live\(\), not as True"),
        ({"encoding": {"codec": "libx265"}}, r"encoding is given as rtsr\.Encoding"),
        ({"encoding": {}}, "encoding is given"),
        ({"scale": None, "height": "192"}, "height is a whole number above 0, not '192'"),
        ({"scale": None, "height": 192.0}, r"height is a whole number above 0, not 192\.0"),
        ({"scale": None, "height": 0}, "height is a whole number above 0, not 0"),
        ({"scale": None, "height": -2}, "height is a whole number above 0, not -2"),
        ({"scale": None, "height": True}, "height is a whole number"),
        ({"scale": None, "size": "256x192"}, "size is a width and a height"),
        ({"scale": None, "size": (256, 192, 3)}, "size is a width and a height"),
        ({"scale": None, "size": (-4, 120)}, "size's width is a whole number above 0, not -4"),
        ({"scale": [2]}, "is not a scale"),
        ({"fps": "60"}, "'60' is not a frame rate; give a number"),
        ({"quality": "0.5"}, "quality is between 0 and 1"),
        ({"deadline": [1]}, "is not a duration"),
        ({"late": 5}, "late"),
        ({"reference": 5}, "the reference is a path"),
        ({"output": 5}, "the output is a path"),
        ({"source": None}, "the source is a path"),
        ({"source": b"in.mp4"}, "the source is a path"),
        ({"engine": 5}, "unknown engine"),
        ({"threads": 1.5}, "threads is a whole number"),
        ({"model": ""}, "the model has an empty name; leave it out for the usual one"),
        ({"model": 5}, "the model is a path, as text or a pathlib.Path, not 5"),
        ({"watch": 5}, "watch is called with what there is to tell, e.g. watch=print, and cannot be 5"),
    ],
)
def test_a_wrong_argument_gets_a_usage_error(tmp_path: Path, wish: dict[str, Any], says: str) -> None:
    source = make_video(tmp_path / "in.mp4", frames=2)
    with pytest.raises(UsageError, match=says):
        rtsr.upscale(**{"source": source, "output": tmp_path / "out.mp4", "scale": 2, **wish})
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


@pytest.mark.parametrize("scale", [np.float32(1.5), np.float64(1.5), 1.5, "1.5"])
def test_scales_of_any_kind(scale: Any) -> None:
    assert Job("in.mp4", scale=scale).scale == rtsr.Upscaler(scale, engine="bicubic").scale == 1.5


def test_numbers_of_numpy_become_pythons() -> None:
    assert type(Job("in.mp4", height=np.int64(192)).height) is int  # type: ignore[arg-type]
    assert [type(side) for side in Job("in.mp4", size=[np.int32(8), 6]).size or ()] == [int, int]  # type: ignore
    assert type(Job("in.mp4", scale=np.int64(2)).scale.numerator) is int  # type: ignore


def test_numpys_numbers_of_threads_and_rates() -> None:
    threads, crf = np.int64(2), np.uint8(20)
    for engine in ("onnx", "bicubic"):
        with rtsr.Upscaler(2, engine=engine, threads=threads) as upscale:  # type: ignore[arg-type]
            assert upscale(IMAGE).shape == (12, 16, 3)
    assert type(Job("in.mp4", scale=2, threads=threads).threads) is int  # type: ignore[arg-type]
    assert rtsr.Encoding(crf=crf) == rtsr.Encoding(crf=20)  # type: ignore[arg-type]
    assert rtsr.Encoding(crf=crf).as_options() == {"crf": "20"}  # type: ignore[arg-type]
    for wrong in (np.int64(0), np.float64(2), True):
        with pytest.raises(UsageError, match="threads is a whole number"):
            rtsr.Upscaler(2, threads=wrong)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="crf is between"):
            rtsr.Encoding(crf=wrong if wrong else np.int64(-1))  # type: ignore[arg-type]


def test_numpys_height_makes_the_name(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", frames=2)
    report = rtsr.upscale(source, height=np.int64(96), engine="bicubic")  # type: ignore[arg-type]
    assert report.output_size == (128, 96) and type(report.output_size[1]) is int
    assert probe(tmp_path / "in_96p.mp4").size == (128, 96)


def test_progress_can_be_watched(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    source = make_video(tmp_path / "in.mp4", frames=4)
    rtsr.upscale(source, scale=2, engine="bicubic", watch=lambda progress: seen.append((progress.done, progress.total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize(
    ("image", "size", "says"),
    [
        (
            IMAGE.astype(np.float32),
            None,
            "float32; bring it to 0 to 255, times 255 where white is 1, and round",
        ),
        (IMAGE[..., 0], None, r"np\.dstack"),
        (np.dstack([IMAGE, IMAGE[..., :1]]), None, "leave out its opacity"),
        (IMAGE.tolist(), None, "not list"),
        (IMAGE[:0], None, "not empty"),
        (IMAGE, (0, 0), "size's width is a whole number above 0, not 0"),
        (IMAGE, (-4, 120), "size's width is a whole number above 0, not -4"),
        (IMAGE, "100x80", "size is a width and a height"),
        (IMAGE, (100.0, 80.0), "whole number above 0, not 100.0"),
    ],
)
def test_pictures_and_sizes_that_cannot_be(image: Any, size: Any, says: str) -> None:
    with rtsr.Upscaler(2, engine="bicubic") as upscale:
        with pytest.raises(ArgumentError, match=says) as caught:
            upscale(image, size)
        assert isinstance(caught.value, UsageError) and isinstance(caught.value, ValueError)
        assert upscale(IMAGE, (np.int64(10), 9)).shape == (9, 10, 3)  # type: ignore[arg-type]


def test_late_may_be_a_name() -> None:
    job = Job("in.mp4", scale=2, pace=Pace(deadline=1), late="drop")  # type: ignore[arg-type]
    assert job.late is Late.DROP


def test_paces_are_numbers() -> None:
    with pytest.raises(UsageError, match="a deadline is a number of seconds, not '16ms'"):
        Pace(deadline="16ms")  # type: ignore[arg-type]
    assert frame_time(np.float32(50)) == pytest.approx(0.02)  # type: ignore[arg-type]


HALF = np.zeros((3, 4), np.uint8)
FRAME = Frame(IMAGE[..., 0], HALF, HALF, Colour("bt709"))


@pytest.mark.parametrize(
    ("planes", "says"),
    [
        (([[1]], HALF, HALF), "the plane y is an array, .* not list"),
        ((IMAGE[..., 0], None, HALF), "the plane u is an array, .* not NoneType"),
        ((IMAGE[..., 0].astype(np.uint16), HALF, HALF), "plane y .* uint16; reduce it to 8 bits first"),
        ((IMAGE[..., 0], HALF, HALF.astype(np.float32)), "plane v .* float32; reduce it to 8 bits first"),
        ((IMAGE, HALF, HALF), r"plane y .* \(6, 8, 3\) uint8; a frame has a plane each"),
        ((IMAGE[:0, :0, 0], HALF[:0, :0], HALF[:0, :0]), r"not empty, got \(0, 0\)"),
        ((IMAGE[..., 0], HALF, HALF[1:]), r"luma \(6, 8\) needs chroma \(3, 4\), not \(3, 4\) and \(2, 4\)"),
    ],
)
def test_planes_that_cannot_be(planes: Any, says: str) -> None:
    with pytest.raises(ArgumentError, match=says) as caught:
        Frame(*planes, Colour("bt709"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("frame", "size", "says"),
    [
        (IMAGE, (16, 12), r"a frame is an rtsr\.frame\.Frame, which takes its planes, not ndarray"),
        (FRAME, (15, 12), "a frame's sides are even, not 15x12"),
        (FRAME, (0, 0), "a frame's size's width is a whole number above 0, not 0"),
        (FRAME, (16, -2), "a frame's size's height is a whole number above 0, not -2"),
        (FRAME, (16.0, 12.0), r"whole number above 0, not 16\.0"),
    ],
)
def test_frames_and_sizes_that_cannot_be(frame: Any, size: Any, says: str) -> None:
    with (
        rtsr.Upscaler(2, engine="bicubic") as upscaler,
        PacedUpscaler(2, Pace(quality=0.5)) as paced,
        PacedUpscaler(2, Pace(deadline=1.0), model="quicksrnet-small") as whole,
    ):
        for use in (upscaler.frame, upscaler.submit, paced.frame, paced.interpolate, whole.frame):
            with pytest.raises(ArgumentError, match=says):
                use(frame, *size)
        assert paced.frame(FRAME, np.int64(16), 12)[0].width == 16  # type: ignore[arg-type]


def test_a_pace_is_no_number() -> None:
    with pytest.raises(UsageError, match=r"the pace is given as Pace\(deadline=0\.016\), not as 0\.016"):
        PacedUpscaler(2, 0.016)  # type: ignore[arg-type]


def test_larger_than_the_scale_is_refused() -> None:
    with rtsr.Upscaler("1.5", engine="bicubic") as upscale:
        image = np.zeros((7, 9, 3), np.uint8)
        for size in ((14, 11), (13, 10), (9, 11)):
            assert upscale(image, size).shape == (*size[::-1], 3)
        with pytest.raises(ArgumentError, match=r"15x11 is 1\.67 times 9x7, and this upscales by 1\.5; ask for"):
            upscale(image, (15, 11))


@pytest.mark.parametrize("latency", ["200ms", 0.2, np.float64(0.2)])
def test_times_of_live_inputs_are_seconds(latency: Any) -> None:
    live = rtsr.Live(latency, stall=np.float32(4))  # type: ignore[arg-type]
    assert live == rtsr.Live(0.2, 4.0) and json.dumps(asdict(live))
    assert [type(value) for value in asdict(live).values()] == [float, float, bool]


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        ({"latency": "200"}, "'200' is not a duration"),
        ({"latency": [1]}, "not a duration"),
        ({"stall": 0}, "out of range"),
        ({"realtime": "yes"}, "realtime is given as True or False, not as 'yes'"),
    ],
)
def test_live_inputs_that_cannot_be(wish: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        rtsr.Live(**wish)


def test_reports_of_numpys_numbers_can_be_written(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", frames=3)
    paces: list[dict[str, Any]] = [
        {"quality": np.float32(0.25), "threads": np.int64(1), "encoding": rtsr.Encoding(crf=np.int64(20))},  # type: ignore
        {"deadline": np.float32(5)},
        {"fps": np.float32(0.25), "live": rtsr.Live(np.float32(1), realtime=True)},  # type: ignore[arg-type]
    ]
    for pace in paces:
        report = rtsr.upscale(source, tmp_path / "out.mp4", scale=2, overwrite=True, **pace)
        assert json.dumps(asdict(report))


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        ({"model": ""}, "the model has an empty name; leave it out for the usual one"),
        ({"model": 5}, "the model is a path"),
        ({"model": b"x"}, "the model is a path"),
        ({"size": "abc"}, "size is a width and a height such as"),
        ({"size": (0, -3)}, "size's width is a whole number above 0, not 0"),
        ({"tell": 5}, "tell is called"),
    ],
)
def test_upscalers_that_cannot_be(wish: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        rtsr.Upscaler(2, **wish)
    with pytest.raises(UsageError, match=says):
        PacedUpscaler(2, Pace(quality=0.5), **wish)


@pytest.mark.parametrize("stem", ["x" * 300, "a\0b"])
@pytest.mark.parametrize("suffix", [".mp4", ".png", ".vpy"])
def test_names_that_no_file_can_have(tmp_path: Path, stem: str, suffix: str) -> None:
    name = tmp_path / f"{stem}{suffix}"
    video, still = make_video(tmp_path / "in.mp4", frames=2), tmp_path / "in.png"
    still.write_bytes(cv2.imencode(".png", IMAGE)[1].tobytes())
    wanted = "has a NUL character in its name" if "\0" in stem else "File name too long.*; choose another name with -o"
    for source in (video, still):
        for output in (name, tmp_path / stem / f"out{suffix}"):
            with pytest.raises((UsageError, SinkError), match=wanted) as caught:
                rtsr.upscale(source, output, scale=2, engine="bicubic")
            assert "\n" not in str(caught.value) and "\0" not in str(caught.value)
    missing = "has a NUL character in its name" if "\0" in stem else "does not exist|VapourSynth|vapoursynth"
    for output in (None, tmp_path / "out.mp4"):
        with pytest.raises(RtsrError, match=missing):
            rtsr.upscale(name, output, scale=2, engine="bicubic")
    with pytest.raises(RtsrError, match=missing):
        rtsr.upscale(video, tmp_path / "out.mp4", scale=2, engine="bicubic", reference=name)
    with pytest.raises(UsageError, match=r"NUL|there is no card"):
        rtsr.Upscaler(2, model=name.with_suffix(".toml"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "in.png"]


def test_a_default_name_that_is_too_long(tmp_path: Path) -> None:
    source = make_video(tmp_path / f"{'x' * 250}.mp4", frames=2)
    with pytest.raises(SinkError, match=r"File name too long.*; choose another name with -o"):
        rtsr.upscale(source, scale=2, engine="bicubic")
    assert rtsr.upscale(source, tmp_path / "out.mp4", scale=2, engine="bicubic").frames == 2


@pytest.mark.parametrize("provider", [5, b"cpu", ["cpu"]])
def test_a_provider_is_text(provider: Any) -> None:
    with pytest.raises(UsageError, match=r"a provider is given by its name, e\.g\. 'cuda:1', not as"):
        rtsr.Upscaler(2, provider=provider)
