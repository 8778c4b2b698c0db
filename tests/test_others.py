"""What other processes took of a measurement's time."""

import os

from benchmarks.others import Moment, taken_by_others


def test_cores_that_others_had(monkeypatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    start = Moment(0, 0, 0)
    # Both cores busy with the measurement: its threads waited for each other or for its own busy process.
    assert taken_by_others(start, Moment(100, 200, 80)) == 0
    # Others had a core for 50 of 100.
    assert taken_by_others(start, Moment(100, 150, 80)) == 50
    # A core was idle, and nobody waited.
    assert taken_by_others(start, Moment(100, 100, 0)) == 0


def test_the_clocks_run() -> None:
    before = Moment.now(os.getpid())
    sum(range(1_000_000))
    after = Moment.now(os.getpid())
    assert after.wall > before.wall and after.ran > before.ran
