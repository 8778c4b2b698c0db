"""The folder of the cache: files that are whole or not there, and a lock for each key.

A file is a line that says what it is, a line of facts as JSON, and its content. It is written under another name and
renamed, so that reading needs no lock; the lock keeps two processes from making the same. `RTSR_CACHE` names another
folder; `engines` inside it is used.
"""

import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from rtsr.errors import EngineError, need

OURS = re.compile(r"[0-9a-f]{32}(\.plan|\.runtime|\.times|\.lock|\.\w+\.tmp)")
"""Names of the files that rtsr puts into the folder; all others are somebody else's."""
KEY = 32
"""Characters of a key, which every name begins with."""
PATIENCE = 1800.0
"""Seconds to wait for another process that makes the same: TensorRT may take minutes."""
LONGEST = 1 << 16
"""Bytes of the line of facts, at most."""


class Damaged(Exception):
    """The file is not what it should be, or not whole; the message says which."""


class Busy(EngineError):
    """Another process holds the lock for too long."""


def cache_folder() -> Path:
    """Where engines are kept; the folder may not be there yet. Raises MissingDependency."""
    named = os.environ.get("RTSR_CACHE")
    if named:
        return Path(named).expanduser() / "engines"
    return need("platformdirs", "rtx").user_cache_path("rtsr", appauthor=False) / "engines"


def files(suffix: str = "") -> list[Path]:
    """rtsr's own files in the cache, those with `suffix` or all."""
    folder = cache_folder()
    found = [path for path in folder.iterdir() if OURS.fullmatch(path.name)] if folder.is_dir() else []
    return sorted(path for path in found if suffix in ("", path.suffix))


@contextmanager
def locked(key: str, patience: float = PATIENCE) -> Iterator[Path]:
    """Hold the lock of `key`; gives the folder, which is made. Raises OSError, or Busy after `patience` seconds."""
    filelock = need("filelock", "rtx")
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / f"{key}.lock", timeout=patience)
    try:
        lock.acquire()
    except filelock.Timeout as cause:
        raise Busy(f"another process has been building the same engine for {patience:.0f} s; wait or end it") from cause
    try:
        yield folder
    finally:
        lock.release()


def write(path: Path, magic: bytes, facts: dict[str, Any], content: bytes) -> None:
    """Put a file into the cache in one step; raises OSError. `magic` ends with a line break."""
    line = json.dumps({**facts, "size": len(content), "sha256": sha256(content).hexdigest()}).encode()
    handle, name = tempfile.mkstemp(prefix=f"{path.stem}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(magic + line + b"\n" + content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def read_facts(path: Path, magic: bytes) -> dict[str, Any]:
    """What a file says of itself, `size` and `sha256` of its content included; raises Damaged, or OSError."""
    with path.open("rb") as file:
        return _facts(file.read(len(magic)), magic, file.readline(LONGEST))


def read(path: Path, magic: bytes) -> tuple[dict[str, Any], bytes]:
    """Facts and content of a file, the content checked against its hash; raises Damaged, or OSError."""
    with path.open("rb") as file:
        facts = _facts(file.read(len(magic)), magic, file.readline(LONGEST))
        content = file.read()
    if len(content) < facts["size"]:
        raise Damaged("it is cut off")
    if len(content) != facts["size"] or sha256(content).hexdigest() != facts["sha256"]:
        raise Damaged("its content is not what was written")
    return facts, content


def _facts(start: bytes, magic: bytes, line: bytes) -> dict[str, Any]:
    if start != magic:
        raise Damaged("it is no file of this version of rtsr")
    try:
        facts = json.loads(line)
        if isinstance(facts["size"], int) and isinstance(facts["sha256"], str):
            return facts
    except (ValueError, KeyError, TypeError):
        pass
    raise Damaged("its first lines are damaged")
