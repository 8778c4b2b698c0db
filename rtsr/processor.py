"""The name of this machine's processor."""

import platform
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


def processor() -> str:
    """As the system calls it: Linux's model name, e.g. "AMD EPYC 7R13", else its architecture."""
    found = platform.processor() or platform.machine()
    if CPUINFO.exists():
        with CPUINFO.open(encoding="utf-8") as lines:
            found = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), found)
    return found
