"""What was made of the last frames, so that nothing is computed twice; several frames may be on their way at once."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Lock
from typing import Generic, TypeVar

Result = TypeVar("Result")


@dataclass(slots=True, eq=False)
class Record(Generic[Result]):
    """A frame that is being made, or was."""

    source: object
    """What its maker compares with later frames."""
    _made: Future = field(default_factory=Future)

    def wait(self) -> Result | None:
        """What became of it, once it is there; None where it failed."""
        return self._made.result()


class History(Generic[Result]):
    """The last `keep` frames. For any number of threads; a frame waits for an earlier one only while that runs."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._records: dict[int, Record[Result]] = {}
        self._lock = Lock()

    def make(self, n: int, source: object, work: Callable[[Record[Result] | None], Result]) -> Result:
        """What `work` returns for frame `n`; it is given the record of frame n - 1, if there is one."""
        record: Record[Result] = Record(source)
        with self._lock:
            before = self._records.get(n - 1)
            self._records.pop(n, None)
            self._records[n] = record
            while len(self._records) > self._keep:
                del self._records[next(iter(self._records))]
        made = None
        try:
            made = work(before)
            return made
        finally:
            record._made.set_result(made)
