"""What a person wants done with a video or a picture, and the sizes that follow from it."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

from rtsr.arguments import check_kind, model_name, path, whole_number, width_and_height
from rtsr.engine.choice import Means
from rtsr.engine.session import check_threads
from rtsr.errors import UsageError
from rtsr.frame import Video
from rtsr.pacing.deadline import Late, as_late
from rtsr.pacing.delivery import Live
from rtsr.pacing.paced import Pace
from rtsr.part import WHOLE, Part
from rtsr.preset import DECODE, NVIDIA, RUN_NETWORKS
from rtsr.scale import LARGEST, as_scale
from rtsr.sink.encoding import Encoding
from rtsr.upscaler import target_size

SETTLED: dict[str, Callable[[Any], object]] = {
    "source": partial(path, name="the source"),
    "output": partial(path, name="the output"),
    "scale": as_scale,
    "height": partial(whole_number, name="height"),
    "size": width_and_height,
    "model": model_name,
    "threads": check_threads,
    "late": as_late,
    "reference": lambda reference: Path(path(reference, "the reference")),
}
"""What a job's values are made of what was given; raises UsageError for what is of another kind."""
KINDS = {
    "pace": (Pace, "Pace(deadline=0.016)"),
    "live": (Live, "rtsr.Live()"),
    "encoding": (Encoding, 'rtsr.Encoding("libx265")'),
    "part": (Part, "Part(Fraction(90), Fraction(10))"),
}
"""The classes of others, with examples."""


@dataclass(frozen=True, slots=True)
class Job:
    """What to upscale, how far, and with what."""

    source: Path | str
    """A file; with `live`, also an address (udp://, rtsp://, ...), `-` for standard input, a pipe or a device."""
    output: Path | str | None = None
    """A file; or an address or `-`, which get MPEG-TS.

    None: the source's stem with the scale behind it, in the same kind of file where that holds the streams.
    """
    scale: Fraction | None = None
    """Upscaling factor; None where `height` or `size` is given."""
    height: int | None = None
    """Lines of the picture as displayed."""
    size: tuple[int, int] | None = None
    """Width and height in pixels, of the picture turned as displayed. Proportions stay: pixels may not be square."""
    model: str | Path | None = None
    engine: str = "auto"
    provider: str | None = None
    """What ONNX Runtime runs on; None: the best that is usable, where ONNX Runtime runs at all."""
    precision: str | None = None
    """What an NVIDIA engine computes in: "fp16", "fp32" or "int8"; None: fp16, where one runs at all."""
    pace: Pace | None = None
    """How much to spend on a frame; None: the whole network on all of it."""
    late: Late | None = None
    """What becomes of frames that cannot be made in time. None: live ones degrade; otherwise, a deadline within which
    a network can do nothing is an error."""
    live: Live | None = None
    """Set: the input's clock rules. The pace is by default a frame's time at the input's rate."""
    part: Part = WHOLE
    """What of the source is upscaled, and compared with the same part of the reference."""
    reference: Path | str | None = None
    """A video of the output's size to compare with, frame by frame."""
    decode: str = "cpu"
    """Where frames are decoded: "cpu", or "gpu", an NVIDIA one, where they stay for the network, and for the encoder if
    that is an NVENC one and the network makes just the output's size."""
    threads: int | None = None
    encoding: Encoding = field(default_factory=Encoding)
    overwrite: bool = False
    preset: str | None = None
    """Name of the preset that filled in what was not said, for the report."""

    def __post_init__(self) -> None:
        self._settle()
        if sum(wish is not None for wish in (self.scale, self.height, self.size)) != 1:
            raise UsageError("give one of scale, height and size; e.g. --scale 1.5")
        Means(self.engine, self.provider, self.threads, self.precision)  # Raises UsageError.
        self._check_decode()
        paced = self.pace is not None or self.live is not None
        if paced and self.engine not in RUN_NETWORKS:
            raise UsageError(f"the engine {self.engine} has no shares to spend; leave out deadline, quality and live")
        quality = self.pace is not None and self.pace.quality is not None
        if quality and (self.live is not None or self.late is not None):
            raise UsageError("a quality takes the time that it takes; give --live and --late a deadline instead")
        if self.late is not None and not paced:
            raise UsageError("nothing is late without a deadline; add --deadline, --fps or --live")
        if self.part.start and self.live is not None and not self.live.realtime:
            raise UsageError("live input starts when it comes; leave out the start, a duration is enough")
        if self.reference is not None and self.live is not None and not self.live.realtime:
            raise UsageError("a reference goes with a file; leave it out, or play the file with --realtime")

    def asked(self) -> dict[str, object]:
        """What was asked for, as plain values, for a report; None where nothing was. The scale is written as "3/2"."""
        deadline, quality = (None, None) if self.pace is None else (self.pace.deadline, self.pace.quality)
        return {
            "scale": None if self.scale is None else str(self.scale),
            "height": self.height,
            "size": self.size,
            "start_s": float(self.part.start) if self.part.start else None,
            "duration_s": None if self.part.duration is None else float(self.part.duration),
            "model": None if self.model is None else str(self.model),
            "engine": self.engine,
            "provider": self.provider,
            "precision": self.precision,
            "decode": self.decode,
            "deadline_ms": None if deadline is None else 1000 * float(deadline),
            "quality": None if quality is None else float(quality),
            "late": None if self.late is None else str(self.late),
            "live": None if self.live is None else asdict(self.live),
            "reference": None if self.reference is None else str(self.reference),
            "threads": self.threads,
            "preset": self.preset,
        }

    def _settle(self) -> None:
        """Check what kind everything is, and make numbers Python's own."""
        for name, settle in SETTLED.items():
            if name == "source" or getattr(self, name) is not None:
                object.__setattr__(self, name, settle(getattr(self, name)))
        for name, (kind, example) in KINDS.items():
            if name in ("encoding", "part") or getattr(self, name) is not None:
                check_kind(getattr(self, name), kind, name, example)

    def _check_decode(self) -> None:
        if self.decode not in DECODE:
            raise UsageError(f"frames are decoded on {' or '.join(DECODE)}, not on {self.decode!r}; e.g. --decode gpu")
        if self.decode == "cpu":
            return
        if self.engine not in ("auto", *NVIDIA) or self.provider is not None:
            raise UsageError(
                "frames decoded on the GPU stay there, for --engine rtx or tensorrt; take one of these, or leave out "
                "--decode gpu"
            )
        if self.pace is not None or self.live is not None:
            raise UsageError("deadline, quality and live take frames from memory; leave them out, or --decode gpu")


