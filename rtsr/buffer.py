"""Items made ahead on a thread of their own."""

from collections.abc import Generator
from contextlib import closing
from queue import Full, Queue
from threading import Event, Thread
from typing import TypeVar

Item = TypeVar("Item")


class _Failure:
    """An error on its way from a worker to the thread that reads its results."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


_END = object()


def buffered(items: Generator[Item, None, None], depth: int) -> Generator[Item, None, None]:
    """The same items, at most `depth` made ahead by a thread, which ends when this generator is closed.

    The first error is raised here.
    """
    box: Queue = Queue(depth)
    stop = Event()

    def put(item: object) -> None:
        while not stop.is_set():
            try:
                return box.put(item, timeout=0.1)
            except Full:
                continue

    def fill() -> None:
        try:
            with closing(items):
                for item in items:
                    put(item)
                    if stop.is_set():
                        return
            put(_END)
        except BaseException as error:  # handed to the reader, whatever it is
            put(_Failure(error))

    worker = Thread(target=fill, daemon=True)
    worker.start()
    try:
        while (item := box.get()) is not _END:
            if isinstance(item, _Failure):
                raise item.error
            yield item
    finally:
        stop.set()
        worker.join()
