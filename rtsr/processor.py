"""The name of this machine's processor, and what of it may be used."""

import os
import platform
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """As the system calls it: Linux's model name, e.g. "AMD EPYC 7R13", else its architecture."""
    found = platform.processor() or platform.machine()
    if CPUINFO.exists():
        with CPUINFO.open(encoding="utf-8") as lines:
            found = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), found)
    return found
