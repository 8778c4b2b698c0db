"""Whole files at a pace, with a network that has several exits and with a ladder of networks."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import rtsr
from rtsr.engine.stages import StagedEngine
from rtsr.errors import UsageError
from rtsr.frame import Colour, Frame, Video
from rtsr.pacing.deadline import CostModel, Rate
from rtsr.pacing.delivery import check_possible
from rtsr.pacing.paced import Pace, PacedUpscaler
from rtsr.resources import find_network
from rtsr.source.pyav import PyAVSource
from tests.media import luma as lumas
from tests.media import make_video, picture_number, probe

SCALE = Fraction(2)


@pytest.fixture
def card() -> Path:
    """The card of the shipped network with several exits."""
    return find_network("enaf-quicksrnet-medium-photo", SCALE).card_path


def counts(report: rtsr.Report) -> dict:
    assert report.spending is not None
    found = report.spending["frames"]
    assert isinstance(found, dict)
    return found


def test_a_quality_is_the_share_that_is_spent(tmp_path: Path, card: Path) -> None:
    clip = make_video(tmp_path / "in.mp4", frames=4, size=(160, 96))
    spent = []
    for quality in (0.0, 0.3, 1.0):
        output = tmp_path / f"{quality}.mp4"
        report = rtsr.upscale(clip, output, scale=2, model=card, quality=quality, threads=1)
        assert probe(output).frames == sum(counts(report).values()) == 4
        assert report.spending is not None and "misses" not in report.spending
        tiles = report.spending["tiles_per_exit"]
        assert isinstance(tiles, list) and sum(tiles) == 4 * 6
        spent.append(tiles[0])
    assert spent[0] == 24 > spent[1] > spent[2]


def test_a_still_picture_is_reused(tmp_path: Path, card: Path) -> None:
    clip = make_video(tmp_path / "in.mkv", frames=5, size=(160, 96), still=True, codec="ffv1", audio=False)
    report = rtsr.upscale(clip, tmp_path / "out.mkv", scale=2, model=card, quality=1.0, threads=1)
    assert report.spending is not None and report.spending["tiles_reused"] == 4 * 6


def test_an_ample_deadline_leaves_nothing_out(tmp_path: Path, card: Path) -> None:
    clip = make_video(tmp_path / "in.mp4", frames=6)
    for model, scale in ((card, 2), ("quicksrnet-small-photo", 3)):
        output = tmp_path / "out.mp4"
        report = rtsr.upscale(clip, output, scale=scale, model=model, deadline="20s", overwrite=True)
        assert report.spending is not None
        assert (report.spending["misses"], report.spending["deadline_ms"]) == (0, 20000)
        assert [picture_number(plane) for plane in lumas(output)] == list(range(6))
        assert report.frames == sum(counts(report).values()) == counts(report)["made"] == 6


def test_a_deadline_that_nothing_meets(tmp_path: Path, card: Path) -> None:
    clip = make_video(tmp_path / "in.mp4", frames=6)
    for model, scale in ((card, 2), ("quicksrnet-small-photo", 3)):
        with pytest.raises(UsageError, match=r"0\.001 ms is too little .* give --deadline \d+ms or more, .*--late"):
            rtsr.upscale(clip, tmp_path / "out.mp4", scale=scale, model=model, deadline=1e-6)
        assert not (tmp_path / "out.mp4").exists()
    report = rtsr.upscale(clip, tmp_path / "out.mp4", scale=2, model=card, deadline=1e-6, late="degrade")
    assert counts(report) == {"made": 0, "interpolated": 6, "repeated": 0, "dropped": 0}
    assert report.spending is not None and report.spending["share_of_full_compute"] == 0
    tiles = report.spending["tiles_per_exit"]
    assert isinstance(tiles, list) and (tiles[0], sum(tiles)) == (6, 6)  # One a frame.
    assert [note for note in report.notes if "no frame got anything from the network within 0.001 ms" in note]
    assert [picture_number(plane) for plane in lumas(tmp_path / "out.mp4")] == list(range(6))


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        ({"deadline": 0}, "above 0 and at most an hour"),
        ({"deadline": "-5ms"}, "is not a duration"),
        ({"deadline": 1e9}, "above 0 and at most an hour"),
        ({"fps": float("nan")}, "is not a frame rate"),
        ({"quality": 1.5}, "between 0 and 1"),
        ({"quality": 0.5, "fps": 60}, "give one of fps, deadline and quality"),
        ({"late": "drop"}, "nothing is late without a deadline"),
        ({"late": "hurry", "fps": 60}, "known: degrade, repeat, drop"),
        ({"quality": 0.5, "late": "drop"}, "a quality takes the time"),
        ({"fps": 60, "engine": "bicubic"}, "has no shares to spend"),
        ({"quality": 0.5, "model": "quicksrnet-small-photo", "scale": 3}, "has one exit"),
    ],
)
def test_wishes_that_make_no_sense(tmp_path: Path, wish: dict, says: str) -> None:
    clip = make_video(tmp_path / "in.mp4", frames=2)
    with pytest.raises(UsageError, match=says):
        rtsr.upscale(clip, **{"scale": 2, **wish})
    assert list(tmp_path.iterdir()) == [clip]


def test_a_scale_that_a_network_does_not_reach_names_those_that_do(tmp_path: Path) -> None:
    clip = make_video(tmp_path / "in.mp4", frames=2)
    with pytest.raises(UsageError, match=r"does not reach 3 .*; take --model quicksrnet-medium-photo or quicksrnet-sm"):
        rtsr.upscale(clip, scale=3, deadline="1s")
    with pytest.raises(UsageError, match="does not reach 3 in one run; leave out the deadline or quality"):
        rtsr.upscale(clip, scale=3, quality=0.5)
    report = rtsr.upscale(clip, tmp_path / "out.mp4", scale=3, deadline="20s", model="quicksrnet-small-photo")
    assert report.output_size == (192, 144) and counts(report)["made"] == 2


def test_only_a_deadline_waits_for_measurements(card: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran, run = [], StagedEngine.exit
    monkeypatch.setattr(StagedEngine, "exit", lambda self, k, tiles: ran.append(k) or run(self, k, tiles))
    with PacedUpscaler(SCALE, Pace(quality=0.6), model=card) as up:
        assert not ran
        with pytest.raises(UsageError, match="belongs to a deadline"):
            up.minimum(Video(64, 48, Colour("bt709"), Fraction(1, 24)), 128, 96)
    with PacedUpscaler(SCALE, Pace(deadline=1.0), model=card):
        assert ran


def test_a_machine_that_was_slow_once_is_tried_again() -> None:
    costs = CostModel({"rung 0": Rate(5e6, 0)})
    for _ in range(20):
        costs.observe("rung 0", 1, 50e6)
    slow = costs.cautious_ns("rung 0", 1)
    waited = 0
    while costs.cautious_ns("rung 0", 1) > 14e6:
        costs.relax()
        waited += 1
    assert slow > 14e6 and 20 < waited < 300


def test_the_minimum_leaves_nothing_behind(card: Path, tmp_path: Path) -> None:
    with (
        PyAVSource(make_video(tmp_path / "in.mp4", frames=1)) as source,
        PacedUpscaler(SCALE, Pace(1.0), model=card) as up,
    ):
        least = up.minimum(source.video, 128, 96)
        frame = next(item for item in source.items() if hasattr(item, "y"))
        _, spent = up.frame(frame, 128, 96)  # type: ignore[arg-type]
    assert least.begin_ns > 0 and least.network_ns > 0 and spent.reused == 0 and np.isfinite(spent.begin_ns)


def noise(seed: int) -> Frame:
    random = np.random.default_rng(seed)
    y, u, v = (random.integers(16, 236, shape, np.uint8) for shape in ((96, 160), (48, 80), (48, 80)))
    return Frame(y, u, v, Colour("bt709"))


def test_a_capture_may_reuse_its_buffer(card: Path) -> None:
    frames, buffer = [noise(seed) for seed in range(3)], noise(0)
    with (
        PacedUpscaler(SCALE, Pace(quality=0.0), model=card) as own,
        PacedUpscaler(SCALE, Pace(quality=0.0), model=card) as shared,
    ):
        for frame in frames:
            for plane, new in zip((buffer.y, buffer.u, buffer.v), (frame.y, frame.u, frame.v), strict=True):
                plane[:] = new
            (wanted, _), (large, spent) = own.frame(frame, 320, 192), shared.frame(buffer, 320, 192)
            assert spent.reused == 0
            np.testing.assert_array_equal(large.y, wanted.y)
            np.testing.assert_array_equal(large.u, wanted.u)


@pytest.mark.parametrize("size", [(320, 192), (240, 144)])
@pytest.mark.parametrize("model", ["enaf-quicksrnet-medium-photo", "quicksrnet-small-photo"])
def test_what_is_drawn_on_a_result_stays_out_of_the_next(model: str, size: tuple[int, int]) -> None:
    with PacedUpscaler(SCALE, Pace(deadline=60.0), model=model) as upscaler:
        first, _ = upscaler.frame(noise(0), *size)
        for plane in (first.y, first.u, first.v):
            with pytest.raises(ValueError, match="read-only"):
                plane[:50] = 255
        before = first.y.copy()
        again, _ = upscaler.frame(noise(0), *size)
        upscaler.frame(noise(1), *size)
    np.testing.assert_array_equal(first.y, before)
    np.testing.assert_array_equal(again.y, before)


def test_frames_of_files_need_no_copy(tmp_path: Path) -> None:
    with PyAVSource(make_video(tmp_path / "in.mp4", frames=3, audio=False)) as source:
        for item in source.items():
            assert isinstance(item, Frame)
            assert not any(plane.flags.writeable for plane in (item.y, item.u, item.v))


@pytest.mark.parametrize("deadline_ms", [11.5, 12.0, 13.0, 15.0, 20.0])
def test_a_deadline_that_is_accepted_gets_the_network(deadline_ms: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock that only interpolating (1 ms) and the network (10.3 ms, as measured 10 ms) move."""
    now = [0.0]
    small, large = Video(64, 48, Colour("bt709"), Fraction(1, 30)), Video(192, 144, Colour("bt709"), Fraction(1, 30))
    y, half = np.full((48, 64), 90, np.uint8), np.full((24, 32), 128, np.uint8)
    picture = Frame(y, half, half, small.colour)
    enlarged = Frame(*(plane.repeat(3, 0).repeat(3, 1) for plane in (y, half, half)), small.colour)

    def takes(ms: float):
        def work(*_: object) -> Frame:
            now[0] += ms * 1e6
            return enlarged

        return work

    monkeypatch.setattr("rtsr.pacing.whole.interpolated", takes(1.0))
    monkeypatch.setattr(
        "rtsr.pacing.whole.calibrate_whole", lambda engines: CostModel({"rung 0": Rate(10e6, 0)}, deviation=0.05)
    )
    with PacedUpscaler(
        3, Pace(deadline=deadline_ms / 1e3), model="quicksrnet-small-photo", precision="fp32", clock=lambda: now[0]
    ) as upscaler:
        monkeypatch.setattr(upscaler._method.rungs[0], "frame", takes(10.3))  # type: ignore[union-attr]
        try:
            check_possible(upscaler, small, large, deadline_ms / 1e3)
        except UsageError:
            assert deadline_ms < 13
            return
        got = [upscaler.frame(picture, 192, 144)[1].tiles.tolist() for _ in range(20)]
    assert got == [[0, 1]] * 20
