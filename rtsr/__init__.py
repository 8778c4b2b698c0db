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
    from rtsr.errors import (
        ArgumentError,
        CardError,
        EngineError,
        MissingDependency,
        PresetError,
        RtsrError,
        SinkError,
        SourceError,
        UsageError,
    )
    from rtsr.frame import Colour, Frame
    from rtsr.job import Job
    from rtsr.pacing.delivery import Live
    from rtsr.pacing.paced import Pace, PacedUpscaler
    from rtsr.pipeline import expected_output, run
    from rtsr.preset import Preset
    from rtsr.report import Progress, Report
    from rtsr.sink.encoding import Encoding
    from rtsr.stopping import Stopped
    from rtsr.upscaler import Upscaler

__all__ = [
    "ArgumentError",
    "CardError",
    "Colour",
    "Encoding",
    "EngineError",
    "Frame",
    "Job",
    "Live",
    "MissingDependency",
    "Pace",
    "PacedUpscaler",
    "Preset",
    "PresetError",
    "Progress",
    "Report",
    "RtsrError",
    "SinkError",
    "SourceError",
    "Stopped",
    "Upscaler",
    "UsageError",
    "expected_output",
    "run",
    "upscale",
]
__version__ = "0.1.0"
_HOMES = {
    "ArgumentError": "rtsr.errors",
    "CardError": "rtsr.errors",
    "Colour": "rtsr.frame",
    "Encoding": "rtsr.sink.encoding",
    "EngineError": "rtsr.errors",
    "Frame": "rtsr.frame",
    "Job": "rtsr.job",
    "Live": "rtsr.pacing.delivery",
    "MissingDependency": "rtsr.errors",
    "Pace": "rtsr.pacing.paced",
    "PacedUpscaler": "rtsr.pacing.paced",
    "Preset": "rtsr.preset",
    "PresetError": "rtsr.errors",
    "Progress": "rtsr.report",
    "Report": "rtsr.report",
    "RtsrError": "rtsr.errors",
    "SinkError": "rtsr.errors",
    "SourceError": "rtsr.errors",
    "Stopped": "rtsr.stopping",
    "Upscaler": "rtsr.upscaler",
    "UsageError": "rtsr.errors",
    "expected_output": "rtsr.pipeline",
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
