"""What a benchmark ran on."""

import os
import platform

import cv2
import numpy as np
import onnxruntime

from rtsr.processor import processor


def machine() -> dict[str, str | int | None]:
    """Processor, cores, system and versions, for a benchmark's JSON."""
    return {
        "cpu": processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
        "opencv": cv2.__version__,
        "numpy": np.__version__,
    }
