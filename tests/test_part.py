"""Times and parts of videos as people write them."""

from fractions import Fraction

import numpy as np
import pytest

from rtsr.errors import UsageError
from rtsr.frame import Colour, Video
from rtsr.part import Part, as_part, as_time, parse_time

VIDEO = Video(64, 48, Colour("bt709", False), Fraction(1, 30), Fraction(30), frames=300)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("0", 0),
        ("0.1", Fraction(1, 10)),
        ("1:30", 90),
        ("12:03.25", Fraction(2893, 4)),
        ("1:02:03.5", Fraction(7447, 2)),
        ("90:00", 5400),
        (" 90 S ", 90),
        ("1.5min", 90),
        ("250ms", Fraction(1, 4)),
        ("2h", 7200),
    ],
)
def test_times_are_exact(text: str, seconds: Fraction) -> None:
    assert parse_time(text) == seconds == as_time(text)


@pytest.mark.parametrize("text", ["", "-1", "1:60", "1:60:00", "1:2:3:4", ":30", "1e3", "nan", "5 hours", "1,5", "٣"])
def test_what_is_no_time_gets_examples(text: str) -> None:
    with pytest.raises(UsageError, match=r"is no time; write seconds, 1:30"):
        parse_time(text)


@pytest.mark.parametrize("text", ["1000001", "300h", "99999:00:00"])
def test_absurd_ones_are_out_of_range(text: str) -> None:
    with pytest.raises(UsageError, match="out of range"):
        parse_time(text)


def test_numbers_are_what_they_look_like() -> None:
    assert as_time(0.1) == Fraction(1, 10) and as_time(7 / 30) == Fraction(7, 30) and as_time(np.float32(0.5)) == 0.5
    assert as_time(Fraction(1, 3)) == Fraction(1, 3)
    for wrong in (float("nan"), float("inf"), -0.1, 10**400, True, None, [1]):
        with pytest.raises(UsageError):
            as_time(wrong)  # type: ignore[arg-type]


def test_a_part_has_a_length() -> None:
    for start, duration in ((0, 0), ("-1", 2), (0, "0s")):
        with pytest.raises(UsageError):
            as_part(start, duration)
    with pytest.raises(UsageError, match="starts at 0 or later"):
        Part(Fraction(-1))


def test_it_is_named_by_its_times() -> None:
    assert as_part("12:30", "10s").label == "750s-760s"
    assert as_part(1.25).label == "from-1.25s"
    assert as_part(duration="500ms").label == "0s-0.5s"
    assert not as_part() and as_part(0, 1) and as_part(1)


@pytest.mark.parametrize(
    ("part", "frames"),
    [(as_part(), 300), (as_part(2), 240), (as_part(2, 1), 30), (as_part(9.5, 10), 15), (as_part(20), 0)],
)
def test_how_many_frames_are_to_be_expected(part: Part, frames: int) -> None:
    assert part.limit(VIDEO).frames == frames


def test_chapters_move_and_end_with_it() -> None:
    def chapter(start: int, end: int, title: str) -> dict:
        return {"id": start, "start": start, "end": end, "time_base": Fraction(1, 10), "metadata": {"title": title}}

    chapters = [chapter(0, 10, "menu"), chapter(10, 40, "race"), chapter(40, 60, "end"), chapter(60, 70, "credits")]
    found = as_part(2, 3).chapters(chapters, Fraction(1))  # From 3 s to 6 s of the file's own clock.
    assert [(c["metadata"]["title"], c["start"], c["end"]) for c in found] == [("race", 0, 10), ("end", 10, 30)]
    rest = as_part(5.5).chapters(chapters, Fraction(0))
    assert [(c["metadata"]["title"], c["start"], c["end"]) for c in rest] == [("end", 0, 5), ("credits", 5, 15)]
