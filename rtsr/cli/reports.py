"""Where reports of `rtsr upscale` go, and how they are written."""

import dataclasses
import json
import os
from pathlib import Path

from rtsr.errors import SinkError, UsageError
from rtsr.report import Report
from rtsr.sink.names import check_folder, spare_name
from rtsr.source.live import address


def folder_in(text: str) -> Path | None:
    """The folder that `text` names, by a slash at its end or because it is there; None otherwise."""
    slashes = tuple(filter(None, (os.sep, os.altsep)))
    if address(text) is not None or not (text.endswith(slashes) or Path(text).is_dir()):
        return None
    if Path(text).exists() and not Path(text).is_dir():
        raise SinkError(f"{text.rstrip(''.join(slashes))} is a file, and no folder; name another")
    return Path(text)


def report_path(report: str | None, source: str, output: str | Path | None, several: bool) -> Path | None:
    """Where the report goes: into the file `report`, or in that folder into the output's name with .json behind it.

    Raises UsageError and SinkError before any work is done where that cannot be.
    """
    if report is None:
        return None
    folder = folder_in(report)
    if folder is not None:
        return folder / f"{Path(output or source).name}.json"
    if Path(report).suffix.lower() != ".json":
        raise UsageError(f"the report {report} must be a file named .json, or a folder: {report}/")
    if several:
        raise UsageError(f"each input has a report of its own; name a folder for them: --report {report[:-5]}/")
    if any(same is not None and Path(report).absolute() == Path(same).absolute() for same in (source, output)):
        raise UsageError(f"the report {report} would replace the input or the output; name another file")
    check_folder(Path(report))
    return Path(report)


def write_report(report: Report, path: Path) -> None:
    """Write `report` to `path`, which is replaced once all of it is there."""
    beside = spare_name(path)
    try:
        beside.write_text(as_json(dataclasses.asdict(report)) + "\n", "utf-8")
        beside.replace(path)
    except OSError as cause:
        beside.unlink(missing_ok=True)
        raise SinkError(f"cannot write the report {path}: {cause.strerror}") from cause


def as_json(value: object) -> str:
    """`value` as reports are written."""
    return json.dumps(value, indent=2)
