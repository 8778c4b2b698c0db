"""Colour conversion against textbook values, libswscale and itself."""

import av
import numpy as np
import pytest
from av.video.reformatter import Colorspace

from rtsr.colour import from_rgb, to_rgb
from rtsr.frame import Colour, Sampling

RED, GREEN, BLUE, WHITE, GREY, BLACK = (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1), (0.5, 0.5, 0.5), (0, 0, 0)

TEXTBOOK = [
    # matrix, full range, RGB, 8-bit YCbCr
    ("bt601", False, RED, (81, 90, 240)),
    ("bt601", False, GREEN, (145, 54, 34)),
    ("bt601", False, BLUE, (41, 240, 110)),
    ("bt709", False, RED, (63, 102, 240)),
    ("bt709", False, GREEN, (173, 42, 26)),
    ("bt709", False, BLUE, (32, 240, 118)),
    ("bt2020", False, RED, (74, 97, 240)),
    ("bt2020", False, GREEN, (164, 47, 25)),
    ("bt2020", False, BLUE, (29, 240, 119)),
    ("bt601", True, RED, (76, 85, 255)),
    ("bt601", True, GREEN, (150, 44, 21)),
    ("bt601", True, BLUE, (29, 255, 107)),
    ("bt709", True, RED, (54, 99, 255)),
    ("bt709", True, GREEN, (182, 30, 12)),
    ("bt709", True, BLUE, (18, 255, 116)),
    ("bt2020", True, RED, (67, 92, 255)),
    ("bt2020", True, GREEN, (173, 36, 11)),
    ("bt2020", True, BLUE, (15, 255, 118)),
    *((matrix, False, WHITE, (235, 128, 128)) for matrix in ("bt601", "bt709", "bt2020")),
    *((matrix, True, WHITE, (255, 128, 128)) for matrix in ("bt601", "bt709", "bt2020")),
    ("bt709", False, GREY, (126, 128, 128)),
    ("bt709", False, BLACK, (16, 128, 128)),
    ("bt709", True, BLACK, (0, 128, 128)),
]

EVERY_COLOUR = [
    Colour(matrix, full_range, chroma_left)
    for matrix in ("bt709", "bt601", "bt2020")
    for full_range in (False, True)
    for chroma_left in (False, True)
]

SAMPLINGS = [
    Sampling(bits, columns, rows, row)
    for bits in (8, 10, 16)
    for columns, rows, row in ((2, 2, "centre"), (2, 2, "top"), (2, 2, "bottom"), (2, 1, "centre"), (1, 1, "centre"))
] + [Sampling(8, 4, 1), Sampling(12, 1, 2)]

# libswscale's flags: without the last two it looks values up in coarse tables.
SWS_BILINEAR, SWS_FULL_CHROMA, SWS_ACCURATE_ROUNDING = 2, 0x2000, 0x40000

SITINGS = pytest.mark.parametrize("left", [True, False], ids=["left", "centre"])


def constant(rgb: tuple[float, ...], height: int = 6, width: int = 8) -> np.ndarray:
    return np.broadcast_to(np.float32(rgb)[:, None, None], (3, height, width)).copy()


def smooth(height: int, width: int) -> np.ndarray:
    """Slow waves in all three primaries, (3, H, W), well inside [0, 1]."""
    rows, columns = np.mgrid[0:height, 0:width]
    phases = (columns / width, rows / height, (columns + rows) / (width + height))
    return np.float32([0.5 + 0.35 * np.sin(np.pi * phase + index) for index, phase in enumerate(phases)])


@pytest.mark.parametrize(("matrix", "full_range", "rgb", "ycc"), TEXTBOOK)
@SITINGS
def test_textbook_values(matrix, full_range, rgb, ycc, left):
    colour = Colour(matrix, full_range, left)
    planes = from_rgb(constant(rgb), colour)
    assert [plane.shape for plane in planes] == [(6, 8), (3, 4), (3, 4)]
    for plane, value in zip(planes, ycc, strict=True):
        assert plane.dtype == np.uint8
        assert set(np.unique(plane)) == {value}
    # And back: half a step of Y, Cb and Cr is at most 1.6 steps of RGB.
    assert np.abs(to_rgb(*planes, colour) - constant(rgb)[None]).max() < 1.6 / 219


@pytest.mark.parametrize("colour", EVERY_COLOUR, ids=str)
def test_smooth_pictures_survive_a_round_trip(colour):
    picture = smooth(64, 96)
    planes = from_rgb(picture, colour)
    rgb = to_rgb(*planes, colour)
    assert rgb.shape == (1, 3, 64, 96) and rgb.dtype == np.float32
    assert np.abs(rgb[0] - picture)[:, 2:-2, 2:-2].max() < 2.5 / 255
    again = from_rgb(rgb[0], colour)
    for before, after in zip(planes, again, strict=True):
        assert np.abs(before.astype(int) - after)[2:-2, 2:-2].max() <= 1


