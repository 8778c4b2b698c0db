"""The filter in every format: the network's own pixels, all props, any order; and what it refuses, when evaluated."""

from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from rtsr.frame import Frame
from rtsr.source.pyav import PyAVSource
from rtsr.upscaler import Upscaler, target_size
from tests.media import make_video
from tests.vs.clips import as_format, core, moving, pixels, planes, rgb_at, rtsr_vs, same, vs

YUV = [vs.YUV420P8, vs.YUV422P8, vs.YUV444P8, vs.YUV420P10, vs.YUV444P12, vs.YUV420P16, vs.YUV410P8, vs.YUV440P8]


def network(image: np.ndarray, scale: float, **options: object) -> np.ndarray:
    """What the engine alone makes of (3, H, W)."""
    with Upscaler(scale, **options) as upscaler:
        return upscaler.engine.infer(image[None])[0]


@pytest.mark.parametrize("scale", [1.5, 2, "3/2", Fraction(2)])
@pytest.mark.parametrize("streams", [1, 2, 3])
def test_rgb_is_exactly_what_the_network_makes(scale: float | str | Fraction, streams: int) -> None:
    large = rtsr_vs.Upscale(moving(), scale=scale, num_streams=streams)
    assert (large.width, large.height, large.format.id) == (64 * Fraction(scale), 48 * Fraction(scale), vs.RGBS)
    assert large.num_frames == 5 and large.fps == 24
    for n in (3, 0, 4):
        expected = network(rgb_at(n, 64, 48), float(Fraction(scale)))
        assert np.abs(np.stack(pixels(large, n)) - expected).max() < 1e-6


@pytest.mark.parametrize(("form", "error"), [(vs.RGBH, 2e-3), (vs.RGB24, 4e-3)])
def test_other_rgb_is_the_same_in_coarser_steps(form: int, error: float) -> None:
    large = rtsr_vs.Upscale(as_format(moving(), form), 2)
    assert large.format.id == form
    white = 255 if form == vs.RGB24 else 1
    found = np.stack(pixels(large, 2)).astype(np.float32) / white
    low = np.stack(pixels(as_format(moving(), form), 2)).astype(np.float32) / white
    assert np.abs(found - network(low, 2)).max() < error


def test_grey_stays_grey() -> None:
    clip = as_format(moving(), vs.GRAYS)
    large = rtsr_vs.Upscale(clip, 1.5)
    (found,), (low,) = pixels(large, 1), pixels(clip, 1)
    expected = network(np.stack([low] * 3), 1.5)
    assert (
        large.format.id == vs.GRAYS and np.abs(found - np.tensordot((0.2126, 0.7152, 0.0722), expected, 1)).max() < 1e-5
    )


@pytest.mark.parametrize("form", YUV, ids=lambda form: core.get_video_format(form).name)
@pytest.mark.parametrize("props", [{"_Matrix": 1, "_Range": 0}, {"_Matrix": 6, "_Range": 1, "_ChromaLocation": 1}])
def test_yuv_has_the_colours_of_the_network(form: int, props: dict[str, int]) -> None:
    """Against VapourSynth's own conversion of what the network makes of VapourSynth's own RGB."""
    clip = as_format(moving(width=96, height=64), form, **props)
    large = rtsr_vs.Upscale(clip, 2)
    assert large.format.id == form
    rgb = clip.resize.Bilinear(format=vs.RGBS)
    expected = rtsr_vs.Upscale(rgb, 2).resize.Bilinear(
        format=form, matrix=props["_Matrix"], range=props["_Range"], chromaloc=props.get("_ChromaLocation", 0)
    )
    step = 1 << large.format.bits_per_sample - 8
    for found, wanted in zip(pixels(large, 2), pixels(expected, 2), strict=True):
        inner = slice(8, -8)
        difference = np.abs(found.astype(int) - wanted)[inner, inner] / step
        assert difference.max() < 3 and difference.mean() < 0.6


def test_frames_are_those_of_rtsr_upscale(tmp_path: Path) -> None:
    path = make_video(tmp_path / "in.mp4", frames=6, size=(96, 64))
    clip = core.bs.VideoSource(str(path), cachemode=0)
    for scale in (1.5, 2):
        large = rtsr_vs.Upscale(clip, scale)
        with PyAVSource(path) as source, Upscaler(scale) as upscaler:
            frames = [item for item in source.items() if isinstance(item, Frame)]
            for n, frame in enumerate(frames):
                expected = upscaler.frame(frame, *target_size(96, 64, upscaler.scale))
                for found, wanted in zip(pixels(large, n), (expected.y, expected.u, expected.v), strict=True):
                    assert np.abs(found.astype(int) - wanted).max() <= 1


