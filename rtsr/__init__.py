"""rtsr upscales video and game captures with small neural networks.

import rtsr

rtsr.upscale("in.mp4", scale=1.5)
rtsr.upscale("screenshot.png", "large.png", scale=2)

with rtsr.Upscaler(scale=2) as upscale:
    large = upscale(image)  # (H, W, 3) uint8 RGB in and out
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rtsr.api import upscale
    from rtsr.errors import RtsrError, UsageError
    from rtsr.job import Job
    from rtsr.pacing.delivery import Live
    from rtsr.pipeline import run
    from rtsr.report import Progress, Report
    from rtsr.sink.encoding import Encoding
    from rtsr.upscaler import Upscaler

__all__ = ["Encoding", "Job", "Live", "Progress", "Report", "RtsrError", "Upscaler", "UsageError", "run", "upscale"]
__version__ = "0.1.0"
_HOMES = {
    "Encoding": "rtsr.sink.encoding",
    "Job": "rtsr.job",
    "Live": "rtsr.pacing.delivery",
    "Progress": "rtsr.report",
    "Report": "rtsr.report",
    "RtsrError": "rtsr.errors",
    "Upscaler": "rtsr.upscaler",
    "UsageError": "rtsr.errors",
    "run": "rtsr.pipeline",
    "upscale": "rtsr.api",
}
"""Where each name is, imported when it is first asked for: the command is to hear of Ctrl-C before."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = getattr(import_module(_HOMES[name]), name)
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