@SITINGS
def test_chroma_ramp_does_not_shift_on_a_round_trip(left):
    colour = Colour("bt709", chroma_left=left)
    ramp = np.broadcast_to(np.arange(70, 186, 4, dtype=np.uint8), (16, 29)).copy()
    y = np.full((32, 58), 126, np.uint8)
    planes = (y, ramp, ramp[:, ::-1].copy())
    for _ in range(3):
        planes = from_rgb(to_rgb(*planes, colour)[0], colour)
    assert (planes[0] == 126).all()
    assert (planes[1][:, 3:-3] == ramp[:, 3:-3]).all()
    assert (planes[2][:, 3:-3] == ramp[:, ::-1][:, 3:-3]).all()


@SITINGS
def test_chroma_ramp_lies_where_its_siting_says(left):
    colour = Colour("bt709", chroma_left=left)
    at = np.arange(64)
    # Cb rises by 1.5 steps a luma column and Cr does not change; grey luma.
    cb = 80 + 1.5 * at
    blue = 0.5 + (cb - 128) / 224 * 2 * (1 - 0.0722)
    green = 0.5 - (cb - 128) / 224 * 2 * (1 - 0.0722) * 0.0722 / 0.7152
    rgb = np.float32([np.full(64, 0.5), green, blue])[:, None].repeat(8, axis=1)
    site = 2 * np.arange(32) + (0 if left else 0.5)
    u = from_rgb(rgb, colour)[1]
    assert np.abs(u - (80 + 1.5 * site))[:, 1:-1].max() <= 0.51
    # The other way: chroma of whole steps at its sites gives the straight line between them.
    steps = (80 + 3 * np.arange(32)).astype(np.uint8)
    y, v = np.full((8, 64), 126, np.uint8), np.full((4, 32), 128, np.uint8)
    found = to_rgb(y, np.broadcast_to(steps, (4, 32)).copy(), v, colour)[0, 2]
    line = (126 - 16) / 219 + (80 + 3 * (at - site[0]) / 2 - 128) / 224 * 2 * (1 - 0.0722)
    assert np.abs(found - np.clip(line, 0, 1))[:, 2:-2].max() < 1e-4


@SITINGS
def test_vertical_chroma_lies_between_two_rows(left):
    colour = Colour("bt601", chroma_left=left)
    steps = np.broadcast_to((80 + 3 * np.arange(16)).astype(np.uint8)[:, None], (16, 8)).copy()
    y, v = np.full((32, 16), 126, np.uint8), np.full((16, 8), 128, np.uint8)
    found = to_rgb(y, steps, v, colour)[0, 2]
    line = (126 - 16) / 219 + (80 + 3 * (np.arange(32) - 0.5) / 2 - 128) / 224 * 2 * (1 - 0.114)
    assert np.abs(found - np.clip(line, 0, 1)[:, None])[2:-2].max() < 1e-4


