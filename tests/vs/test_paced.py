"""Frames for a share of the compute, or for a time: what they get, in every format and order."""

from pathlib import Path
from time import perf_counter_ns

import numpy as np
import pytest

from rtsr.engine.choice import Means
from rtsr.engine.stages import StagedEngine
from rtsr.frame import Frame
from rtsr.pacing.paced import Pace, PacedUpscaler
from rtsr.resources import networks
from rtsr.source.pyav import PyAVSource
from tests.media import make_video
from tests.vs.clips import as_format, core, moving, pixels, planes, rtsr_vs, same, vs

EXITS = "enaf-quicksrnet-medium-x2-photo"
WHOLE = "quicksrnet-medium-x2-photo"
"""What tiles get at most where EXITS is named: it is better than the last exit."""
METHODS = pytest.mark.parametrize(("model", "scale"), [(EXITS, 2), ("quicksrnet-medium-photo", 3)])
"""Tile by tile, and whole frames: at x3 no exits are known."""
FORMATS = [vs.RGBS, vs.RGBH, vs.RGB24, vs.GRAYS, vs.YUV420P8, vs.YUV422P10, vs.YUV444P16, vs.YUV410P8]


def detailed(length: int = 6, still_from: int | None = None):
    """Tiles of different worth: the right half is flat."""
    clip = moving(length, 160, 96, still_from)
    flat = core.std.BlankClip(clip, width=96, color=[0.4, 0.5, 0.6], keep=True)
    return core.std.StackHorizontal([clip.std.Crop(right=64), flat])


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: core.get_video_format(form).name)
def test_all_of_the_compute_is_the_best_network(form: int) -> None:
    clip = as_format(detailed(), form)
    paced, plain = (rtsr_vs.Upscale(clip, 2, **wish) for wish in ({"quality": 1, "model": EXITS}, {"model": WHOLE}))
    with paced.get_frame(1) as frame:
        shares, names = frame.props["rtsr_exit_share"], frame.props["rtsr_exits"]
        assert len(shares) == len(names) == 5 and sum(shares) == pytest.approx(1)
        assert (names[0], names[-1]) == ("bicubic", "quicksrnet-medium")
        found = planes(frame)
    assert shares[4] > 0.2
    step = 1 if paced.format.sample_type == vs.FLOAT else 1 << paced.format.bits_per_sample
    for one, other in zip(found, pixels(plain, 1), strict=True):
        # Flat tiles are left to interpolation, which is as good there.
        assert np.abs(one.astype(float) - other).mean() < 0.01 * step
        left = slice(8, 64 * other.shape[1] // paced.width)
        assert np.abs(one.astype(float) - other)[8:-8, left].mean() < 0.004 * step


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: core.get_video_format(form).name)
def test_none_of_it_is_interpolation(form: int) -> None:
    large = rtsr_vs.Upscale(as_format(detailed(), form), 2, model=EXITS, quality=0)
    with large.get_frame(0) as frame:
        assert list(frame.props["rtsr_exit_share"]) == [1, 0, 0, 0, 0]
        found = planes(frame)
    keys = {"filter_param_a": 0, "filter_param_b": 0.75}
    expected = pixels(as_format(detailed(), form).resize.Bicubic(large.width, large.height, **keys), 0)
    step = 1 if large.format.sample_type == vs.FLOAT else 1 << large.format.bits_per_sample
    for one, other, allowed in zip(found, expected, (0.004, 0.01, 0.01), strict=False):
        # Chroma that is not in 4:2:0 is interpolated in RGB.
        assert np.abs(one.astype(float) - other)[4:-4, 4:-4].mean() < allowed * step


def test_frames_are_those_of_the_command_line(tmp_path: Path) -> None:
    path = make_video(tmp_path / "in.mp4", frames=5, size=(160, 96))
    large = rtsr_vs.Upscale(core.bs.VideoSource(str(path), cachemode=0), 2, model=EXITS, quality=0.6)
    with PyAVSource(path) as source, PacedUpscaler(2, Pace(quality=0.6), model=EXITS) as upscaler:
        frames = [item for item in source.items() if isinstance(item, Frame)]
        for n, frame in enumerate(frames):
            expected, spent = upscaler.frame(frame, 320, 192)
            with large.get_frame(n) as got:
                assert got.props["rtsr_reused"] == pytest.approx(spent.reused / spent.tiles.sum())
                assert same(planes(got), [expected.y, expected.u, expected.v])


@pytest.mark.parametrize("form", [vs.RGBS, vs.YUV420P8, vs.YUV420P10, vs.YUV410P8])
@pytest.mark.parametrize("order", [[5, 4, 3, 2, 1, 0], [3, 4, 0, 1, 5, 2]])
def test_a_share_gives_the_same_frames_in_any_order(form: int, order: list[int]) -> None:
    clip = as_format(detailed(still_from=2), form, **({"_ChromaLocation": 1} if form == vs.YUV420P10 else {}))
    forward, shuffled = (rtsr_vs.Upscale(clip, 2, model=EXITS, quality=0.5) for _ in range(2))
    expected, reused = [], []
    for n in range(6):
        with forward.get_frame(n) as frame:
            expected.append(planes(frame))
            reused.append(frame.props["rtsr_reused"])
    assert reused[0] == 0 and min(reused[3:]) > 0.3
    for n in order:
        with shuffled.get_frame(n) as frame:
            found = planes(frame)
            assert frame.props["rtsr_reused"] == 0 or n - 1 == order[order.index(n) - 1]
        for one, other in zip(found, expected[n], strict=True):
            assert np.abs(one.astype(float) - other).max() <= (2e-6 if form == vs.RGBS else 0)