def plan(job: Job, video: Video) -> tuple[Fraction, int, int]:
    """The scale that the network must reach, and the stored width and height of the output.

    Raises UsageError where they cannot be reached, or height and size are odd, which video has no room for.
    """
    if any(side < 2 or side % 2 for side in (2 if job.height is None else job.height, *(job.size or ()))):
        raise UsageError("height and size are even numbers of pixels; e.g. --height 1080")
    if job.scale is not None:
        width, height = target_size(video.width, video.height, job.scale)
        if (width, height) == (video.width, video.height):
            raise UsageError(
                f"{width}x{height} times {float(job.scale):g} is the same even size; choose a larger scale"
            )
        return job.scale, width, height
    if job.size is not None:
        width, height = job.size[::-1] if video.sideways else job.size
    else:
        assert job.height is not None
        lines = video.width if video.sideways else video.height
        across = video.height if video.sideways else video.width
        sides = (round(Fraction(across * job.height, 2 * lines)) * 2, job.height)
        width, height = sides[::-1] if video.sideways else sides
    return reaching((width, height), (video.width, video.height)), width, height


def reaching(large: tuple[int, int], size: tuple[int, int]) -> Fraction:
    """The scale that takes pictures of `size`, width and height, to `large` or more; raises UsageError out of range."""
    scale = max(Fraction(large[0], size[0]), Fraction(large[1], size[1]))
    if not 1 < scale <= LARGEST:
        raise UsageError(
            f"{large[0]}x{large[1]} is {float(scale):.3g} times the input's {size[0]}x{size[1]}; "
            f"rtsr upscales by more than 1 and at most {LARGEST}"
        )
    return scale


def label(job: Job) -> str:
    """What a default output name says of the job: `1.5x`, `1080p` or `1920x1080`, and `1.5x_90s-100s` of a part."""
    if job.size is not None:
        said = f"{job.size[0]}x{job.size[1]}"
    else:
        said = f"{job.height}p" if job.scale is None else f"{float(job.scale):.4g}x"
    return f"{said}_{job.part.label}" if job.part else said
