"""Frames in time, or treated as late ones are, on a clock that the test moves. Live streams: `test_live_streams.py`."""

import re
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from rtsr.errors import UsageError
from rtsr.frame import Colour, Frame, Video
from rtsr.pacing.anytime import Spent
from rtsr.pacing.deadline import Late, Treatment
from rtsr.pacing.delivery import Delivery, Live, check_possible
from rtsr.pacing.spending import Spending
from rtsr.pacing.whole import Minimum

MS = 1e6
SMALL = Video(8, 8, Colour("bt709"), Fraction(1, 1000), Fraction(50))
LARGE = SMALL.resized(16, 16)


class Scripted:
    """Takes 5 ms to interpolate and up to 30 ms to refine, times what the machine's load is; repeats pixels."""

    def __init__(self) -> None:
        self.now, self.load, self.refines = 0.0, 1.0, True

    def clock(self) -> float:
        return self.now

    def frame(self, frame: Frame, width: int, height: int, due_ns: float) -> tuple[Frame, Spent]:
        begin_ns = 5 * MS * self.load
        refining = max(0.0, min(25 * MS * self.load, due_ns - self.now - begin_ns))
        self.now += begin_ns + refining
        refined = self.refines and refining >= 2 * MS
        return enlarged(frame), Spent(np.array([1, 3] if refined else [4, 0]), 0, 1, 2, begin_ns=begin_ns)

    def interpolate(self, frame: Frame, width: int, height: int) -> Frame:
        self.now += 4 * MS * self.load
        return enlarged(frame)

    def untouched(self, frame: Frame) -> Spent:
        return Spent(np.array([4, 0]), full_macs=2)

    def minimum(self, video: Video, width: int, height: int) -> Minimum:
        return Minimum(5 * MS, 2 * MS)


def enlarged(frame: Frame) -> Frame:
    y, u, v = (np.kron(plane, np.ones((2, 2), np.uint8)) for plane in (frame.y, frame.u, frame.v))
    return replace(frame, y=y, u=u, v=v)


def frame(number: int, pts: int) -> Frame:
    y, u = np.full((8, 8), number % 256, np.uint8), np.full((4, 4), 128, np.uint8)
    return Frame(y, u, u, SMALL.colour, pts, 20)


def deliver(deadline_ms: float, late: Late, live: Live | None = None, follows: bool = False) -> Delivery:
    upscaler, deadline = Scripted(), deadline_ms / 1000
    return Delivery(upscaler, SMALL, LARGE, deadline, late, Spending(), live, follows)  # type: ignore[arg-type]


def test_with_time_enough_frames_are_refined() -> None:
    delivery = deliver(16, Late.REPEAT)
    made = [delivery.make(frame(i, 20 * i)) for i in range(10)]
    assert [int(large.y[0, 0]) for large in made if large is not None] == list(range(10))
    assert delivery.spending.frames[Treatment.REFINE] == 10 and delivery.spending.misses == 0
    assert delivery.spending.tiles.tolist() == [10, 30]


@pytest.mark.parametrize(
    ("late", "how", "shown"),
    [
        (Late.DEGRADE, Treatment.INTERPOLATE, [0, 1, 2, 3]),
        (Late.REPEAT, Treatment.REPEAT, [0, 0, 0, 0]),
        (Late.DROP, Treatment.DROP, [0, None, None, None]),
    ],
)
def test_frames_without_time_follow_the_policy(late: Late, how: Treatment, shown: list[int | None]) -> None:
    delivery = deliver(3, late)
    delivery.least.observe(40 * MS)
    made = [delivery.make(frame(i, 20 * i)) for i in range(4)]
    assert [None if large is None else int(large.y[0, 0]) for large in made] == shown
    assert [large.pts for large in made if large is not None] == [20 * i for i in range(4) if shown[i] is not None]
    # The first is there whatever happens: nothing could be repeated before it.
    first = delivery.spending.frames[Treatment.INTERPOLATE]
    assert delivery.spending.frames[how] + (first if how is not Treatment.INTERPOLATE else 0) == 4
    assert delivery.spending.misses == {Late.DEGRADE: 0, Late.REPEAT: 0, Late.DROP: 3}[late]


def test_pictures_that_come_later_for_good_are_said_to_once() -> None:
    for later, says in ((0.15, ()), (2.0, ("pictures came up to 2.0 s later than at first; the output follows them",))):
        delivery = deliver(20, Late.DEGRADE, Live(latency=0.2), follows=True)
        assert isinstance(delivery.upscaler, Scripted)
        for i in range(200):
            delivery.upscaler.now = 20 * MS * i + (1e9 * later if i >= 50 else 0)
            delivery.arrived(frame(i, 20 * i), waited=0.02)
        assert delivery.notes() == says


def test_a_deadline_that_nothing_meets_is_refused_with_what_can_be_done() -> None:
    upscaler = Scripted()
    check_possible(upscaler, SMALL, LARGE, 0.008)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"6 ms is too little .* 5\.0 ms.* 2\.0 ms more; .*--deadline 9ms .*--late"):
        check_possible(upscaler, SMALL, LARGE, 0.006)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("deadline_ms", "live", "says"),
    [
        (
            3,
            None,
            "within 3 ms: interpolating takes 5.0 ms, the least of a network 2.0 ms more; give a longer deadline",
        ),
        (20, Live(latency=0.008), "within 4 ms: interpolating takes 5.0 ms, the least of .*; give more --latency or"),
        (3, Live(latency=0.2), "within 3 ms: .*; give a longer deadline or a smaller scale"),
    ],
)
def test_a_network_that_never_had_time_is_said_to(deadline_ms: float, live: Live | None, says: str) -> None:
    delivery = deliver(deadline_ms, Late.DEGRADE, live)
    assert isinstance(delivery.upscaler, Scripted)
    assert delivery.notes() == (), "no frame, no note"
    for i in range(20):
        delivery.upscaler.now = 20 * MS * i
        delivery.arrived(frame(i, 20 * i))
        delivery.make(frame(i, 20 * i))
    (note,) = delivery.notes()
    assert re.search("no frame got anything from the network " + says, note)
    delivery.spending.reused = 1
    assert delivery.notes() == (), "a still picture needs nothing"


def test_a_busy_machine_is_said_to_be_one_and_empty_pictures_are_not() -> None:
    for load, says in ((10.0, "and the machine was busier than that; give a longer deadline"), (1.0, None)):
        delivery = deliver(20, Late.DEGRADE)
        assert isinstance(delivery.upscaler, Scripted)
        delivery.upscaler.load, delivery.upscaler.refines = load, False
        for i in range(20):
            delivery.make(frame(i, 20 * i))
        assert delivery.spending.frames[Treatment.INTERPOLATE] == 20
        notes = delivery.notes()
        assert not notes if says is None else says in notes[0]
