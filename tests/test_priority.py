"""Who gives way where cores are short."""

import os
import sys
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from threading import Event, Thread, get_native_id

import pytest

from rtsr.job import Job
from rtsr.pacing.paced import Pace
from rtsr.pipeline import run
from rtsr.priority import STEP, giving_way
from rtsr.report import Progress
from tests.media import make_video

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="threads have a nice value of their own on Linux only")


def nice(thread: int) -> int:
    return os.getpriority(os.PRIO_PROCESS, thread)


def threads() -> set[int]:
    return {int(name) for name in os.listdir("/proc/self/task")}


def test_threads_that_a_task_starts_give_way() -> None:
    own, started, done = nice(get_native_id()), Event(), Event()

    def wait() -> None:
        started.set()
        done.wait()

    def start() -> Thread:
        thread = Thread(target=wait)
        thread.start()
        return thread

    thread = giving_way(start)
    started.wait()
    assert thread.native_id is not None
    assert nice(thread.native_id) == min(own + STEP, 19)
    assert nice(get_native_id()) == own
    done.set()
    thread.join()


def test_passes_errors_on() -> None:
    with pytest.raises(ZeroDivisionError):
        giving_way(lambda: 1 // 0)


@pytest.mark.parametrize("pace", [None, Pace(deadline=1.0)])
def test_the_encoder_gives_way_to_frames_with_a_deadline(tmp_path: Path, pace: Pace | None) -> None:
    source, own = make_video(tmp_path / "in.mp4", frames=8, size=(320, 240)), nice(get_native_id())
    before, seen = threads(), set[int]()

    def watch(progress: Progress) -> None:
        for thread in threads() - before:
            with suppress(ProcessLookupError):  # It may have ended meanwhile.
                seen.add(nice(thread) - own)

    run(Job(source, tmp_path / "out.mp4", Fraction(3, 2), pace=pace), watch)
    assert (STEP in seen) == (pace is not None)
    assert 0 in seen
