"""What the system says of its NVIDIA driver."""

import ctypes
import re
from types import SimpleNamespace

import pytest

from rtsr.nvidia import presence
from rtsr.nvidia.presence import driver_release


def nvml(started: int, asked: int) -> SimpleNamespace:
    """A management library whose calls return `started` and `asked`, 0 being success."""

    def version(text, size):
        assert size.value == len(text) == 80
        text.value = b"580.95.05"
        return asked

    ends = []
    calls = {"nvmlInit_v2": lambda: started, "nvmlSystemGetDriverVersion": version}
    return SimpleNamespace(**calls, nvmlShutdown=lambda: ends.append(True), ends=ends)


@pytest.mark.parametrize(("started", "asked", "said"), [(0, 0, "580.95.05"), (9, 0, ""), (0, 3, "")])
def test_the_drivers_own_version(monkeypatch, started, asked, said):
    library = nvml(started, asked)
    monkeypatch.setattr(ctypes, "CDLL", {presence.NVML: library}.__getitem__)
    assert driver_release() == said
    assert library.ends == ([] if started else [True])


def test_without_the_library_or_its_calls_nothing_is_said(monkeypatch):
    assert re.fullmatch(r"(\d+(\.\d+)+)?", driver_release())
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(nvmlInit_v2=lambda: 0))
    assert driver_release() == ""
