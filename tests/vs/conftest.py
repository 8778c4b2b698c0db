"""What tests of the filter share."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """For processes that run scripts: VapourSynth set up for this Python, in a folder of its own."""
    home = tmp_path_factory.mktemp("config")
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    own = {**os.environ, "XDG_CONFIG_HOME": str(home), "PYTHONPATH": path}
    subprocess.run([sys.executable, "-m", "vapoursynth", "config"], env=own, check=True, capture_output=True)
    return own
