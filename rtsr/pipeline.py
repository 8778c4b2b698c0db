"""A whole file: decode, upscale and encode on three threads, then check what was written.

The only module that owns threads. Queues between them are bounded; the first error is raised in the caller.
"""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from threading import Event

from rtsr.buffer import buffered
from rtsr.deadline import Late
from rtsr.delivery import Delivery, Live, check_possible
from rtsr.errors import SinkError, SourceError, UsageError
from rtsr.frame import Frame, Video
from rtsr.paced import Pace, PacedUpscaler
from rtsr.reference import Reference
from rtsr.report import Progress, Report
from rtsr.scale import LARGEST
from rtsr.sink.names import check_output
from rtsr.sink.pyav import Encoding, PyAVSink, holding_suffix
from rtsr.sink.stream import StreamSink
from rtsr.source.base import Copied, Source
from rtsr.source.live import LiveSource, PlayedSource, address, is_live
from rtsr.source.pyav import PyAVSource
from rtsr.source.vapoursynth import SCRIPT, VapourSynthSource
from rtsr.spending import in_milliseconds
from rtsr.upscaler import Upscaler, target_size

DEPTH = 6
"""Frames and packets that may wait between two stages."""
LIVE_DEPTH = 4
"""The same for a live input: what waits is late."""
USUAL_DEADLINE = 1 / 30
"""Seconds for a frame of a live input that does not say its rate."""


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
    pace: Pace | None = None
    """How much to spend on a frame; None: the whole network on all of it."""
    late: Late | None = None
    """What becomes of frames that cannot be made in time. None: live ones degrade; otherwise, a deadline within which
    a network can do nothing is an error."""
    live: Live | None = None
    """Set: the input's clock rules. The pace is by default a frame's time at the input's rate."""
    reference: Path | None = None
    """A video of the output's size to compare with, frame by frame."""
    threads: int | None = None
    encoding: Encoding = field(default_factory=Encoding)
    overwrite: bool = False

    def __post_init__(self) -> None:
        if sum(wish is not None for wish in (self.scale, self.height, self.size)) != 1:
            raise UsageError("give one of scale, height and size; e.g. --scale 1.5")
        if any(side < 2 or side % 2 for side in (self.height or 2, *(self.size or ()))):
            raise UsageError("height and size are even numbers of pixels; e.g. --height 1080")
        paced = self.pace is not None or self.live is not None
        if paced and self.engine not in ("auto", "onnx"):
            raise UsageError(f"the engine {self.engine} has no shares to spend; leave out deadline, quality and live")
        quality = self.pace is not None and self.pace.quality is not None
        if quality and (self.live is not None or self.late is not None):
            raise UsageError("a quality takes the time that it takes; give --live and --late a deadline instead")
        if self.late is not None and not paced:
            raise UsageError("nothing is late without a deadline; add --deadline, --fps or --live")
        if self.reference is not None and self.live is not None and not self.live.realtime:
            raise UsageError("a reference goes with a file; leave it out, or play the file with --realtime")


def run(job: Job, watch: Callable[[Progress], None] | None = None) -> Report:
    """Do `job` and report; `watch` is called after every frame, in the calling thread.

    Nothing is left under the output's name unless all of it was written and checked. After Ctrl-C, or where the
    check fails, what was written is kept beside it as `NAME.partial.TYPE`; the error, or KeyboardInterrupt, says so.
    So is what was made of a live input before an error. Raises SourceError, SinkError, EngineError, CardError and
    UsageError.
    """
    began, cpu_began = time.perf_counter(), time.process_time()
    if job.output is not None:
        _check_output(job, job.output)
    stop = Event()
    with ExitStack() as opened:
        # Timing networks takes a moment, in which a live input would pile up.
        early = job.scale if job.live is not None else None
        upscaler = opened.enter_context(_open_upscaler(job, early)) if early else None
        source = opened.enter_context(_open_source(job, stop))
        video = source.video
        scale, width, height = plan(job, video)
        output = job.output or default_output(job, source)
        _check_output(job, output)
        large, progress = video.resized(width, height), Progress(video.frames)
        reference = opened.enter_context(Reference(job.reference, large)) if job.reference else None
        upscaler = upscaler or opened.enter_context(_open_upscaler(job, scale))
        delivery = _plan_delivery(job, upscaler, source, large, progress)
        sink = opened.enter_context(_open_sink(job, output, large, source))
        flow = _Flow(source, upscaler, delivery, reference, sink, progress, stop)
        _finish(job, flow, watch)
        return Report(
            source=str(job.source),
            output=str(sink.finish()),
            engine=upscaler.describe(),
            input_size=(video.width, video.height),
            output_size=(width, height),
            frames=progress.done,
            seconds=time.perf_counter() - began,
            cpu_seconds=time.process_time() - cpu_began,
            stages={stage: in_milliseconds(spent) for stage, spent in progress.seconds.items()},
            notes=(*source.notes, *sink.notes),
            spending=progress.spending.summary(delivery.deadline) if delivery else None,
            reference=reference.summary() if reference else None,
        )


