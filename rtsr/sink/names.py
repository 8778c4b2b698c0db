"""Names of output files: what may be written, under what name while it is not whole, and how it gets its own."""

import os
import secrets
from itertools import chain, count
from pathlib import Path

from rtsr.errors import SinkError, UsageError

TIMED = {".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".ts", ".mts", ".m2ts", ".flv"}
"""File types that keep every frame's time. AVI and raw streams do not."""
PICTURES = {".png", ".jpg", ".jpeg", ".webp"}
"""File types of still pictures."""


def check_output(path: Path, source: Path, overwrite: bool) -> None:
    """Raise before any work is done if `path` cannot become the video that is made of `source`."""
    check_target(path, source, overwrite)
    if path.suffix.lower() in PICTURES and os.path.exists(source):
        raise UsageError(f"{source} is a video, and {path.name} a picture's name; name the output .mp4 or .mkv")
    if not path.suffix:
        raise UsageError(
            f"the output {path} needs a file type, e.g. {path}.mp4; a folder's name ends in a slash: {path}/"
        )
    if path.suffix.lower() not in TIMED:
        raise UsageError(f"{path.suffix} is not a file type that keeps a video's timing; name the output .mp4 or .mkv")


def check_target(path: Path, source: Path, overwrite: bool) -> None:
    """Raise before any work is done if no file made of `source` can get the name `path`."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return check_folder(path)
    except (OSError, ValueError) as cause:  # Too long, for one; a NUL character is a ValueError.
        reason = getattr(cause, "strerror", None) or cause
        raise SinkError(f"no file can be written as {str(path)!r} ({reason}); choose another name with -o") from cause
    if path.is_dir():
        raise SinkError(f"{path} is a folder; name a file in it with -o")
    if os.path.exists(source) and path.samefile(source):
        raise SinkError(f"{path} is the input itself; name another output with -o")
    if not overwrite:
        raise SinkError(f"{path} exists already; choose another name with -o, or allow it with --overwrite")
    check_folder(path)


def check_folder(path: Path) -> None:
    """Raise if no file can be made in the folder of `path`."""
    if not os.path.isdir(path.parent):
        raise SinkError(f"the folder {path.parent} does not exist; make it first")
    if not os.access(path.parent, os.W_OK):
        raise SinkError(f"the folder {path.parent} may not be written to; choose another")


def spare_name(path: Path) -> Path:
    """An empty new file beside `path`, of the same type: no two runs share it."""
    spare = path.with_name(f".{path.stem[:40]}.{secrets.token_hex(4)}.part{path.suffix}")
    try:
        spare.touch(exist_ok=False)
    except OSError as cause:
        raise SinkError(f"cannot write into {path.parent}: {cause.strerror}") from cause
    return spare


def finish_as(part: Path, path: Path, overwrite: bool) -> Path:
    """Rename `part` to `path`; where that exists and may not be replaced, add a number. Returns the name."""
    numbered = (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in count(2))
    try:
        if overwrite:
            return part.replace(path)
        return next(name for name in chain([path], numbered) if _take(part, name))
    except OSError as cause:
        raise SinkError(f"cannot write {path}: {cause.strerror}") from cause


def _take(part: Path, name: Path) -> bool:
    """Rename `part` to `name` unless that exists; returns whether it was done."""
    try:
        os.link(part, name)  # Unlike a rename, this never replaces a file.
    except FileExistsError:
        return False
    except OSError:  # A file system without hard links.
        if name.exists():
            return False
        part.replace(name)
        return True
    part.unlink()
    return True


def mp4_family(path: Path) -> bool:
    """Whether `path` is a kind of MP4 or QuickTime file."""
    return path.suffix.lower() in (".mp4", ".m4v", ".mov", ".3gp")
