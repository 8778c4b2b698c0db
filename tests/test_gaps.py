"""Which pictures are said to be missing, by their timestamps alone."""

import random
from itertools import pairwise

import pytest

from rtsr.source.gaps import Gaps


def described(steps: list[float], rate: float = 30) -> str | None:
    gaps = Gaps()
    for step in steps:
        gaps.add(step)
    return gaps.describe("it", rate)


def test_single_pictures_are_missed_where_the_rate_is_constant() -> None:
    assert described([1 / 30] * 100) is None
    one = [1 / 30] * 50 + [2 / 30] + [1 / 30] * 50
    assert described(one) == "a gap of 0.07 s was in it when it came: 1 picture is missing"
    steps = [1 / 30] * 50 + [2 / 30, 4 / 30, 31 / 30] + [1 / 30] * 50
    assert described(steps) == "3 gaps of 1.2 s in all were in it when it came: 34 pictures are missing"
    assert described([0.0, -0.01, *steps]) == described(steps), "what does not go on is no step"


def test_what_is_said_of_the_rate_does_not_matter_where_it_is_constant() -> None:
    assert described([1 / 60] * 100, rate=25) is None
    one = [1 / 60] * 100 + [2 / 60]
    assert described(one, rate=25) == "a gap of 0.03 s was in it when it came: 1 picture is missing"


@pytest.mark.parametrize("rate", [24000 / 1001, 29.97, 60, 144])
def test_milliseconds_and_cameras_are_not_exact(rate: float) -> None:
    times = [round(1000 * i / rate) / 1000 for i in range(1000)]
    assert described([b - a for a, b in pairwise(times)], rate) is None
    rng = random.Random(0)
    assert described([(1 + rng.uniform(-0.3, 0.3)) / rate for _ in range(1000)], rate) is None


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([2 / 60, 3 / 60] * 100, id="pulldown"),
        pytest.param([1 / 60, 2 / 60, 1 / 60, 1 / 60, 2 / 60, 1 / 60] * 30, id="captured when it changes"),
        pytest.param([1 / 30] * 100 + [1 / 15] * 50, id="slower in the dark"),
        pytest.param([1 / 30, 1 / 30, 1 / 30, 2 / 30] * 30, id="without repeated pictures"),
    ],
)
def test_a_rate_that_varies_has_no_missing_pictures(steps: list[float]) -> None:
    assert described(steps) is None
    assert described([*steps, 0.5]) == "a gap of 0.5 s was in it when it came"
