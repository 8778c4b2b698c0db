"""`rtsr doctor`: what it says of this machine is true, and it never fails."""

import json
import re
import sys
from pathlib import Path

import av
import onnxruntime
import pytest

from rtsr import doctor
from rtsr.cli import main
from rtsr.doctor import Finding
from rtsr.engine.int8 import trial
from rtsr.errors import EngineError, MissingDependency
from rtsr.nvidia import opening, presence
from rtsr.resources import folder, networks
from tests.nvidia.driver import FakeDriver

NO_DRIVER = "there is no NVIDIA driver; with an NVIDIA GPU, install it from its maker"


def run(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(["doctor", *options])
    assert stopped.value.code == 0
    said = capsys.readouterr()
    assert said.err == ""
    return said.out


@pytest.fixture
def found(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict]:
    monkeypatch.setenv("RTSR_CACHE", str(tmp_path))
    return {entry["name"]: entry for entry in json.loads(run(capsys, "--json"))}


def test_it_agrees_with_what_is_installed(found: dict[str, dict], tmp_path: Path) -> None:
    count = len(list(folder("engines").glob("*.toml")))
    assert count and found["networks"]["works"]
    assert found["networks"]["detail"].startswith(f"{count} shipped")
    assert found["cpu"] == {**found["cpu"], "works": True, "detail": onnxruntime.__version__}
    for name, runtime_name in (("cuda", "CUDAExecutionProvider"), ("openvino", "OpenVINOExecutionProvider")):
        assert runtime_name in onnxruntime.get_available_providers() or not found[name]["works"]
    assert found["NVDEC"]["works"] == (presence.driver_version() is not None)
    assert found["NVDEC"]["detail"].startswith("decodes on an NVIDIA GPU (--decode gpu)")
    assert str(tmp_path / "engines") in found["cache of engines"]["detail"]
    for codec in ("libx264", "h264_videotoolbox"):
        assert found[codec]["works"] == (codec in av.codecs_available)


def test_it_says_what_8_bits_save(found: dict[str, dict]) -> None:
    finding = found["--precision int8"]
    right = trial(next(n for n in networks().values() if n.card.int8)).right
    assert finding["works"] == right
    assert ("of the time of floats on the processor" if right else "overflow on this processor") in finding["detail"]


def test_what_is_missing_has_its_line(found: dict[str, dict]) -> None:
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.fail("the tests are to run with plain onnxruntime, which has no CUDA")
    assert found["cuda"]["install"] == "pip uninstall -y onnxruntime && pip install 'onnxruntime-gpu[cuda,cudnn]'"
    if sys.version_info < (3, 12):
        assert found["VapourSynth"]["install"] == "pip install 'rtsr[vs]'"
    if not found["TensorRT"]["works"] and "not installed" in found["TensorRT"]["detail"]:
        assert found["TensorRT"]["install"] == "pip install 'rtsr[tensorrt]'"
    assert all(not entry["install"] for entry in found.values() if entry["works"])


def test_lines_are_aligned_and_plain_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line for line in run(capsys).splitlines() if line.startswith("  ")]
    assert len(lines) > 20 and not any("\x1b" in line for line in lines)
    starts = {match.end() for line in lines if (match := re.match(r"  (works   |not here)  \S+( \S+)* +(?=\S)", line))}
    details = {line[len("  not here  ") :].split("  ")[0] for line in lines}
    assert max(map(len, details)) + len("  not here    ") in starts


def by_name() -> dict[str, Finding]:
    return {entry.name: entry for entry in doctor.examine()}


def test_without_a_driver_nothing_of_nvidia_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "CUDA", "libthere-is-no-such-library.so")
    found = by_name()
    assert found["driver"] == Finding("NVIDIA", "driver", False, NO_DRIVER)
    assert not found["TensorRT-RTX"].works and not found["TensorRT"].works and "GPU 0" not in found
    assert found["--engine auto"].detail.startswith("takes ONNX Runtime, CPU: ")
    assert found["--engine auto"].detail.endswith("no NVIDIA driver")


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> FakeDriver:
    """An NVIDIA driver with a GPU."""
    fake = FakeDriver()
    for module in (doctor, opening):
        monkeypatch.setattr(module, "driver_version", lambda: (13, 0))
        monkeypatch.setattr(module, "CudaDriver", lambda *extra: fake)
    return fake


class Installed:
    """A library as `load_library` gives it."""

    kind, name, version, capabilities = "rtx", "TensorRT-RTX", "1.7", ("8.6", "8.9")


def installed(monkeypatch: pytest.MonkeyPatch, *kinds: str) -> None:
    def load(kind: str) -> type[Installed]:
        if kind not in kinds:
            raise EngineError(f"{kind} is not installed; install it with: pip install 'rtsr[{kind}]'")
        return Installed

    for module in (doctor, opening):
        monkeypatch.setattr(module, "load_library", load)
    monkeypatch.setattr(opening, "installed", lambda: kinds)


def test_a_gpu_and_a_library_that_runs_on_it(driver: FakeDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "rtx")
    found = by_name()
    assert found["driver"].detail == "for CUDA 13.0 and older"
    assert found["GPU 0"].detail == "Fake 0 (compute capability 8.9, 16384 MiB)"
    assert found["TensorRT-RTX"] == Finding("NVIDIA", "TensorRT-RTX", True, "1.7, runs on Fake 0")
    assert found["--engine auto"].detail == "takes TensorRT-RTX 1.7, Fake 0"


def test_a_gpu_that_the_library_does_not_know(driver: FakeDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "rtx")
    driver.capability = (9, 0)
    found = by_name()
    assert found["GPU 0"].works and not found["TensorRT-RTX"].works
    assert "TensorRT-RTX does not run on Fake 0 (compute capability 9.0" in found["TensorRT-RTX"].detail
    assert "takes ONNX Runtime, CPU" in found["--engine auto"].detail and "9.0" in found["--engine auto"].detail


def test_a_gpu_and_no_library(driver: FakeDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch)
    found = by_name()
    assert found["TensorRT-RTX"].install == "pip install 'rtsr[rtx]'"
    assert found["--engine auto"].detail.endswith("an NVIDIA driver is here, but no library: pip install 'rtsr[rtx]'")


def test_a_gpu_and_no_bindings(driver: FakeDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*extra: str) -> FakeDriver:
        raise MissingDependency("cuda.bindings.runtime is not usable; try: pip install 'rtsr[rtx]'")

    monkeypatch.setattr(doctor, "CudaDriver", missing)
    found = by_name()
    assert not found["GPU"].works and found["GPU"].install == "pip install 'rtsr[rtx]'"


def test_whatever_breaks_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> str:
        raise ZeroDivisionError

    monkeypatch.setattr(doctor, "_cache", broken)
    assert by_name()["cache of engines"] == Finding("NVIDIA", "cache of engines", False, "ZeroDivisionError()")
