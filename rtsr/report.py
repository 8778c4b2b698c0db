"""What a job did."""

from array import array
from dataclasses import dataclass, field

import rtsr
from rtsr.pacing.spending import Spending

STAGES = ("decode", "upscale", "encode")


@dataclass(slots=True)
class Progress:
    """Where a running job is; changed in place as it goes on."""

    total: int
    """Expected number of frames; 0 where unknown."""
    done: int = 0
    """Frames encoded."""
    seconds: dict[str, array] = field(default_factory=lambda: {stage: array("f") for stage in STAGES})
    """Wall time of every frame in every stage; a live input's decoding includes waiting for it."""
    spending: Spending = field(default_factory=Spending)
    """What frames got, where a pace is set."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a job did."""

    source: str
    output: str
    engine: str
    """Engine and network that ran."""
    input_size: tuple[int, int]
    """Width and height: of a video as stored, of a picture as displayed, turned as its EXIF data say."""
    output_size: tuple[int, int]
    frames: int
    """Frames written."""
    seconds: float
    """Wall time of the whole job."""
    cpu_seconds: float
    """Processor time of the whole process during the job."""
    stages: dict[str, dict[str, float]]
    """Milliseconds a frame per stage: mean, p50, p95, p99, max."""
    notes: tuple[str, ...]
    """What differs from the input beyond its size: streams left out, bits or chroma reduced, damaged packets."""
    spending: dict[str, object] | None = None
    """Where a pace is set: misses, tiles per exit and more; see `rtsr.pacing.spending.Spending.summary`."""
    reference: dict[str, float | int] | None = None
    """Where a reference is given: frames that were compared and their mean PSNR-Y before encoding."""
    version: str = field(default_factory=lambda: rtsr.__version__)
    """Of rtsr."""
    asked: dict[str, object] = field(default_factory=dict)
    """What was asked for, the preset's part included: see `rtsr.job.Job.asked`."""
    model: str = ""
    """Name of the network that ran, or of the filter."""
    provider: str = ""
    """What ran it: ONNX Runtime and its provider, or an NVIDIA library and the GPU."""
    reason: str = ""
    """Why that one, where `auto` chose."""
    encoder: dict[str, object] | None = None
    """`codec` and `options`, its rate among them, as FFmpeg was given them; None for a picture."""
    input_codec: str | None = None
    """FFmpeg's name of what the video was encoded in; None for a picture and a script."""
    input_rate: float | None = None
    """Average frames a second; None where unknown."""
    stopped: bool = False
    """Whether Ctrl-C, a signal or the caller ended it; then `output` is what was made until then, empty where nothing
    was kept. So it is in the `report` of an error."""
    reused: float = 0.0
    """Share of the frames' tiles that were taken over from the frame before, as nothing had changed there, 0 to 1."""
