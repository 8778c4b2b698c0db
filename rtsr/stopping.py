"""How a run is stopped: Ctrl-C, signals that are treated like it, and an event that the caller sets."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Self

from rtsr.engine.choice import Tell
from rtsr.report import Progress, Report

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""Those of this system that may end a run."""
GLANCE = 0.05
"""Seconds between looks at an event of the caller's, where a run waits for something else."""


class Stopped(KeyboardInterrupt):
    """A run was stopped; the text says what became of what it had made, the report what it did until then."""

    def __init__(self, said: str, report: Report) -> None:
        super().__init__(said)
        self.report = report

    def __reduce__(self) -> tuple[type, tuple[str, Report]]:
        return type(self), (str(self), self.report)


class Ending(threading.Event):
    """Set where itself or `asked` is set, which stays as it is."""

    def __init__(self, asked: threading.Event) -> None:
        super().__init__()
        self.asked = asked

    def is_set(self) -> bool:
        return super().is_set() or self.asked.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        until = None if timeout is None else time.monotonic() + timeout
        while not self.is_set():
            left = GLANCE if until is None else min(GLANCE, until - time.monotonic())
            if left <= 0:
                break
            super().wait(left)
        return self.is_set()


class Stopping:
    """While entered, the first signal ends the run; more of them do nothing, so that what was made can be completed.

    That is so in the main thread, for each of `SIGNALS` that Python would raise KeyboardInterrupt for: by default
    SIGINT, in the command also the others. The first one does, too, though not where that would tear a frame apart.
    The event `asked`, which another thread may set, ends the run behind the frame that is being written.
    """

    def __init__(self, asked: threading.Event | None = None) -> None:
        self.asked = asked or threading.Event()
        self.stop = Ending(self.asked)
        """Set when the run ends: a source that waits for its time, or for its sender, does not go on waiting."""
        self.progress: Progress | None = None
        """Of the run, once there is something that can be kept."""
        self.tell: Tell | None = None
        """Gets a line when it begins."""
        self.draining = False
        """Whether a stop is the usual end: nothing is raised, and what is under way goes through."""
        self.by: signal.Signals | None = None
        """What ended the run."""
        self._held = self._whole = self._ended = False
        self._taken: list[signal.Signals] = []

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._taken = [each for each in SIGNALS if signal.getsignal(each) is signal.default_int_handler]
        for each in self._taken:
            signal.signal(each, self._on_signal)
        return self

    def __exit__(self, *exc: object) -> None:
        for each in self._taken:
            signal.signal(each, signal.default_int_handler)

    def forever(self) -> None:
        """Let nothing stop the process any more, where something did already: it is at its end."""
        for each in self._taken if self.by is not None else []:
            signal.signal(each, signal.SIG_IGN)
        self._taken = [] if self.by is not None else self._taken

    def check(self) -> None:
        """Raise KeyboardInterrupt where the caller asked for an end that is not the usual one."""
        if self.asked.is_set() and not self.draining:
            raise KeyboardInterrupt

    def end(self) -> None:
        """Set `stop`."""
        self._ended = True  # A signal that came while the event is locked would wait for itself.
        self.stop.set()

    def hold(self) -> None:
        """Ignore signals from here on."""
        self._held = True

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Let the block end, whatever comes in between; KeyboardInterrupt is raised behind it."""
        self._whole = True
        try:
            yield
        finally:
            self._whole = False
        self._raise()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._held or self.by is not None:
            return
        self.by = signal.Signals(number)
        if not self._ended:
            self.end()
        if self.tell and self.progress is not None and self.progress.done:
            with suppress(OSError):  # The terminal may be what went away.
                self.tell("stopping; completing what was made so far")
        self._raise()

    def _raise(self) -> None:
        if self.by is not None and not (self._whole or self._held or self.draining):
            raise KeyboardInterrupt
