"""The inputs of one `rtsr upscale`: what becomes of each, settled before the first one is begun."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rtsr.cli import options as o
from rtsr.cli.reports import folder_in, report_path
from rtsr.errors import RtsrError, SinkError, SourceError, UsageError
from rtsr.job import Job
from rtsr.pipeline import expected_output
from rtsr.preset import Preset
from rtsr.source.live import is_live
from rtsr.still import is_still


@dataclass(frozen=True, slots=True)
class Task:
    """One input."""

    job: Job
    picture: bool = False
    output: Path | None = None
    """What it becomes; None where that shows only when it is run, or is no file."""
    report: Path | None = None
    notes: tuple[str, ...] = ()
    """What is to be known before it is run."""
    skipped: str = ""
    """Why it is not run, in a line; empty where it is."""


def plan_tasks(sources: list[str], said: Mapping[str, Any], preset: Preset) -> list[Task]:
    """A task for each of `sources`, all with the options `said`, by name.

    Folders that were named as such are made. Raises UsageError where two inputs would become one file, or something
    does not go with several; what is wrong with one input shows when it is run.
    """
    skip, wished = said["skip_existing"], said["output"]
    if skip and said["overwrite"]:
        raise UsageError("--skip-existing leaves outputs that are there, and --overwrite replaces them; leave out one")
    folder = None if wished is None else folder_in(wished)
    several = len(sources) > 1
    if several:
        _check_several(sources, said, folder)
    reports = None if said["report"] is None else folder_in(said["report"])
    tasks = []
    for source in sources:
        task = _task(source, None if folder else wished, said, preset)
        if several or folder or skip or reports:
            task = _named(task, folder)
        output = task.output or (None if folder else wished)
        tasks.append(replace(task, report=report_path(said["report"], source, output, several)))
    tasks = _without_collisions(tasks, skip)
    if skip:
        tasks = [_skipped(task) for task in tasks]
    for made in filter(None, (folder, reports)):
        _make(made)
    return tasks


def _check_several(sources: list[str], said: Mapping[str, Any], folder: Path | None) -> None:
    if said["output"] is not None and folder is None:
        output = said["output"]
        raise UsageError(f"{len(sources)} inputs do not fit into {output}; name a folder: -o {output}/")
    live = next((source for source in sources if is_live(source)), None)
    if live is not None or said["live"] or said["realtime"]:
        raise UsageError(
            f"a live input goes alone, and {len(sources)} were named; upscale them in commands of their own"
        )


def _task(source: str, output: str | None, said: Mapping[str, Any], preset: Preset) -> Task:
    picture = is_still(source)
    if picture:
        o.check_for_picture(source, said)
    job, notes = o.as_wish(source, output, said).with_preset(preset)
    return Task(job, picture, notes=tuple(notes))


def _named(task: Task, folder: Path | None) -> Task:
    """`task` with its output, in `folder` where one is given; as it was where the input cannot be read."""
    job = task.job
    if isinstance(job.output, str) or (job.output is None and is_live(job.source)):  # An address; or refused later.
        return task
    try:
        output = expected_output(job)
    except RtsrError:
        return task
    output = folder / output.name if folder else output
    return replace(task, job=replace(job, output=output), output=output)


def _without_collisions(tasks: list[Task], skip: bool) -> list[Task]:
    """`tasks`, none of which writes what another one writes or reads; with `skip` the latter are skipped."""
    made: dict[str, Task] = {}
    for task in tasks:
        for path in filter(None, (task.output, task.report)):
            other = made.setdefault(_key(path), task)
            if other is not task:
                what = "become" if path == task.output else "have their report in"
                raise UsageError(
                    f"{other.job.source} and {task.job.source} would both {what} {path}; upscale one of them in a "
                    "command of its own, with -o"
                )
    kept = []
    for task in tasks:
        other = made.get(_key(task.job.source))
        if other is not None and other is not task and not skip:
            raise UsageError(
                f"{task.job.source} is an input, and what {other.job.source} becomes; leave it out, write elsewhere "
                "with -o FOLDER/, or add --skip-existing"
            )
        skipped = f"{task.job.source}: skipped, as {other.job.source} becomes it" if other not in (None, task) else ""
        kept.append(replace(task, skipped=skipped))
    return kept


def _skipped(task: Task) -> Task:
    if task.skipped or task.output is None or not task.output.exists():
        return task
    return replace(task, skipped=f"{task.output}: exists already; {task.job.source} was skipped")


def _key(path: Path | str) -> str:
    """The same for all ways to write a file's name."""
    return os.path.normcase(os.path.realpath(path))


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        raise SinkError(f"cannot make the folder {folder}: {cause.strerror}; name another") from cause


def check_readable(source: Path | str) -> None:
    """Raise SourceError where `source` is a folder, and say how what is in it is upscaled."""
    if Path(source).is_dir():
        raise SourceError(f"{source} is a folder; name what is in it: rtsr upscale {Path(source) / '*.mp4'} ...")