@SITINGS
@pytest.mark.parametrize(("height", "width"), [(31, 48), (32, 47), (31, 47), (1, 1), (1, 7), (2, 2)])
def test_odd_sizes_are_the_corner_of_even_ones(height, width, left):
    colour = Colour("bt709", chroma_left=left)
    y, u, v = from_rgb(smooth(32, 48), colour)
    u, v = (plane[: -(-height // 2), : -(-width // 2)].copy() for plane in (u, v))
    even = (2 * u.shape[0], 2 * u.shape[1])
    whole = to_rgb(y[: even[0], : even[1]].copy(), u, v, colour)
    found = to_rgb(y[:height, :width].copy(), u, v, colour)
    assert found.shape == (1, 3, height, width)
    assert np.abs(found - whole[:, :, :height, :width]).max() < 1e-6


@pytest.mark.parametrize("size", [(2, 2), (2, 8), (8, 2), (4, 4)])
@SITINGS
def test_smallest_pictures(size, left):
    colour = Colour("bt709", chroma_left=left)
    planes = from_rgb(constant(RED, *size), colour)
    assert [int(plane.min()) for plane in planes] == [int(plane.max()) for plane in planes] == [63, 102, 240]


def test_colours_outside_rgb_are_clipped():
    colour = Colour("bt709")
    u = v = np.full((2, 2), 240, np.uint8)
    rgb = to_rgb(np.full((4, 4), 235, np.uint8), u, v, colour)
    assert rgb.min() >= 0 and rgb.max() == 1
    assert to_rgb(np.full((4, 4), 3, np.uint8), u * 0 + 128, v * 0 + 128, colour).max() == 0


@pytest.mark.parametrize("colour", [c for c in EVERY_COLOUR if c.chroma_left], ids=str)
def test_agrees_with_libswscale(colour):
    planes = from_rgb(smooth(96, 128), colour)
    frame = av.VideoFrame.from_ndarray(np.concatenate([plane.ravel() for plane in planes]).reshape(144, 128), "yuv420p")
    spaces = {"bt709": Colorspace.ITU709, "bt601": Colorspace.ITU601, "bt2020": Colorspace.BT2020}
    theirs = frame.reformat(
        format="rgb24",
        interpolation=SWS_BILINEAR | SWS_FULL_CHROMA | SWS_ACCURATE_ROUNDING,
        src_colorspace=spaces[colour.matrix],
        src_color_range="JPEG" if colour.full_range else "MPEG",
        dst_color_range="JPEG",
    ).to_ndarray()
    ours = 255 * to_rgb(*planes, colour)[0].transpose(1, 2, 0)
    difference = np.abs(ours - theirs)[4:-4, 4:-4]
    assert difference.max() < 2 and difference.mean() < 0.6


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
@pytest.mark.parametrize("full_range", [False, True])
@SITINGS
def test_every_sampling_keeps_smooth_pictures(sampling: Sampling, full_range: bool, left: bool) -> None:
    colour, rgb = Colour("bt709", full_range, left), smooth(48, 64)
    planes = from_rgb(rgb, colour, sampling)
    shape = (48 // sampling.rows, 64 // sampling.columns)
    assert [plane.shape for plane in planes] == [(48, 64), shape, shape]
    assert all(plane.dtype == (np.uint8 if sampling.bits == 8 else np.uint16) for plane in planes)
    again = to_rgb(*planes, colour, sampling)[0]
    allowed = 0.02 if max(sampling.columns, sampling.rows) > 1 else 1.9 / (1 << sampling.bits)
    inner = slice(4, -4)
    assert np.abs(again - rgb)[:, inner, inner].max() < allowed


@pytest.mark.parametrize("bits", [9, 10, 12, 16])
@pytest.mark.parametrize("full_range", [False, True])
def test_more_bits_are_the_same_colours_in_finer_steps(bits: int, full_range: bool) -> None:
    colour, rgb = Colour("bt601", full_range), smooth(20, 24)
    coarse, fine = from_rgb(rgb, colour), from_rgb(rgb, colour, Sampling(bits))
    ratio = (256 * 2 ** (bits - 8) - 1) / 255 if full_range else 2 ** (bits - 8)
    for grey, few, many in zip((0, 128, 128), coarse, fine, strict=True):
        assert np.abs((many - float(grey << bits - 8)) / ratio - (few - float(grey))).max() <= 0.76


@pytest.mark.parametrize("row", ["top", "bottom"])
def test_chroma_lies_on_the_row_that_it_is_said_to_lie_on(row: str) -> None:
    sampling, colour = Sampling(row=row), Colour("bt709")
    rgb = np.zeros((3, 16, 8), np.float32)
    rgb[2] = np.linspace(0, 1, 16, dtype=np.float32)[:, None]
    _, u, _ = from_rgb(rgb, colour, sampling)
    _, exact, _ = from_rgb(rgb, colour, Sampling(columns=1, rows=1))
    on = exact[(0 if row == "top" else 1) :: 2, ::2]
    assert np.abs(u[1:-1].astype(int) - on[1:-1]).max() <= 1
    again = to_rgb(*from_rgb(rgb, colour, sampling), colour, sampling)[0]
    assert np.abs(again - rgb)[:, 2:-2].max() < 0.01


def test_whites_and_greys_fit_into_every_depth() -> None:
    for bits in (10, 16):
        for value in (0.0, 0.5, 1.0):
            planes = from_rgb(constant((0, 0, value)), Colour("bt709", True), Sampling(bits))
            assert max(int(plane.max()) for plane in planes) <= (1 << bits) - 1


@pytest.mark.parametrize("bad", [{"bits": 7}, {"columns": 3}, {"rows": 0}, {"row": "left"}])
def test_no_other_samplings(bad: dict) -> None:
    with pytest.raises(ValueError, match="chroma"):
        Sampling(**bad)


@pytest.mark.parametrize("left", [True, False])
def test_parts_become_planes_as_in_the_whole(left: bool) -> None:
    random, colour, fine = np.random.default_rng(7), Colour("bt709", chroma_left=left), Sampling(bits=16)
    for width in range(20, 160, 2):
        rgb = random.random((3, 8, width), np.float32)
        start = 2 * int(random.integers(1, width // 2 - 4))
        whole, part = from_rgb(rgb, colour, fine), from_rgb(np.ascontiguousarray(rgb[:, :, start:]), colour, fine)
        for a, b, step in zip(part, whole, (1, 2, 2), strict=True):
            assert (a[:, 1:] == b[:, start // step + 1 :]).all()