@pytest.mark.parametrize("form", [vs.RGBS, vs.YUV420P8])
@METHODS
def test_a_deadline_is_spent_and_kept(form: int, model: str, scale: int) -> None:
    clip = as_format(moving(12), form)
    hasty, patient = (rtsr_vs.Upscale(clip, scale, model=model, deadline=seconds) for seconds in (1e-6, 20))
    assert pixels(hasty, 0)[0].shape == (48 * scale, 64 * scale)
    assert [frame.props["rtsr_exit_share"][0] for frame in hasty.frames(close=True)] == [1] * 12
    assert [frame.props["rtsr_exit_share"][0] for frame in patient.frames(close=True)][-1] < 1


def test_only_a_deadline_waits_for_measurements(monkeypatch: pytest.MonkeyPatch) -> None:
    ran, run = [], StagedEngine.exit
    monkeypatch.setattr(StagedEngine, "exit", lambda self, k, tiles: ran.append(k) or run(self, k, tiles))
    rtsr_vs.Upscale(moving(), 2, model=EXITS, quality=0.6)
    assert not ran
    monkeypatch.setattr("rtsr.vs.paced._measured", {})
    rtsr_vs.Upscale(moving(), 2, model=EXITS, deadline=1.0)
    assert ran


@METHODS
def test_a_script_that_is_evaluated_anew_measures_nothing_anew(
    model: str, scale: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: dict = {}
    monkeypatch.setattr("rtsr.vs.paced._measured", measured)
    for _ in range(2):
        rtsr_vs.Upscale(moving(), scale, model=model, deadline=1.0, threads=1)
    ((key, rates),) = measured.items()
    rtsr_vs.Upscale(moving(), scale, model=model, deadline=0.5, threads=1)
    assert measured[key] is rates and len(measured) == 1
    rtsr_vs.Upscale(moving(), scale, model=model, deadline=1.0, threads=2)
    assert len(measured) == 2


def test_other_scales_are_fitted() -> None:
    large = rtsr_vs.Upscale(as_format(moving(), vs.YUV420P8), 1.7, model=EXITS, quality=0.5)
    assert (large.width, large.height) == (108, 82)
    assert same(pixels(large, 0), pixels(large, 0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quality": 0.5, "deadline": 0.1}, "a deadline or a quality, not both"),
        ({"quality": 2}, "between 0 and 1"),
        ({"quality": float("nan")}, "between 0 and 1"),
        ({"deadline": -1}, "out of range"),
        ({"quality": 0.5, "tile": 64}, "leave out tile"),
        ({"deadline": "soon"}, "is not a duration"),
        ({"quality": 0.5, "engine": "fsr"}, "no shares to spend"),
        ({"quality": 0.5, "model": "quicksrnet-small-photo", "scale": 3}, "has one exit"),
        ({"quality": 0.5, "model": EXITS, "scale": 3}, "does not reach 3"),
    ],
)
def test_what_cannot_be_is_refused(options: dict, message: str) -> None:
    assert EXITS in networks()
    with pytest.raises(vs.Error, match=f"^rtsr: .*({message})"):
        rtsr_vs.Upscale(moving(), **options)


def test_deadlines_are_written_as_on_the_command_line() -> None:
    large = rtsr_vs.Upscale(moving(), 2, model=EXITS, deadline="2s")
    assert pixels(large, 0)[0].shape == (96, 128)


def test_colours_of_a_picture_are_not_kept() -> None:
    from rtsr.vs.paced import Tiles
    from rtsr.vs.streams import Picture

    with PacedUpscaler(2, Pace(quality=0.5), model=EXITS) as upscaler:
        tiles = Tiles(upscaler.engine, upscaler.pace, Means(), True, perf_counter_ns, (2, 2))
        with as_format(detailed(), vs.YUV420P8).get_frame(0) as frame:
            picture = Picture.of(frame)
            tiles.make(0, picture, float("inf"))
            assert "rgb" not in vars(picture) and picture.rgb.shape == (1, 3, 96, 192)


def test_copying_into_a_frame_is_counted() -> None:
    from rtsr.vs.paced import PacedStream

    now, dues = [0.0], []

    class Method:
        exits = ("bicubic",)

        def make(self, n, picture, due_ns: float):
            dues.append(due_ns - now[0])
            return [np.repeat(np.repeat(plane, 2, 0), 2, 1) for plane in picture.planes], [1.0], 0.0

    def clock() -> float:
        now[0] += 1e6  # Every look at it takes a millisecond, and so does copying.
        return now[0]

    stream = PacedStream(Method(), Pace(deadline=0.01), (384, 192), clock)
    clip = as_format(detailed(), vs.YUV420P8)
    for n in range(3):
        with clip.get_frame(n) as frame:
            stream(n, frame)
    assert dues == [10e6, 9e6, 9e6]