def test_the_matrix_may_have_mpvs_name() -> None:
    clip = as_format(moving(), vs.YUV420P8, _Matrix=9)
    named = clip.std.SetFrameProps(_ColorSpace=9).std.RemoveFrameProps("_Matrix")
    untold = clip.std.RemoveFrameProps("_Matrix")
    told, found, guessed = (pixels(rtsr_vs.Upscale(c, 2), 1) for c in (clip, named, untold))
    assert same(found, told) and not same(guessed, told)


def test_props_are_kept() -> None:
    kept = {"_SARNum": 4, "_SARDen": 3, "_DurationNum": 1001, "_DurationDen": 24000, "_FieldBased": 0, "_Field": 1}
    kept |= {"_Primaries": 9, "_Transfer": 16, "_Matrix": 9, "_Range": 0, "_ChromaLocation": 2, "mine": 7}
    clip = as_format(moving(), vs.YUV420P10).std.SetFrameProps(**kept).std.SetFrameProps(scene="night")
    with rtsr_vs.Upscale(clip, 2).get_frame(1) as frame:
        assert {**frame.props, **kept, "scene": "night"} == dict(frame.props)
        assert frame.props["rtsr_ms"] > 0 and frame.props["rtsr_reused"] == 0
        assert list(frame.props["rtsr_exit_share"]) == [0, 1]


@pytest.mark.parametrize(("scale", "size"), [(1.75, (114, 86)), (3, (195, 147)), (4, (260, 196)), (1.1, (72, 54))])
def test_scales_between_the_networks(scale: float, size: tuple[int, int]) -> None:
    large = rtsr_vs.Upscale(moving(width=65, height=49), scale)
    assert (large.width, large.height) == size
    found, low = np.stack(pixels(large, 1)), rgb_at(1, 65, 49)
    assert np.abs(found.mean((1, 2)) - low.mean((1, 2))).max() < 0.02


@pytest.mark.parametrize("scale", [1.5, 2])
def test_odd_sizes_suit_chroma(scale: float) -> None:
    large = rtsr_vs.Upscale(as_format(moving(width=66, height=50), vs.YUV420P8), scale)
    assert (large.width, large.height) == target_size(66, 50, Fraction(scale))
    assert pixels(large, 0)[0].shape == (large.height, large.width)


@pytest.mark.parametrize("scale", [1.1, 1.75, 2])
@pytest.mark.parametrize("form", [vs.YUV420P8, vs.RGBS])
def test_interlaced_frames_are_whole_pictures_at_every_scale(form: int, scale: float) -> None:
    clip = as_format(moving(width=66, height=50), form)
    large = rtsr_vs.Upscale(clip.std.SetFrameProps(_FieldBased=2), scale)
    assert same(pixels(large, 1), pixels(rtsr_vs.Upscale(clip.std.SetFrameProps(_FieldBased=0), scale), 1))
    with large.get_frame(1) as frame:
        assert frame.props["_FieldBased"] == 2


@pytest.mark.parametrize("scale", [1.75, 2])
@pytest.mark.parametrize("form", [vs.YUV444P10, vs.YUV420P8, vs.GRAYS])
def test_props_that_are_missing_stay_missing(form: int, scale: float) -> None:
    clip = as_format(moving(), form).std.RemoveFrameProps(["_Matrix", "_Range", "_ChromaLocation"])
    with clip.get_frame(0) as small, rtsr_vs.Upscale(clip, scale).get_frame(0) as large:
        assert {key for key in large.props if not key.startswith("rtsr_")} == set(small.props)


@pytest.mark.parametrize("engine", ["bicubic", "lanczos", "fsr", "onnx"])
def test_engines(engine: str) -> None:
    large = rtsr_vs.Upscale(moving(), 2, engine=engine)
    assert np.abs(np.stack(pixels(large, 0)) - network(rgb_at(0, 64, 48), 2, engine=engine)).max() < 1e-6


@pytest.mark.parametrize("form", [vs.RGBS, vs.YUV420P8, vs.YUV444P16])
@pytest.mark.parametrize("scale", [1.5, 2, 4])
def test_tiles_and_reuse_change_nothing(form: int, scale: float) -> None:
    clip = as_format(moving(6, 140, 76, still_from=2), form)
    plain = rtsr_vs.Upscale(clip, scale, num_streams=1, reuse=False)
    reusing, tiled = rtsr_vs.Upscale(clip, scale), rtsr_vs.Upscale(clip, scale, tile=64, reuse=False)
    shares = []
    for n in range(6):
        expected = pixels(plain, n)
        with reusing.get_frame(n) as frame:
            shares.append(frame.props["rtsr_reused"])
            found = planes(frame)
        for a, b, c in zip(expected, found, pixels(tiled, n), strict=True):
            # ONNX Runtime rounds sums of other sizes in other orders.
            step = 2e-6 if form == vs.RGBS else 1
            assert np.abs(a.astype(float) - b).max() <= step and np.abs(a.astype(float) - c).max() <= step
    assert shares[:3] == [0, 0, 0] and min(shares[3:]) > 0.3


