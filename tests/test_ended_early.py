"""Runs that a program ends, or that break off: what was made is kept, and the caller is told where it is."""

import pickle
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from rtsr.errors import RtsrError, SourceError
from rtsr.job import Job
from rtsr.pacing.delivery import Live
from rtsr.pipeline import run
from rtsr.report import Progress
from rtsr.stopping import Ending, Stopped
from tests.media import make_video, probe
from tests.streams import MODEL, SCALE, as_transport_stream, assert_accounted, fifo


def at(frame: int, act: Callable[[], object]) -> Callable[[Progress], None]:
    def watch(progress: Progress) -> None:
        if progress.done == frame:
            act()

    return watch


def raising(error: BaseException) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


@pytest.fixture
def job(tmp_path: Path) -> Job:
    source = make_video(tmp_path / "in.mp4", frames=60)
    return Job(source, tmp_path / "out.mp4", Fraction(3, 2), engine="bicubic")


def test_a_program_ends_a_run_and_gets_a_playable_part(job: Job, tmp_path: Path) -> None:
    stop = threading.Event()
    report = run(job, at(25, stop.set), stop=stop)
    assert (report.frames, report.stopped) == (25, True) and report.output == str(tmp_path / "out.partial.mp4")
    assert probe(tmp_path / "out.partial.mp4").frames == 25
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.partial.mp4"]


def test_where_it_was_ended_before_the_first_frame_there_is_nothing(job: Job, tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    report = run(job, stop=stop)
    assert (report.frames, report.stopped, report.output) == (0, True, "")
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_the_event_is_the_callers_own_and_serves_for_the_next_run(job: Job) -> None:
    stop = threading.Event()
    report = run(job, stop=stop)
    assert (report.frames, report.stopped) == (60, False) and not stop.is_set()


def test_a_file_at_its_own_pace_is_ended_from_another_thread(tmp_path: Path) -> None:
    clip = make_video(tmp_path / "clip.mp4", frames=3, pts=[0, 3000, 3000 * 900])  # The last is due in 30 s.
    stop, began = threading.Event(), time.monotonic()
    live = Job(clip, tmp_path / "out.mkv", SCALE, model=MODEL, live=Live(realtime=True), threads=1)
    report = run(live, at(2, lambda: threading.Timer(0.3, stop.set).start()), stop=stop)
    assert report.stopped and report.output == str(tmp_path / "out.partial.mkv") and report.frames == 2
    assert time.monotonic() - began < 20


def test_that_is_the_usual_end_of_a_live_input(tmp_path: Path) -> None:
    data, stop = as_transport_stream(make_video(tmp_path / "clip.mp4", frames=40, audio=False)), threading.Event()
    with fifo(tmp_path / "pipe", data, hold=30) as pipe:
        live = Job(pipe, tmp_path / "out.mkv", SCALE, model=MODEL, live=Live(stall=30), threads=1)
        report = run(live, at(20, stop.set), stop=stop)
    assert report.stopped and report.output == str(tmp_path / "out.mkv") and report.frames >= 20
    assert_accounted(report)


class Refused(Exception):
    def __init__(self, what: str, why: str) -> None:
        super().__init__(what, why)


def test_an_error_of_the_callers_comes_back_as_it_is(job: Job, tmp_path: Path) -> None:
    error = Refused("frame 20", "enough")
    with pytest.raises(Refused) as caught:
        run(job, at(20, raising(error)))
    kept = tmp_path / "out.partial.mp4"
    assert caught.value is error and error.args == ("frame 20", "enough")
    assert error.__notes__ == [f"stopped after 20 frames; they are kept in {kept}"]
    assert probe(kept).frames == 20


def test_an_error_of_rtsrs_has_the_report_of_what_was_done(job: Job, tmp_path: Path) -> None:
    with pytest.raises(RtsrError, match="kept in") as caught:
        run(job, at(20, raising(SourceError("it is gone"))))
    report = caught.value.report
    assert report is not None and (report.frames, report.stopped) == (20, False)
    assert report.output == str(tmp_path / "out.partial.mp4") and report.output in str(caught.value)


def test_a_stopped_run_can_be_told_of_by_another_process(job: Job) -> None:
    with pytest.raises(Stopped) as caught:
        run(job, at(5, raising(KeyboardInterrupt())))
    copy = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(copy, Stopped) and str(copy) == str(caught.value) and copy.report == caught.value.report


def test_an_ending_waits_for_either_event_and_sets_its_own() -> None:
    asked = threading.Event()
    ending = Ending(asked)
    assert not ending.wait(0.01) and not ending.is_set()
    threading.Timer(0.1, asked.set).start()
    assert ending.wait(10) and ending.is_set()
    own = Ending(threading.Event())
    own.set()
    assert own.wait() and own.is_set() and not own.asked.is_set()
