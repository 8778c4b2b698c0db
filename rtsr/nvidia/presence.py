"""Whether there is an NVIDIA driver, asked of the system: nothing that rtsr's extras bring is needed for it."""

import ctypes
import sys

CUDA = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
"""The driver's own library."""


def driver_version() -> tuple[int, int] | None:
    """The newest CUDA that the NVIDIA driver knows, (major, minor); None where there is no driver."""
    try:
        library = ctypes.CDLL(CUDA)
        number = ctypes.c_int()
        if library.cuDriverGetVersion(ctypes.byref(number)) != 0:
            return None
    except (OSError, AttributeError):
        return None
    return number.value // 1000, number.value % 1000 // 10