@pytest.mark.parametrize("order", [[5, 4, 3, 2, 1, 0], [3, 4, 0, 1, 5, 2], [0, 2, 4, 1, 3, 5]])
def test_any_order_gives_the_same_frames(order: list[int]) -> None:
    clip = as_format(moving(6, 140, 76, still_from=2), vs.YUV420P8)
    forward = rtsr_vs.Upscale(clip, 2, num_streams=1)
    expected = [pixels(forward, n) for n in range(6)]
    shuffled = rtsr_vs.Upscale(clip, 2)
    assert all(same(pixels(shuffled, n), expected[n]) for n in order)


def test_all_requests_at_once_give_the_same_frames() -> None:
    clip = as_format(moving(24, 140, 76, still_from=8), vs.YUV420P8)
    plain = rtsr_vs.Upscale(clip, 2, reuse=False)
    parallel = rtsr_vs.Upscale(clip, 2, num_streams=4)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda n: pixels(parallel, n), range(24)))
    assert all(same(found[n], pixels(plain, n)) for n in range(24))


def test_a_still_clip_is_computed_once() -> None:
    large = rtsr_vs.Upscale(core.std.BlankClip(format=vs.RGBS, width=64, height=48, length=8, keep=True), 2)
    assert [frame.props["rtsr_reused"] for frame in large.frames(prefetch=1, close=True)] == [0, *[1] * 7]


BAD = [
    ({}, lambda: 7, "a clip is needed"),
    ({}, lambda: core.std.Splice([moving(2), moving(2, 32, 32)], mismatch=1), "changes its format or size"),
    (
        {},
        lambda: core.std.Splice([moving(2), as_format(moving(2), vs.RGB24)], mismatch=1),
        "changes its format or size",
    ),
    ({}, lambda: moving(width=14), "too small"),
    ({}, lambda: as_format(moving(), vs.RGB27), "RGB27 clips are not taken"),
    ({}, lambda: as_format(moving(), vs.RGB48), "RGB48 clips are not taken"),
    ({}, lambda: as_format(moving(), vs.YUV444PS), "YUV444PS clips are not taken"),
    ({}, lambda: as_format(moving(), vs.GRAYS).resize.Point(format=vs.GRAY8), "Gray8 clips are not taken"),
    ({}, lambda: as_format(moving(), vs.YUV420P8).std.SetFrameProps(_Matrix=8), "the colour matrix 8"),
    ({"scale": 1}, moving, "out of range"),
    ({"scale": 9}, moving, "out of range"),
    ({"scale": "big"}, moving, "not a scale"),
    ({"scale": float("nan")}, moving, "not a scale"),
    ({"scale": None}, moving, "not a scale"),
    ({"scale": [2]}, moving, "not a scale"),
    ({"quality": "0.5"}, moving, "between 0 and 1, not '0.5'"),
    ({"deadline": [1]}, moving, "not a duration"),
    ({"model": "nothing"}, moving, "unknown model"),
    ({"model": "nothing.toml"}, moving, "no card"),
    ({"engine": "magic"}, moving, "unknown engine"),
    ({"engine": "fsr", "model": "quicksrnet-small"}, moving, "uses no network"),
    ({"provider": "gpu"}, moving, "unknown provider"),
    ({"provider": "cuda"}, moving, "installed without CUDA"),
    ({"provider": "cpu", "engine": "fsr"}, moving, "leave it out"),
    ({"precision": "fp8"}, moving, "unknown precision"),
    ({"precision": "fp16", "engine": "onnx"}, moving, "for NVIDIA engines"),
    ({"num_streams": 0}, moving, "num_streams"),
    ({"num_streams": 1.5}, moving, "num_streams"),
    ({"num_streams": True}, moving, "num_streams"),
    ({"num_streams": 100_000}, moving, "num_streams is a whole number of 1 to 256"),
    ({"threads": 0}, moving, "threads"),
    ({"threads": 100_000}, moving, "threads is a whole number of 1 to 256"),
    ({"tile": 8}, moving, "tile"),
    ({"tile": "big"}, moving, "tile"),
]


@pytest.mark.parametrize(("options", "make", "message"), BAD, ids=[entry[2] for entry in BAD])
def test_what_is_wrong_shows_when_the_script_is_evaluated(options: dict, make, message: str) -> None:
    with pytest.raises(vs.Error, match=f"^rtsr: .*{message}"):
        rtsr_vs.Upscale(make(), **options)


def test_a_prop_that_turns_bad_later_fails_that_frame_only() -> None:
    clip = as_format(moving(4), vs.YUV420P8)
    bad = clip[:2] + clip[2].std.SetFrameProps(_Matrix=8) + clip[3]
    large = rtsr_vs.Upscale(bad, 2)
    with pytest.raises(vs.Error, match="rtsr: frame 2: the colour matrix 8"):
        large.get_frame(2)
    assert same(pixels(large, 3), pixels(rtsr_vs.Upscale(clip, 2), 3))
