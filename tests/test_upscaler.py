"""Pictures through the public `Upscaler`: sizes, padding, passes and colours."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import rtsr
from rtsr.errors import UsageError
from rtsr.frame import Colour, Frame
from rtsr.quality.imresize import imresize
from rtsr.upscaler import Upscaler, target_size


def picture(height: int, width: int) -> np.ndarray:
    coarse = np.random.default_rng(height * width).integers(30, 226, (-(-height // 8) + 1, -(-width // 8) + 1, 3))
    return imresize(coarse.astype(np.uint8), height, width)


@pytest.mark.parametrize("engine", ["auto", "bicubic", "fsr"])
@pytest.mark.parametrize("scale", [1.5, 2, "3/2", Fraction(7, 4), 1.1, 3, 4])
@pytest.mark.parametrize(("height", "width"), [(48, 64), (37, 51)])
def test_every_scale_gives_the_size_asked_for_and_the_same_picture(
    engine: str, scale: float | str | Fraction, height: int, width: int
) -> None:
    image = picture(height, width)
    with rtsr.Upscaler(scale, engine=engine) as upscale:
        large = upscale(image)
    factor = Fraction(scale)
    assert large.shape == (round(height * factor), round(width * factor), 3) and large.dtype == np.uint8
    wanted = imresize(image, *large.shape[:2]).astype(int)
    inner = slice(8, -8)
    assert np.abs(large.astype(int) - wanted)[inner, inner].mean() < 7  # FSR sharpens
    assert np.abs((large.astype(int) - wanted)[inner, inner].mean((0, 1))).max() < 2


@pytest.mark.parametrize("engine", ["auto", "bicubic", "lanczos", "fsr"])
@pytest.mark.parametrize("scale", [1.5, 2, 1.75, 3])
def test_large_pictures_are_upscaled_in_strips_that_nobody_sees(
    engine: str, scale: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = np.random.default_rng(1).integers(0, 256, (203, 65, 3), np.uint8)
    sides = []
    with Upscaler(scale, engine=engine) as upscale:
        whole, infer = upscale(image), upscale.engine.infer
        monkeypatch.setattr("rtsr.upscaler.STRIP", 80 * 65)
        monkeypatch.setattr(upscale.engine, "infer", lambda tiles: sides.append(tiles.shape[2]) or infer(tiles))
        strips = upscale(image)
    assert strips.shape == whole.shape and len(sides) >= 3 and min(sides) < 100
    assert np.abs(strips.astype(int) - whole).max() <= 1 and (strips == whole).mean() > 0.999


@pytest.mark.parametrize("engine", ["auto", "bicubic"])
@pytest.mark.parametrize("strip", [1 << 21, 40 * 65])
def test_results_lie_in_memory_as_others_expect_pictures(
    engine: str, strip: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rtsr.upscaler.STRIP", strip)
    image = picture(101, 65)
    with Upscaler("1.5", engine=engine) as upscale:
        for size in (None, (97, 151), (96, 150), (80, 120)):
            large = upscale(image, size)
            assert large.flags.c_contiguous and large.flags.writeable
        tiny = upscale(image[:1, :1])
        assert tiny.shape == (2, 2, 3) and tiny.flags.c_contiguous


@pytest.mark.parametrize("scale", [1.5, 2])
@pytest.mark.parametrize("size", [(2160, 3840), (2161, 3840), (3000, 4000), (1081, 1920), (90, 30_000), (16_384, 200)])
def test_strips_are_about_alike_and_leave_nothing_out(scale: float, size: tuple[int, int]) -> None:
    with Upscaler(scale) as upscale:
        strips = list(upscale._strips(*size))
        reach = upscale.engine.card.radius
    kept = [rows.stop - rows.start for _, rows in strips]
    assert sum(kept) == -(-size[0] * scale // 1)
    seen = [rows.stop - rows.start for rows, _ in strips]
    assert strips[0][0].start == 0 and strips[-1][0].stop == size[0]
    assert min(seen) >= 16 and max(seen) - min(seen) <= 2 * (reach + 2) + 2 * len(strips)
    assert len(strips) == 1 or max(seen) * size[1] <= 2**21 + 2 * size[1] or max(seen) <= 8 * reach


@pytest.mark.parametrize("scale", ["1.5", "2"])
def test_the_default_network_is_for_captures_and_keeps_colours(scale: str) -> None:
    flat = np.empty((40, 60, 3), np.uint8)
    with Upscaler(scale) as upscale:
        assert upscale.describe().startswith(f"quicksrnet-small-x{scale}-capture (")
        for colour in ((128, 128, 128), (200, 60, 60), (30, 90, 160), (245, 245, 245), (8, 8, 8)):
            flat[:] = colour
            inner = upscale(flat)[12:-12, 12:-12].astype(float)
            assert np.abs(inner.mean((0, 1)) - colour).max() < 3
            assert inner.std((0, 1)).max() < 1.5  # no checkerboard


def test_a_frame_comes_out_at_the_size_asked_for() -> None:
    rgb = picture(50, 70)
    y, u, v = rgb[..., 1], rgb[::2, ::2, 2], rgb[::2, ::2, 0]
    frame = Frame(y, np.ascontiguousarray(u), np.ascontiguousarray(v), Colour("bt709"), pts=7, duration=2)
    for engine in ("auto", "lanczos"):
        with Upscaler("1.5", engine=engine) as upscaler:
            for width, height in (target_size(70, 50, Fraction(3, 2)), (90, 70), (128, 64)):
                large = upscaler.frame(frame, width, height)
                assert (large.width, large.height, large.pts, large.duration) == (width, height, 7, 2)
                assert abs(float(large.y.mean()) - float(y.mean())) < 2


@pytest.mark.parametrize(
    ("size", "scale", "expected"),
    [
        ((854, 480), "3/2", (1280, 720)),
        ((853, 481), "3/2", (1280, 722)),
        ((65, 49), "2", (130, 98)),
        ((65, 49), "7/4", (114, 86)),
    ],
)
def test_target_sizes_are_even(size: tuple[int, int], scale: str, expected: tuple[int, int]) -> None:
    assert target_size(*size, Fraction(scale)) == expected


def test_tiny_pictures() -> None:
    for side in (1, 2, 3):
        with Upscaler(2) as upscale:
            assert upscale(np.full((side, side, 3), 90, np.uint8)).shape == (2 * side, 2 * side, 3)


@pytest.mark.parametrize("scale", [0, 1, -2, 4.5, 17, "big"])
def test_scales_out_of_range(scale: float | str) -> None:
    with pytest.raises(UsageError):
        Upscaler(scale)


@pytest.mark.parametrize("bad", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3)),
                                 np.zeros((0, 4, 3), np.uint8), [[[1, 2, 3]]]])  # fmt: skip
def test_what_is_no_picture_is_refused(bad: Any) -> None:
    with Upscaler(2, engine="bicubic") as upscale, pytest.raises(ValueError, match="uint8"):
        upscale(bad)
