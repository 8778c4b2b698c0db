"""Finding TensorRT-RTX and TensorRT, and what is said where they are not."""

import re
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

from rtsr.errors import EngineError, UsageError
from rtsr.nvidia.library import MODULES, OLDEST, installed, load_library

WORKING = "__version__ = {version!r}\nclass ILogger:\n    ERROR, WARNING = 1, 2\n    def __init__(self): pass\n"


def said(folder: Path, kind: str) -> str:
    """What loading the library says in a process that finds the modules in `folder` first."""
    code = f"""
import sys; sys.path.insert(0, {str(folder)!r})
from rtsr.nvidia.library import load_library
try: print(load_library({kind!r}).version)
except Exception as error: print(type(error).__name__, error, sep=": ")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    (line,) = done.stdout.splitlines()
    return line


@pytest.mark.parametrize("kind", MODULES)
def test_a_missing_library_is_said_with_the_line_that_installs_it(kind):
    if find_spec(MODULES[kind]):
        assert kind in installed() and load_library(kind) is load_library(kind)
        return
    assert kind not in installed()
    with pytest.raises(EngineError, match=rf"is not installed; install it with: pip install 'rtsr\[{kind}\]'"):
        load_library(kind)


def test_unknown_kind():
    with pytest.raises(UsageError, match="unknown library 'cuda'; known: rtx, tensorrt"):
        load_library("cuda")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("raise OSError('libnvinfer.so.11: cannot open\\nmore')", "does not load (libnvinfer.so.11: cannot open)"),
        ("raise ImportError", "does not load (ImportError)"),
        ("", "does not load (module 'tensorrt' has no attribute '__version__')"),
        (WORKING.format(version="8.6.1"), "TensorRT 8.6.1 is too old; rtsr needs 10.8 or newer"),
        (WORKING.format(version="10.7.0.post1"), "TensorRT 10.7.0.post1 is too old"),
        (WORKING.format(version="nightly"), "does not load"),
    ],
)
def test_broken_and_old_installations(tmp_path, content, expected):
    (tmp_path / "tensorrt.py").write_text(content)
    line = said(tmp_path, "tensorrt")
    assert line.startswith("EngineError: TensorRT ") and expected in line
    assert "pip install 'rtsr[tensorrt]'" in line


@pytest.mark.parametrize("version", ["10.8.0.43", "10.13.3.9", "11.4.0.106"])
def test_versions_that_do(tmp_path, version):
    (tmp_path / "tensorrt.py").write_text(WORKING.format(version=version))
    assert said(tmp_path, "tensorrt") == version


def test_the_oldest_versions_are_those_that_the_extras_ask_for():
    extras = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    for kind, oldest in OLDEST.items():
        (least,) = (found[1] for line in extras[kind] if (found := re.fullmatch(r"tensorrt[-\w]*>=([\d.]+)", line)))
        assert tuple(map(int, least.split("."))) == oldest, kind


def test_what_tensorrt_rtx_can(rtx):
    assert {"7.5", "8.6", "8.9", "12.0"} <= set(rtx.capabilities) and "9.0" not in rtx.capabilities
    assert (rtx.name, rtx.has_runtime_cache, rtx.has_timing_cache) == ("TensorRT-RTX", True, False)
    rtx.check_capability("8.9")
    with pytest.raises(
        EngineError, match=r"does not support GPUs of compute capability 9\.0; .*--engine tensorrt there"
    ):
        rtx.check_capability("9.0")
    with pytest.raises(EngineError, match=r"compute capability 6\.1; it supports [\d., ]*$"):
        rtx.check_capability("6.1")
