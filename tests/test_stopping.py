"""What signals do to a run, and when."""

import os
import signal
import threading

import pytest

from rtsr.report import Progress
from rtsr.stopping import Stopping


@pytest.fixture(autouse=True)
def as_usual():
    """A shell that runs tests in the background lets its children ignore SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_only_the_first_signal_raises_and_afterwards_all_is_as_before() -> None:
    with Stopping() as stopping:
        with pytest.raises(KeyboardInterrupt):
            interrupt()
        assert stopping.stop.is_set() and stopping.by is signal.SIGINT
        interrupt()
    with pytest.raises(KeyboardInterrupt):
        interrupt()


def test_a_block_that_is_to_be_whole_ends_first() -> None:
    done = False
    with Stopping() as stopping, pytest.raises(KeyboardInterrupt), stopping.whole():
        interrupt()
        done = True
    assert done


def test_at_the_end_of_a_process_that_was_stopped_nothing_raises_any_more() -> None:
    with Stopping() as stopping, pytest.raises(KeyboardInterrupt):
        stopping.forever()  # Nothing did stop it yet.
        interrupt()
    with Stopping() as stopping:
        with pytest.raises(KeyboardInterrupt):
            interrupt()
        stopping.forever()
    interrupt()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_what_is_made_is_said_at_once() -> None:
    said: list[str] = []
    with Stopping() as stopping:
        stopping.progress, stopping.tell = Progress(100, done=7), said.append
        with stopping.whole():
            stopping.hold()
            interrupt()
        assert said == [] and stopping.by is None
    with Stopping() as stopping, pytest.raises(KeyboardInterrupt):
        stopping.progress, stopping.tell = Progress(100, done=7), said.append
        interrupt()
    assert said == ["stopping; completing what was made so far"]


def test_handlers_of_others_and_other_threads_are_left_alone() -> None:
    caught: list[int] = []
    signal.signal(signal.SIGINT, lambda number, frame: caught.append(number))
    with Stopping() as stopping:
        interrupt()
    assert caught == [signal.SIGINT] and stopping.by is None
    failures: list[BaseException] = []

    def elsewhere() -> None:
        try:
            with Stopping():
                pass
        except BaseException as error:
            failures.append(error)

    signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert not failures and signal.getsignal(signal.SIGINT) is signal.default_int_handler