def _finish(job: Job, flow: "_Flow", watch: Callable[[Progress], None] | None) -> None:
    """Let all frames through and check what was written; where that is stopped, keep what can be kept."""
    sink = flow.sink
    try:
        flow.run(watch)
        sink.close()
        _check(sink)
    except KeyboardInterrupt as stopped:
        raise KeyboardInterrupt(_keep_part(sink, flow.progress.done)) from stopped
    except SourceError as broken:
        if job.live is None:
            raise
        raise SourceError(f"{broken}; {_keep_part(sink, flow.progress.done)}") from broken


def _open_source(job: Job, stop: Event) -> Source:
    named = address(job.source)
    script = named is None and Path(job.source).suffix.lower() == SCRIPT
    if script and job.live is not None:
        raise UsageError(f"{job.source} is a script, which has no clock; leave out --live and --realtime")
    if script:
        return VapourSynthSource(Path(job.source))
    if job.live is None:
        if named is not None:
            raise UsageError(f"{named} is live; add --live to keep up with it")
        return PyAVSource(job.source)
    if job.live.realtime:
        if is_live(job.source):
            raise UsageError(f"{job.source} has a pace of its own; --realtime is for files: use --live alone")
        return PlayedSource(job.source, stop)
    if Path(job.source).is_file():
        raise UsageError(f"{job.source} is a file; add --realtime to play it at its own pace, or leave out --live")
    return LiveSource(job.source, job.live.stall, stop) if is_live(job.source) else PyAVSource(job.source)


def _open_upscaler(job: Job, scale: Fraction) -> Upscaler | PacedUpscaler:
    if job.pace is None and job.live is None:
        return Upscaler(scale, model=job.model, engine=job.engine, threads=job.threads)
    # With live input, every frame gets a time of its own.
    pace = job.pace or Pace(deadline=USUAL_DEADLINE)
    return PacedUpscaler(scale, pace, model=job.model, threads=job.threads)


def _plan_delivery(
    job: Job, upscaler: Upscaler | PacedUpscaler, source: Source, large: Video, progress: Progress
) -> Delivery | None:
    """How frames are kept in time; None where nothing is said of time or quality."""
    if isinstance(upscaler, Upscaler):
        return None
    rate = source.video.rate
    usual = None if job.live is None else 1 / float(rate) if rate else USUAL_DEADLINE
    deadline = usual if job.pace is None else job.pace.deadline
    if deadline is not None and job.late is None and job.live is None:
        check_possible(upscaler, source.video, large, deadline)
    late = job.late or Late.DEGRADE
    follows = isinstance(source, LiveSource) and source.follows
    return Delivery(upscaler, source.video, large, deadline, late, progress.spending, job.live, follows)


def _open_sink(job: Job, output: Path | str, large: Video, source: Source) -> PyAVSink:
    target = address(output)
    if target is not None:
        return StreamSink(target, large, source, job.encoding)
    return PyAVSink(Path(output), large, source, job.encoding, job.overwrite)


def _check_output(job: Job, output: Path | str) -> None:
    if address(output) is None:
        check_output(Path(output), Path(job.source), job.overwrite)


