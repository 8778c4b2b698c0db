"""Pictures that do not fit are cut, and come out as if they had not been."""

from fractions import Fraction

import numpy as np
import pytest

from rtsr.card import Card
from rtsr.errors import OutOfMemory
from rtsr.nvidia.lanes import Lanes
from rtsr.nvidia.plan import Plan
from rtsr.nvidia.tiling import CHROMA, Cut, Pictures
from tests.nvidia.driver import FakeDriver
from tests.nvidia.tensorrt import RADIUS, FakeTensorRT, plan

SCALES = [Fraction(3, 2), Fraction(2)]
WORK = 200
"""Bytes that the network works in, per input pixel."""


def card(scale, radius=RADIUS, alignment=1):
    return Card(
        name="small",
        arch="fake",
        scale=scale,
        flavour="none",
        size_multiple=scale.denominator,
        alignment=alignment,
        radius=radius,
    )


class Bench:
    """Pictures on a fake GPU with `total` bytes."""

    def __init__(self, kind, scale, total=1 << 34, count=3, seed=None, **facts):
        self.driver = FakeDriver(total, seed)
        self.notes = []
        data = plan(kind, scale, work=WORK, most=2048, **facts)
        names = (("y", "u", "v"), ("y_up", "u_up", "v_up")) if "planes" in kind else (("image",), ("upscaled",))
        loaded = Plan(FakeTensorRT(self.driver), data, "small", self.driver, *names)
        cut = Cut.planes(card(scale)) if "planes" in kind else Cut.rgb(card(scale))
        self.lanes = Lanes(self.driver, loaded, 0, count, self.notes.append)
        self.pictures = Pictures(self.lanes, cut, self.notes.append)

    def run(self, arrays):
        with self.lanes:
            results = self.pictures.collect(self.pictures.submit(*arrays))
        self.driver.check_clean()
        return results


def planes(height, width):
    random = np.random.default_rng(height * width)
    sides = [(height, width), *[(-(-height // 2), -(-width // 2))] * 2]
    return [random.integers(0, 256, (1, 1, *side), np.uint8) for side in sides]


def image(height, width, n=1):
    return [np.random.default_rng(0).random((n, 3, height, width), np.float32)]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("seed", [None, 0, 1])
@pytest.mark.parametrize("size", [(288, 512), (300, 412), (301, 411), (202, 1026), (1025, 203), (130, 600)])
def test_planes_in_tiles_equal_those_of_the_whole_picture(scale, seed, size):
    whole = Bench("wide planes", scale).run(planes(*size))
    cut = Bench("wide planes", scale, total=9_000_000, seed=seed)
    for had, wanted in zip(cut.run(planes(*size)), whole, strict=True):
        np.testing.assert_array_equal(had, wanted)
    assert any("tiles of" in note for note in cut.notes)
    assert cut.driver.most <= 9_000_000


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("size", [(288, 512), (300, 412), (202, 1026)])
def test_rgb_in_tiles_equals_that_of_the_whole_picture(scale, size):
    whole = Bench("wide", scale).run(image(*size))
    cut = Bench("wide", scale, total=12_000_000)
    np.testing.assert_array_equal(cut.run(image(*size))[0], whole[0])
    assert any("tiles of" in note for note in cut.notes)


def test_the_halo_is_as_wide_as_it_must_be_and_no_wider():
    """With a pixel less, the network of these tests sees the edge of its window."""
    whole = Bench("wide", Fraction(2)).run(image(256, 512))[0]
    for radius, equal in ((RADIUS, True), (RADIUS - 1, False)):
        bench = Bench("wide", Fraction(2), total=12_000_000)
        bench.pictures.cut = Cut.rgb(card(Fraction(2), radius))
        assert np.array_equal(bench.run(image(256, 512))[0], whole) is equal, radius


def test_frames_after_the_first_are_cut_at_once_and_others_are_not():
    bench = Bench("wide planes", Fraction(2), total=9_000_000)
    with bench.lanes:
        for _ in range(3):
            bench.pictures.collect(bench.pictures.submit(*planes(288, 512)))
        before = len(bench.notes)
        mallocs = bench.driver.mallocs
        bench.pictures.collect(bench.pictures.submit(*planes(288, 512)))
        assert bench.driver.mallocs == mallocs, "nothing is tried again"
        (large, _, _) = bench.pictures.collect(bench.pictures.submit(*planes(64, 64)))
        assert large.shape == (1, 1, 128, 128)
        assert len(bench.notes) == before
    bench.driver.check_clean()


def test_first_fewer_lanes_then_tiles_each_told_once():
    bench = Bench("wide planes", Fraction(2), total=9_000_000)
    bench.run(planes(288, 512))
    fewer = [note for note in bench.notes if "under way at a time" in note]
    assert len(fewer) == 2 and "2 instead of 3" in fewer[0] and "1 instead of 2" in fewer[1]
    assert "frames of 512x288 are upscaled in tiles of" in bench.notes[2] and len(bench.notes) == 3
    assert "MiB" in bench.notes[2]


def test_frames_under_way_are_not_lost_when_one_does_not_fit():
    bench = Bench("wide planes", Fraction(2), total=9_000_000)
    with bench.lanes:
        small = [planes(64, 64 + 2 * n) for n in range(3)]
        tickets = [bench.pictures.submit(*arrays) for arrays in small]
        last = bench.pictures.submit(*planes(288, 512))
        assert bench.pictures.collect(last)[0].shape == (1, 1, 576, 1024)
        for arrays, ticket in zip(small, tickets, strict=True):
            for had, wanted in zip(
                bench.pictures.collect(ticket), Bench("wide planes", Fraction(2)).run(arrays), strict=True
            ):
                np.testing.assert_array_equal(had, wanted)
    bench.driver.check_clean()


def test_no_room_for_the_smallest_tile_is_an_error_with_the_figures():
    bench = Bench("wide planes", Fraction(2), total=1_000_000)
    with pytest.raises(OutOfMemory) as caught:
        bench.run(planes(288, 512))
    words = str(caught.value)
    assert "no room for frames of 512x288, not even in small tiles: asked for" in words
    assert "0.95 MiB free" in words and "--engine onnx" in words
    bench.driver.check_clean()


@pytest.mark.parametrize("cut", [Cut.rgb(card(Fraction(3, 2))), Cut.planes(card(Fraction(3, 2), alignment=3))])
@pytest.mark.parametrize("length", [*range(100, 140), 1919, 1920])
def test_spans_cover_every_pixel_once_with_all_that_it_needs(cut, length):
    side = 96 // cut.multiple * cut.multiple
    spans = cut.spans(length, side)
    assert [pixel for span in spans for pixel in range(span.start, span.stop)] == list(range(length))
    for span in spans:
        assert span.seen.start % cut.multiple == 0 and span.seen.stop - span.seen.start <= side
        assert span.seen.start <= max(0, span.start - cut.halo)
        assert span.seen.stop >= min(length, span.stop + cut.halo)
    if length % cut.multiple == 0:
        assert len({span.seen.stop - span.seen.start for span in spans}) == 1, "one shape, one graph"


def test_planes_are_cut_where_both_pictures_have_chroma():
    cut = Cut.planes(card(Fraction(3, 2), radius=5))
    assert cut.multiple == 4 and cut.halo == 12 >= 5 + CHROMA
