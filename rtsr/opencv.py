"""What OpenCV prints by itself."""

from collections.abc import Iterator
from contextlib import contextmanager

import cv2


@contextmanager
def silent_opencv() -> Iterator[None]:
    """Keep OpenCV's own lines off standard error: what is wrong is said once."""
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


def is_cut_off(data: bytes) -> bool:
    """Whether `data` is a PNG without its end, of which libpng would print a line of its own."""
    return data[1:4] == b"PNG" and b"IEND" not in data
