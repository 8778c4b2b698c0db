"""Items made ahead on a thread of their own."""

import threading
from collections.abc import Generator
from itertools import islice

import pytest

from rtsr.buffer import buffered


def counting(made: list[int], end: int | None = None, closed: list[bool] | None = None) -> Generator[int, None, None]:
    """Numbers from 0, which are noted in `made`."""
    try:
        number = 0
        while end is None or number < end:
            made.append(number)
            yield number
            number += 1
    finally:
        if closed is not None:
            closed.append(True)


def test_items_come_in_order_and_the_thread_ends() -> None:
    before = threading.active_count()
    assert list(buffered(counting([], 100), 3)) == list(range(100))
    assert threading.active_count() == before


def test_no_more_is_made_than_may_wait() -> None:
    made: list[int] = []
    items = buffered(counting(made), 3)
    for taken in range(20):
        assert next(items) == taken
        # What waits, what the thread holds in its hands, and what was taken.
        assert len(made) <= taken + 1 + 3 + 1
    items.close()


def test_who_gives_up_early_closes_what_makes_the_items() -> None:
    before, closed = threading.active_count(), [False]
    items = buffered(counting([], None, closed), 2)
    assert list(islice(items, 5)) == [0, 1, 2, 3, 4]
    items.close()
    assert closed[-1] is True and threading.active_count() == before


def test_the_first_error_is_raised_behind_what_was_made() -> None:
    def failing() -> Generator[int, None, None]:
        yield from range(3)
        raise ArithmeticError("broken")

    got: list[int] = []
    with pytest.raises(ArithmeticError, match="broken"):
        got.extend(buffered(failing(), 10))
    assert got == [0, 1, 2]
