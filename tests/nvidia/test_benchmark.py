"""`benchmarks.gpu` without a GPU: what it says then, and its figures on one that keeps CUDA's promises only."""

import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from benchmarks import gpu
from rtsr.nvidia import presence
from rtsr.nvidia.cuda import Device
from rtsr.nvidia.plan import Plan
from tests.nvidia.driver import FakeDriver
from tests.nvidia.tensorrt import FakeTensorRT, plan

RTX_4090 = Device(0, "RTX 4090", (8, 9), 24 << 30, 128, 2_520_000_000, 1_008_000_000_000)


def test_without_a_gpu_it_says_so_in_one_line() -> None:
    if presence.driver_version() is not None:
        pytest.skip("there is a GPU here: run python -m benchmarks.gpu")
    done = subprocess.run([sys.executable, "-m", "benchmarks.gpu"], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("error: nothing to measure: ") and done.stderr.count("\n") == 1


def test_the_floor_follows_from_what_the_makers_say() -> None:
    """330 TFLOPS in half precision, 1008 GB/s: the RTX 4090's data sheet."""
    floor = gpu.Floor.of(RTX_4090, macs=165e9, sent=1_008_000_000, received=0)
    assert floor.operations_ms == pytest.approx(1.0, rel=2e-3)
    assert floor.memory_ms == pytest.approx(1.0) and floor.bus_ms == pytest.approx(31.5)
    assert floor.ms == floor.bus_ms
    a100 = replace(RTX_4090, capability=(8, 0), multiprocessors=108, clock=1_410_000_000)
    assert gpu.Floor.of(a100, 156e9, 0, 0).operations_ms == pytest.approx(1.0, rel=2e-3)


def test_a_gpu_whose_peak_is_not_known_has_no_such_floor() -> None:
    unknown = replace(RTX_4090, capability=(99, 0), bandwidth=0)
    assert gpu.Floor.of(unknown, 1e9, 32_000_000, 0) == gpu.Floor(None, None, 1.0)


def test_stages_are_timed_one_by_one_and_everything_is_given_back() -> None:
    driver = FakeDriver()
    library = FakeTensorRT(driver)
    made = Plan(library, plan("planes", Fraction(2)), "net", driver, *gpu.PLANES)
    found = gpu.stages(driver, made, gpu.noise(64, 48), rounds=3)
    made.close()
    assert list(found) == ["upload", "compute", "download"]
    assert all(set(figures) == {"mean", "p50", "p95", "p99", "max"} for figures in found.values())
    assert driver.runs == gpu.WARM_UP + 3
    driver.check_clean()


def test_the_clip_for_the_pipeline_is_a_video(tmp_path: Path) -> None:
    from tests.media import probe

    assert (probe(gpu.clip(tmp_path / "in.mp4", 320, 180, 7)).frames) == 7
