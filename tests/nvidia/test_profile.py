"""The sizes that engines are built for."""

import pytest

from rtsr.errors import UsageError
from rtsr.nvidia.profile import Profile


@pytest.mark.parametrize(
    ("size", "usual", "largest"),
    [
        ((320, 180), (640, 360), (640, 368)),
        ((640, 368), (640, 360), (640, 368)),
        ((642, 360), (960, 540), (960, 544)),
        ((1280, 718), (1280, 720), (1280, 720)),
        ((720, 1280), (720, 1280), (720, 1280)),
        ((1920, 1088), (1920, 1080), (1920, 1088)),
        ((5000, 400), (5000, 400), (5008, 400)),
    ],
)
def test_frames_take_the_first_usual_size_that_holds_them(size, usual, largest):
    profile = Profile.holding(*size)
    assert (profile.smallest, profile.usual, profile.largest) == ((16, 16), usual, largest)
    assert profile.holds(*size) and profile.holds(*usual)


def test_frames_of_one_usual_size_share_an_engine():
    assert Profile.holding(1280, 720) == Profile.holding(1000, 600) != Profile.holding(720, 1280)


def test_what_a_profile_holds():
    profile = Profile.holding(1280, 720)
    assert profile.holds(16, 720) and profile.holds(1280, 16)
    for width, height, batch in ((1282, 720, 1), (1280, 722, 1), (8, 720, 1), (1280, 720, 2)):
        assert not profile.holds(width, height, batch)


@pytest.mark.parametrize("size", [(15, 720), (1280, 8), (8194, 720), (0, 0), (-1280, 720)])
def test_impossible_frames(size):
    for make in (Profile.for_frames, Profile.holding):
        with pytest.raises(UsageError, match=r"sides of 16 to 8192 pixels, not .*; for other frames use --engine onnx"):
            make(*size)


def test_impossible_ranges():
    with pytest.raises(UsageError, match="from small to large"):
        Profile((16, 16), (8, 16), (32, 32))
    with pytest.raises(UsageError, match="at least one picture"):
        Profile((16, 16), (16, 16), (32, 32), 0)


def test_patches_that_do_not_fit_evenly_count_whole():
    assert Profile.for_frames(640, 360).patches(32, 32) == 20 * 12
