"""Durations as people write them."""

import pytest

from rtsr.duration import as_seconds, frame_time, parse_duration
from rtsr.errors import UsageError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("16.7ms", 0.0167), ("0.05s", 0.05), (" 200 MS ", 0.2), ("2min", 120), ("3600s", 3600), ("5.ms", 0.005)],
)
def test_a_number_and_its_unit(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds) == as_seconds(text)


@pytest.mark.parametrize("text", ["16.7", "", "ms", "-5ms", "1e3ms", "nan", "infs", "5 hours", "1,5ms", "٣ms"])
def test_what_is_no_duration_gets_an_example(text: str) -> None:
    with pytest.raises(UsageError, match=r"is not a duration; .*16\.7ms"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["0ms", "0.0s", "61min", "3601s"])
def test_absurd_ones_are_out_of_range(text: str) -> None:
    with pytest.raises(UsageError, match="above 0 and at most an hour"):
        parse_duration(text)


@pytest.mark.parametrize("seconds", [0, -1, 3601, float("nan"), float("inf")])
def test_so_are_numbers(seconds: float) -> None:
    with pytest.raises(UsageError, match="above 0 and at most an hour"):
        as_seconds(seconds)


def test_a_frame_rate_is_a_time_per_frame() -> None:
    assert frame_time(60) == pytest.approx(1 / 60)
    for fps in (0, -30, 1001, float("nan")):
        with pytest.raises(UsageError, match="is not a frame rate"):
            frame_time(fps)
