"""The clock of a live input follows its sender, and neither the way's hiccups nor our own."""

import random
from collections.abc import Iterable, Iterator

import pytest

from rtsr.pacing.liveclock import LiveClock

MS = 1e6
LATENCY = 200 * MS
FPS = 30


def steady(seconds: float, late: float = 0.0, since: float = 0.0) -> list[tuple[float, float]]:
    """Timestamps and times of arrival, in seconds, of pictures that come `late`, from the time `since` on."""
    return [(since + i / FPS, since + i / FPS + late) for i in range(round(seconds * FPS))]


def heard(arrivals: Iterable[tuple[float, float]], follows: bool = True) -> Iterator[tuple[float, LiveClock]]:
    """How late each picture was by the clock before it, in ms, and the clock after it; the reader keeps up."""
    clock, last = None, 0.0
    for pts, at in arrivals:
        now, last, gap = 1e9 * max(at, last), max(at, last), max(at - last, 0.0)
        clock = clock or LiveClock.start(now, pts, LATENCY, follows)
        late_ms = (now - clock.shown_ns(pts)) / MS
        clock = clock.heard(pts, now, 1e9 * gap)
        yield late_ms, clock


def began_ms(arrivals: Iterable[tuple[float, float]], follows: bool = True) -> list[float]:
    return [clock.began_ns / MS for _, clock in heard(arrivals, follows)]


def test_frames_are_due_at_their_timestamps_and_a_latency() -> None:
    clock = LiveClock.start(1000 * MS, 7.0, LATENCY, follows=True)
    assert clock.due_ns(7.5) == 1700 * MS and clock.shown_ns(7.5) == 1500 * MS
    assert clock.target_ns(7.5, 1500 * MS, 20 * MS) == 1520 * MS
    assert clock.target_ns(7.5, 1590 * MS, 20 * MS) == 1600 * MS


def test_a_quicker_frame_sets_the_clock_back_at_once() -> None:
    clock = LiveClock.start(1000 * MS, 7.0, LATENCY, follows=True)
    assert clock.heard(7.5, 1600 * MS, 0).began_ns == 1000 * MS
    assert clock.heard(7.5, 1200 * MS, 0).due_ns(7.5) == 1400 * MS


@pytest.mark.parametrize("follows", [True, False])
@pytest.mark.parametrize("late", [0.45, 3.0])
def test_a_sender_that_pauses_is_followed_within_about_a_second(follows: bool, late: float) -> None:
    """Its timestamps do not go on meanwhile; a way that became longer looks the same."""
    seen = list(heard([*steady(5), *steady(10, late, since=5)], follows))
    overdue = [late_ms > 2 * LATENCY / MS for late_ms, _ in seen]
    assert 0 < sum(overdue) <= 2.1 * FPS
    assert not any(overdue[-8 * FPS :])
    assert seen[-1][1].began_ns == pytest.approx(1e9 * late, abs=1 * MS)
    assert seen[-1][1].later_ns == pytest.approx(1e9 * late, abs=1 * MS)


@pytest.mark.parametrize("follows", [True, False])
def test_a_way_that_is_short_again_is_followed_at_once(follows: bool) -> None:
    seen = began_ms([*steady(5), *steady(5, 0.45, since=5), *steady(5, since=10)], follows)
    assert seen[10 * FPS - 1] == pytest.approx(450, abs=1)
    assert seen[10 * FPS + 14 :] == pytest.approx([0.0] * (5 * FPS - 14), abs=1)


@pytest.mark.parametrize("drift", [1e-4, -1e-4])
def test_a_sender_whose_clock_drifts_for_70_minutes(drift: float) -> None:
    arrivals = ((i / FPS, i / FPS * (1 + drift)) for i in range(70 * 60 * FPS))
    late = [late_ms for late_ms, _ in heard(arrivals)]
    assert min(late) > -0.1 and max(late) < 0.3


@pytest.mark.parametrize("seed", range(20))
def test_jitter_hardly_moves_it(seed: int) -> None:
    rng = random.Random(seed)
    arrivals = [(pts, at + rng.uniform(0, 0.08)) for pts, at in steady(60)]
    assert max(began_ms(sorted(arrivals))[FPS:]) < 40


@pytest.mark.parametrize("follows", [True, False])
def test_a_burst_after_a_hiccup_does_not_move_it(follows: bool) -> None:
    for start in range(20):
        hiccup = 3 + start / 20
        arrivals = [(pts, hiccup + 1.5 if hiccup < at < hiccup + 1.5 else at) for pts, at in steady(10)]
        assert began_ms(arrivals, follows) == pytest.approx([0.0] * 10 * FPS, abs=1e-3)


def test_what_is_read_ahead_moves_only_a_clock_that_follows() -> None:
    """Six seconds at once, and then at their time."""
    arrivals = [(pts, max(0.0, at - 6)) for pts, at in steady(20)]
    assert set(began_ms(arrivals, follows=False)) == {0.0}
    assert min(began_ms(arrivals, follows=True)) == pytest.approx(-6000, abs=1)


@pytest.mark.parametrize("follows", [True, False])
def test_our_own_slowness_does_not_move_it(follows: bool) -> None:
    """Frames are taken at two thirds of their rate for 20 s, as they were sent; nobody waits for them."""
    clock = LiveClock.start(0, 0.0, LATENCY, follows)
    for i in range(20 * FPS):
        clock = clock.heard(i / FPS, 1.5e9 * i / FPS, 0.05e9 / FPS)
    assert clock.began_ns == 0 and clock.later_ns == 0
