"""How much of a run is done: a bar on terminals, a line now and then elsewhere."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from rtsr import report
from rtsr.engine.choice import Tell

EVERY = 30.0
"""Seconds from one line to the next where standard error is no terminal."""


@contextmanager
def share_bar(title: str) -> Iterator[Callable[[float], None]]:
    """A bar on standard error while the block runs, where that is a terminal; takes the share done, from 0 to 1."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=1.0)
        yield lambda done: bar.update(task, completed=done)


@contextmanager
def frames_bar(name: str, quiet: bool) -> Iterator[tuple[Callable[[report.Progress], None], Tell | None]]:
    """While the block runs, frames per second, time left and where the time goes, on standard error.

    What is yielded takes the progress, and lines that are to be said in between; None where nothing is.
    """
    console = Console(stderr=True)
    with Progress(*_columns(console.width), console=console, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task(name, total=None, rate="", stages="")
        said = time.monotonic()

        def watch(progress: report.Progress) -> None:
            nonlocal said
            spent = {stage: sum(times[-30:]) / len(times[-30:]) for stage, times in progress.seconds.items() if times}
            bar.update(
                task,
                completed=progress.done,
                total=progress.total or None,
                rate=f"{bar.tasks[task].speed or 0:.1f} fps",
                stages=" ".join(f"{stage} {1000 * seconds:.0f}" for stage, seconds in spent.items()) + " ms",
            )
            if not quiet and not console.is_terminal and time.monotonic() >= said + EVERY:
                said = time.monotonic()
                print(_line(bar.tasks[task]), file=sys.stderr, flush=True)

        yield watch, None if quiet else lambda line: bar.console.print(line, style="dim", highlight=False)


def leave_closed_terminal() -> None:
    """Print to nowhere where the terminal was closed meanwhile: to print there is an error."""
    for number in (1, 2):  # Standard output and error, whatever object writes there.
        try:
            os.write(number, b"")
        except OSError:
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), number)


def _columns(width: int) -> list:
    columns = [
        BarColumn(bar_width=None if width < 80 else width // 8),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    ]
    if width >= 80:
        columns.append(TextColumn("{task.fields[stages]}", style="dim"))
    return [TextColumn("{task.description}"), *columns] if width >= 120 else columns


def _line(task: Task) -> str:
    """The bar in words."""
    total = f" of {task.total:.0f}" if task.total else ""
    left = "" if task.time_remaining is None else f", {task.time_remaining / 60:.0f} min left"
    return f"{task.description}: {task.completed:.0f}{total} frames, {task.fields['rate']}{left}"
