"""Whether there is an NVIDIA driver, asked of the system: nothing that rtsr's extras bring is needed for it."""

import ctypes
import sys

CUDA = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
"""The driver's own library."""
NVML = "nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1"
"""NVIDIA's management library, which comes with the driver."""


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


def driver_release() -> str:
    """The driver's own version, such as "580.95.05"; empty where NVML does not say."""
    text = ctypes.create_string_buffer(80)  # NVML_SYSTEM_DRIVER_VERSION_BUFFER_SIZE
    try:
        library = ctypes.CDLL(NVML)
        if library.nvmlInit_v2() != 0:
            return ""
        failed = library.nvmlSystemGetDriverVersion(text, ctypes.c_uint(len(text)))
        library.nvmlShutdown()
    except (OSError, AttributeError):
        return ""
    return "" if failed else text.value.decode(errors="replace")