def default_output(job: Job, source: Source) -> Path:
    """Where the result goes if nothing is said: the source's stem with the scale behind it, in its folder."""
    if is_live(job.source):
        raise UsageError(f"name the output of the live input {job.source} with -o, e.g. -o out.mkv")
    suffix = holding_suffix(source, job.encoding, rotated=source.video.display_matrix is not None)
    return source.path.with_name(f"{source.path.stem}_{label(job)}{suffix}")


def _check(sink: PyAVSink) -> None:
    """Check what was written; where it is not as meant, keep it under another name, as it took long to make."""
    try:
        sink.check()
    except SinkError as wrong:
        raise SinkError(f"{wrong}; what was written is kept in {sink.finish(partial=True)}") from wrong


def _keep_part(sink: PyAVSink, frames: int) -> str:
    """Complete what an interrupted job has written so far; returns what was done, in words."""
    if not frames:
        return "stopped before the first frame; nothing was kept"
    sink.close()
    return f"stopped after {frames} frames; they are kept in {sink.finish(partial=True)}"


def plan(job: Job, video: Video) -> tuple[Fraction, int, int]:
    """The scale that the network must reach, and the stored width and height of the output."""
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
    scale = max(Fraction(width, video.width), Fraction(height, video.height))
    if not 1 < scale <= LARGEST:
        raise UsageError(
            f"{width}x{height} is {float(scale):.3g} times the input's {video.width}x{video.height}; "
            f"rtsr upscales by more than 1 and at most {LARGEST}"
        )
    return scale, width, height


def label(job: Job) -> str:
    """What a default output name says of the job: `1.5x`, `1080p` or `1920x1080`."""
    if job.size is not None:
        return f"{job.size[0]}x{job.size[1]}"
    return f"{job.height}p" if job.scale is None else f"{float(job.scale):.4g}x"


@dataclass(frozen=True, slots=True, eq=False)
class _Flow:
    """Everything from `source` to `sink`: decoding and upscaling on their own threads, encoding on the caller's."""

    source: Source
    upscaler: Upscaler | PacedUpscaler
    delivery: Delivery | None
    reference: Reference | None
    sink: PyAVSink
    progress: Progress
    stop: Event
    """Set when the run ends, so that a source that waits for its time, or for its sender, does not go on waiting."""

    def run(self, watch: Callable[[Progress], None] | None) -> None:
        depth = DEPTH if self.delivery is None or self.delivery.live is None else LIVE_DEPTH
        with closing(buffered(self._upscaled(buffered(self._decoded(), depth)), depth)) as items:
            try:
                for item in items:
                    if isinstance(item, Frame):
                        self._encode(item)
                        if watch:
                            watch(self.progress)
                    else:
                        self.sink.write(item)
            finally:
                self.stop.set()

    def _decoded(self) -> Generator[Frame | Copied, None, None]:
        items = self.source.items()
        while True:
            began = time.perf_counter()
            item = next(items, None)
            if item is None:
                return
            if isinstance(item, Frame):
                self.progress.seconds["decode"].append(time.perf_counter() - began)
                if self.delivery is not None:
                    self.delivery.arrived(item)
            yield item

    def _upscaled(self, items: Generator[Frame | Copied, None, None]) -> Generator[Frame | Copied, None, None]:
        with closing(items):
            for item in items:
                if isinstance(item, Copied):
                    yield item
                    continue
                with _timed(self.progress, "upscale"):
                    large = self._upscale(item)
                if large is not None:
                    yield large

    def _upscale(self, frame: Frame) -> Frame | None:
        if self.delivery is not None:
            return self.delivery.make(frame)
        assert isinstance(self.upscaler, Upscaler)
        return self.upscaler.frame(frame, self.sink.video.width, self.sink.video.height)

    def _encode(self, frame: Frame) -> None:
        if self.reference is not None:
            self.reference.compare(frame)
        with _timed(self.progress, "encode"):
            self.sink.write(frame)
        if self.delivery is not None:
            self.delivery.written(frame)
        self.progress.done += 1


@contextmanager
def _timed(progress: Progress, stage: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    progress.seconds[stage].append(time.perf_counter() - began)
