"""Importing rtsr loads none of the heavy optional packages."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "onnx", "tensorrt", "tensorrt_rtx", "vapoursynth", "spandrel")


@pytest.mark.parametrize("module", ["rtsr", "rtsr.cli"])
def test_import_is_light(module):
    code = f"import sys, {module}; print(*sorted(set({HEAVY}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_names_are_there_and_cost_nothing_before_they_are_used():
    code = (
        "import sys, rtsr; assert 'numpy' not in sys.modules\n"
        "assert {*rtsr.__all__} <= {*dir(rtsr)} and all(getattr(rtsr, name) for name in rtsr.__all__)\n"
        "from rtsr import Upscaler, upscale, resources, errors; assert rtsr.upscale is upscale\n"
        "assert not hasattr(rtsr, 'nothing')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.skipif(sys.platform == "win32", reason="sends itself a signal")
def test_ctrl_c_before_the_command_is_there_ends_it_without_a_word(tmp_path: Path):
    (tmp_path / "onnxruntime.py").write_text(
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(9)"
    )
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\nfrom rtsr.cli import main; main()"
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", code, "models"], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")
