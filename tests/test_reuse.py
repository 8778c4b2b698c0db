"""Of a stream's frames only what changed is upscaled anew, and what comes out is what it would be otherwise."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from rtsr.engine.base import Engine
from rtsr.errors import EngineError
from rtsr.frame import Colour, Frame
from rtsr.upscaler import Upscaler, target_size

NETWORKS = ["quicksrnet-small-photo", "quicksrnet-medium-photo", "enaf-quicksrnet-medium-photo"]


def noise(width: int, height: int, seed: int = 1) -> Frame:
    random = np.random.default_rng(seed)
    shapes = [(height, width), *[(-(-height // 2), -(-width // 2))] * 2]
    y, u, v = (random.integers(16, 236, shape, np.uint8) for shape in shapes)
    return Frame(y, u, v, Colour("bt709"))


def moving(width: int, height: int, count: int = 6) -> list[Frame]:
    """A square that moves over a still picture, a still frame, and a change of chroma alone, at the far corner."""
    still, frames = noise(width, height), []
    for i in range(count):
        y = still.y.copy()
        y[30:40, 20 + 15 * i :][:, :12] = 200
        frames.append(replace(still, y=y, pts=i))
    frames.append(replace(frames[-1], pts=count))
    u = still.u.copy()
    u[-1, -1] ^= 64
    frames.append(replace(frames[-1], u=u, pts=count + 1))
    return frames


@pytest.mark.parametrize("model", NETWORKS)
@pytest.mark.parametrize("scale", ["3/2", "2", "1.2", "1.7", "3", "4"])
@pytest.mark.parametrize("left", [True, False])
def test_nothing_changes_but_the_work(model: str, scale: str, left: bool) -> None:
    if model.startswith("enaf") and Fraction(scale) > 2:
        model = "quicksrnet-small-photo"
    width, height = 201, 135
    size = target_size(width, height, Fraction(scale))
    with Upscaler(scale, model=model, reuse=True) as reusing, Upscaler(scale, model=model) as plain:
        pixels = count_pixels(reusing.engine)
        for frame in moving(width, height):
            frame = replace(frame, colour=replace(frame.colour, chroma_left=left))
            found, expected = reusing.frame(frame, *size), plain.frame(frame, *size)
            assert found.pts == expected.pts and found.colour == expected.colour
            for name in ("y", "u", "v"):
                np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
        assert 0.5 < reusing.reused < 0.9 and plain.reused == 0
    assert sum(pixels) < 0.65 * 8 * width * height and pixels[0] >= width * height


def test_the_network_that_sees_the_whole_frame_keeps_still_frames_only() -> None:
    frames = moving(96, 64, 2)
    with Upscaler(2, model="rlfn-s-photo", reuse=True) as upscale:
        pixels = count_pixels(upscale.engine)
        results = [upscale.frame(frame, 192, 128) for frame in frames]
    assert len(frames) == 4 and pixels == [96 * 64] * 3
    assert (results[1].y == results[2].y).all() and (results[0].y != results[1].y).any()


def test_another_size_or_colour_is_upscaled_anew() -> None:
    frame = noise(96, 64)
    with Upscaler(2, reuse=True) as upscale, Upscaler(2) as plain:
        for other in (frame, noise(128, 64), replace(frame, colour=Colour("bt601")), frame):
            size = 2 * other.width, 2 * other.height
            assert (upscale.frame(other, *size).u == plain.frame(other, *size).u).all()
        assert upscale.reused == 0


def test_what_is_handed_in_may_be_changed_and_what_is_handed_out_may_not() -> None:
    frame = noise(96, 64)
    with Upscaler(2, reuse=True) as upscale, Upscaler(2) as plain:
        large = upscale.frame(frame, 192, 128)
        frame.y[10:20, 10:20] = 16
        assert (upscale.frame(frame, 192, 128).y == plain.frame(frame, 192, 128).y).all()
        with pytest.raises(ValueError, match="read-only"):
            large.y[0, 0] = 0
        plain.frame(frame, 192, 128).y[0, 0] = 0


def test_two_runs_one_after_the_other_are_not_taken_apart() -> None:
    with Upscaler(4, model="quicksrnet-small-capture", reuse=True) as upscale:
        for _ in range(2):
            assert upscale.frame(noise(32, 32), 128, 128).y.shape == (128, 128)
        assert upscale.reused == 0


def count_pixels(engine: Engine) -> list[int]:
    """Input pixels of every run of `engine` from now on."""
    pixels, infer = [], engine.infer

    def counted(tiles: np.ndarray) -> np.ndarray:
        pixels.append(tiles.shape[2] * tiles.shape[3])
        return infer(tiles)

    engine.infer = counted
    return pixels


@pytest.mark.parametrize("engine", ["bicubic", "lanczos", "fsr"])
def test_filters_run_whole(engine: str) -> None:
    size = target_size(201, 135, Fraction(6, 5))
    with Upscaler("1.2", engine=engine, reuse=True) as reusing, Upscaler("1.2", engine=engine) as plain:
        for frame in moving(201, 135, 2):
            assert (reusing.frame(frame, *size).y == plain.frame(frame, *size).y).all()
        assert reusing.reused == 0


def test_a_view_of_what_changes_is_seen_to_change() -> None:
    frame = noise(96, 64)
    view = frame.y.view()
    view.flags.writeable = False
    seen = replace(frame, y=view)
    with Upscaler(2, reuse=True) as upscale, Upscaler(2) as plain:
        upscale.frame(seen, 192, 128)
        frame.y[10:20, 10:20] ^= 64
        assert (upscale.frame(seen, 192, 128).y == plain.frame(seen, 192, 128).y).all()


def test_a_frame_that_fails_leaves_nothing_half_done() -> None:
    frames = moving(96, 64, 3)
    with Upscaler(2, reuse=True) as upscale, Upscaler(2) as plain:
        upscale.frame(frames[0], 192, 128)
        infer, upscale.engine.infer = upscale.engine.infer, failing
        with pytest.raises(EngineError):
            upscale.frame(frames[1], 192, 128)
        upscale.engine.infer = infer
        for frame in frames[1:]:
            assert (upscale.frame(frame, 192, 128).y == plain.frame(frame, 192, 128).y).all()


def failing(tiles: np.ndarray) -> np.ndarray:
    raise EngineError("out of order")
