"""Pipes that are read without waiting for ever."""

import os
import select
import time
from threading import Event
from typing import IO


class Pipe:
    """A pipe that av.open reads from, which ends where no picture came of it until `until` (not on Windows)."""

    def __init__(self, file: IO[bytes], until: float, stop: Event) -> None:
        self._file, self._stop = file, stop
        self.until = until
        """By the monotonic clock, in seconds; whoever sees pictures moves it on. Bytes alone are no pictures."""
        self.heard = self.stalled = self.interrupted = False
        """Whether any byte came; whether no picture did for too long; whether Ctrl-C was pressed meanwhile."""

    def read(self, size: int) -> bytes:
        """Some bytes; none where the writer closed the pipe, or where no picture comes, which sets `stalled`."""
        try:
            return self._read(size)
        except KeyboardInterrupt:  # PyAV would print it and go on.
            self.interrupted = True
            return b""

    def _read(self, size: int) -> bytes:
        while not (self._stop.is_set() or self.interrupted or self.stalled):
            if time.monotonic() > self.until:
                self.stalled = True
            elif select.select([self._file], [], [], 0.1)[0]:
                data = os.read(self._file.fileno(), size)
                self.heard = self.heard or bool(data)
                return data
        return b""

    def check(self) -> None:
        """Raise what ended the pipe: TimeoutError where nothing came, or KeyboardInterrupt."""
        if self.interrupted:
            raise KeyboardInterrupt
        if self.stalled:
            raise TimeoutError
