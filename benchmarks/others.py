"""How long a measurement waited for processors that processes had which are not part of it (Linux)."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class Moment:
    """Clocks of the scheduler, in nanoseconds."""

    wall: float
    ran: float
    """Processor time of this process and of the one that is busy."""
    waited: float
    """Time that this process's threads could have run, but did not."""

    @classmethod
    def now(cls, busy: int | None = None) -> Self:
        """The clocks now; `busy` is the process that belongs to the measurement, None where it does not run yet."""
        ran, waited = _clocks(os.getpid())
        return cls(time.perf_counter_ns(), ran + (_clocks(busy)[0] if busy else 0.0), waited)


def taken_by_others(before: Moment, after: Moment) -> float:
    """At most how long, in nanoseconds, others kept the process waiting between two moments.

    It is what its threads waited together, but no more than what all cores had left beside it and the busy process.
    """
    spare = (os.cpu_count() or 1) * (after.wall - before.wall) - (after.ran - before.ran)
    return max(0.0, min(after.waited - before.waited, spare))


def _clocks(process: int) -> tuple[float, float]:
    """Time that the threads of `process` ran and waited, in nanoseconds; nothing where there are no such clocks."""
    ran = waited = 0.0
    for clocks in Path(f"/proc/{process}/task").glob("*/schedstat"):
        try:
            on, off, _ = clocks.read_text("ascii").split()
        except OSError:  # The thread has just ended.
            continue
        ran, waited = ran + float(on), waited + float(off)
    return ran, waited
