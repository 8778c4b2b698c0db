"""Runs of `rtsr upscale`, one after another, and what is said of each."""

import dataclasses
import os
import sys
import traceback
from dataclasses import dataclass, field

import typer

from rtsr.cli.app import explain
from rtsr.cli.inputs import Task, check_readable
from rtsr.cli.progress import frames_bar, leave_closed_terminal
from rtsr.cli.reports import as_json, write_report
from rtsr.cli.summary import summarise, summarise_still
from rtsr.pipeline import run
from rtsr.report import Report
from rtsr.stopping import Stopped, Stopping


@dataclass
class Runs:
    """Runs tasks, and says on standard output what became of them, or with `json` prints their reports there."""

    quiet: bool
    json: bool
    piped: bool
    """Whether standard output gets the video, and words go elsewhere."""
    entries: list[dict[str, object]] = field(default_factory=list)
    """A report for each task; in its place why there is none."""

    def all(self, tasks: list[Task]) -> int:
        """Run `tasks`; returns the exit status.

        The error of one of several is printed, and the others go on; the worst status is returned. Where there is but
        one, its error is raised. What stops a run ends all: raises `typer.Exit` with 130.
        """
        status = 0
        try:
            for k, task in enumerate(tasks, 1):
                title = os.path.basename(task.job.source)
                try:
                    self._one(task, title if len(tasks) == 1 else f"{k}/{len(tasks)} {title}", len(tasks) - k)
                except typer.Exit:
                    raise
                except Exception as error:
                    if len(tasks) == 1:
                        raise
                    status = max(status, self._failed(task, error))
        finally:
            if self.json and self.entries:
                print(as_json(self.entries if len(tasks) > 1 else self.entries[0]))
        return status

    def _one(self, task: Task, title: str, more: int) -> None:
        if task.skipped:
            self.entries.append({"source": str(task.job.source), "skipped": task.skipped})
            self._say(task.skipped)
            return
        self._note(task.notes)
        check_readable(task.job.source)
        with Stopping() as stopping:
            try:
                with frames_bar(title, self.quiet) as (watch, tell):
                    try:
                        done = run(task.job, watch, tell, stopping=stopping)
                    finally:
                        leave_closed_terminal()
            except KeyboardInterrupt as stop:
                print(str(stop) or "stopped", file=sys.stderr)
                if isinstance(stop, Stopped):
                    self._keep(task, stop.report)
                self._end(stopping, more)
                raise typer.Exit(130) from stop
            self._note(done.notes)
            self._say(summarise_still(done) if task.picture else summarise(done))
            self._keep(task, done)
            if more and stopping.by is not None:
                self._end(stopping, more)
                raise typer.Exit(130)
            stopping.forever()

    def _end(self, stopping: Stopping, more: int) -> None:
        if more:
            print(f"{more} more were not begun; to go on, add --skip-existing", file=sys.stderr)
        stopping.forever()

    def _keep(self, task: Task, report: Report) -> None:
        self.entries.append(dataclasses.asdict(report))
        if task.report is not None:
            write_report(report, task.report)

    def _failed(self, task: Task, error: Exception) -> int:
        message, status = explain(error)
        source = str(task.job.source)
        message = message if source in message else message.replace("error: ", f"error: {source}: ", 1)
        print(message, file=sys.stderr)
        if os.environ.get("RTSR_DEBUG") == "1":
            traceback.print_exception(error)
        self.entries.append({"source": source, "error": message.removeprefix("error: ")})
        return status

    def _say(self, line: str) -> None:
        if not self.quiet and not self.json:
            print(line, file=sys.stderr if self.piped else sys.stdout, flush=True)

    def _note(self, notes: tuple[str, ...]) -> None:
        for note in () if self.quiet else notes:
            print(f"note: {note}", file=sys.stderr)
