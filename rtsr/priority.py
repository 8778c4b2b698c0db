"""Which threads give way where cores are short."""

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import get_native_id
from typing import TypeVar

Result = TypeVar("Result")

STEP = 10
"""By how much the nice value of threads that give way is above that of others: a tenth of the time where both run."""


def giving_way(task: Callable[[], Result]) -> Result:
    """What `task` returns or raises; threads that it starts, as encoders do, give way to others of this process.

    So it is on Linux, where a thread has a nice value of its own and passes it on; elsewhere `task` is merely called.
    """
    if sys.platform != "linux":
        return task()
    with ThreadPoolExecutor(1, initializer=_give_way) as thread:
        return thread.submit(task).result()


def _give_way() -> None:
    own = get_native_id()
    os.setpriority(os.PRIO_PROCESS, own, min(os.getpriority(os.PRIO_PROCESS, own) + STEP, 19))
