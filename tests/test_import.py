"""Importing rtsr loads none of the heavy optional packages."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "onnx", "tensorrt", "tensorrt_rtx", "vapoursynth", "spandrel")


@pytest.mark.parametrize("module", ["rtsr", "rtsr.cli"])
def test_import_is_light(module):
    code = f"import sys, {module}; print(*sorted(set({HEAVY}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
