"""Runs rtsr: as a process, as a person does, or here, with an interpolation for a network."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

from rtsr.job import Job
from rtsr.pipeline import run

SCALE = Fraction(3, 2)


def rtsr(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from rtsr.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=cwd, check=False)


def assert_one_error_line(done: subprocess.CompletedProcess[str], status: int, says: str) -> None:
    assert done.returncode == status, done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ") and says in lines[0], done.stderr


def upscale(source: Path, output: Path, scale: Fraction | None = SCALE, **wishes: object) -> Path:
    return Path(run(Job(source, output, scale, engine="bicubic", **wishes)).output)  # type: ignore[arg-type]
