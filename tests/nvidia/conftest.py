"""What tests of NVIDIA's libraries share."""

import os
from pathlib import Path

import pytest

from rtsr.errors import EngineError
from rtsr.nvidia.library import Library, load_library


@pytest.fixture(scope="session")
def rtx() -> Library:
    """TensorRT-RTX, which builds without a GPU; where it is missing tests are skipped, or fail: RTSR_REQUIRE_RTX=1."""
    try:
        return load_library("rtx")
    except EngineError as cause:
        if os.environ.get("RTSR_REQUIRE_RTX") == "1":
            pytest.fail(f"RTSR_REQUIRE_RTX=1, but: {cause}")
        pytest.skip(str(cause))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of engines, empty; not the user's."""
    monkeypatch.setenv("RTSR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "engines"
