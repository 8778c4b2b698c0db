"""Frames refined region by region equal whole frames where all tiles reach the same exit: joints are invisible."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.artifacts import seam, seam_frames
from rtsr.engine.base import ExitsEngine
from rtsr.engine.choice import Means
from rtsr.frame import Colour, Frame
from rtsr.pacing.anytime import Refiner
from rtsr.pacing.deadline import CostModel, Rate
from rtsr.pacing.mixed import exit_names, open_ways
from rtsr.resources import find_network
from rtsr.upscaler import Upscaler, target_size

MODEL = "enaf-quicksrnet-medium-photo"


def picture(width: int, height: int, seed: int = 1, blur: float = 1.2) -> Frame:
    """Noise, blurred so that the networks' outputs stay inside their range, or as it is."""
    random = np.random.default_rng(seed)
    half = (-(-height // 2), -(-width // 2))
    planes = [random.integers(0, 256, shape, np.uint8) for shape in ((height, width), half, half)]
    y, u, v = (cv2.GaussianBlur(plane, (0, 0), blur) if blur else plane for plane in planes)
    return Frame(y, u, v, Colour("bt709"))


@pytest.fixture(params=[Fraction(3, 2), Fraction(2)], ids=["x1.5", "x2"])
def engine(request: pytest.FixtureRequest) -> ExitsEngine:
    """Early exits and plain networks, as a share of the compute is spent on them."""
    network = find_network(MODEL, request.param)
    return open_ways(network, network.card.macs_per_pixel, Means("onnx", threads=1))


def whole(engine: ExitsEngine, frame: Frame) -> tuple[np.ndarray, ...]:
    """What the last exit, Medium, makes of the frame in one piece."""
    with Upscaler(engine.card.scale, model="quicksrnet-medium-photo", threads=1) as upscaler:
        large = upscaler.frame(frame, *target_size(frame.width, frame.height, engine.card.scale))
    return large.y, large.u, large.v


@pytest.mark.parametrize("size", [(160, 96), (190, 130), (191, 131), (66, 66), (50, 30)])
@pytest.mark.parametrize("blur", [0.0, 1.2])
def test_regions_equal_the_whole_frame(engine: ExitsEngine, size: tuple[int, int], blur: float) -> None:
    frame = picture(*size, blur=blur)
    # Refined for a time that is just enough, in regions of at most a third of it, on a clock that stands still.
    last = len(engine.card.exits)
    rates = {f"exit {k}": Rate(0, k) for k in range(1, last + 1)}
    refiner = Refiner(engine, lambda: 0, CostModel(rates, deviation=0))
    planes, spent = refiner.within(frame, 2.6 * last * (size[0] + 1) * (size[1] + 1))
    assert spent.tiles[-1] == spent.tiles.sum() and not spent.short
    for got, want in zip(planes, whole(engine, frame), strict=True):
        # An odd side is taken as one pixel longer, and what is too much is cut off in the end.
        rows, columns = want.shape
        difference = got[:rows, :columns].astype(int) - want
        # Sums of floats in another order may be rounded otherwise, once in a while.
        assert np.abs(difference).max() <= 1 and np.count_nonzero(difference) <= 1e-4 * want.size


@pytest.mark.parametrize("scale", [Fraction(3, 2), Fraction(2)], ids=["x1.5", "x2"])
def test_regions_of_turned_copies_equal_the_whole_frame(scale: Fraction) -> None:
    frame = picture(191, 131)
    engine = open_ways(find_network(MODEL, scale), float("inf"), Means("onnx", threads=1), turned=True)
    rates = {f"exit {k}": Rate(0, k) for k in range(1, len(engine.card.exits) + 1)}
    made = []
    for times in (2.6, 9.0):  # In pieces of a third of the time, or at once.
        refiner = Refiner(engine, lambda: 0, CostModel(rates, deviation=0))
        planes, spent = refiner.within(frame, times * len(rates) * 192 * 132)
        best = int(spent.tiles.argmax())
        assert spent.tiles[best] == spent.tiles.sum() and "turns of" in exit_names(engine)[best]
        made.append(planes)
    for one, other in zip(*made, strict=True):
        assert np.abs(one.astype(int) - other).max() <= 1


def test_reuse_is_exact_with_a_real_network(engine: ExitsEngine) -> None:
    options = (engine, lambda: 0, CostModel({}))
    reusing, plain = Refiner(*options), Refiner(*options, reuse=False)
    frame = picture(192, 144)
    for i in range(4):
        y = frame.y.copy()
        y[70:90, 100 + 9 * i : 120 + 9 * i] = 200
        moved = replace(frame, y=y)
        (a, spent), (b, full) = reusing.share(moved, 0.6), plain.share(moved, 0.6)
        assert all((p == q).all() for p, q in zip(a, b, strict=True))
        assert spent.macs < full.macs or i == 0


def test_no_seam_where_neighbours_leave_at_different_exits(engine: ExitsEngine, shared: Path) -> None:
    for frame in seam_frames(shared / "data"):
        refiner = Refiner(engine, lambda: 0, CostModel({}), reuse=False)
        refiner.share(frame, 0.5)
        assert refiner._last is not None and len(np.unique(refiner._last.exits)) >= 3
        assert seam(engine, frame) < 1.08
