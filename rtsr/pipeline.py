"""A whole file: decode, upscale and encode on three threads, then check what was written.

The only module that owns threads. Queues between them are bounded; the first error is raised in the caller.
"""

import time
from array import array
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from queue import Full, Queue
from threading import Event, Thread
from typing import TypeVar

import numpy as np

from rtsr.errors import SinkError, UsageError
from rtsr.frame import Frame, Video
from rtsr.paced import Pace, PacedUpscaler
from rtsr.scale import LARGEST
from rtsr.sink.names import check_output
from rtsr.sink.pyav import Encoding, PyAVSink, holding_suffix
from rtsr.source.pyav import Copied, PyAVSource
from rtsr.spending import Spending
from rtsr.upscaler import Upscaler, target_size

DEPTH = 6
"""Frames and packets that may wait between two stages."""
STAGES = ("decode", "upscale", "encode")

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Job:
    """What to upscale, how far, and with what."""

    source: Path
    output: Path | None = None
    """None: the source's stem with the scale behind it, in the same kind of file where that holds the streams."""
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
    threads: int | None = None
    encoding: Encoding = field(default_factory=Encoding)
    overwrite: bool = False

    def __post_init__(self) -> None:
        if sum(wish is not None for wish in (self.scale, self.height, self.size)) != 1:
            raise UsageError("give one of scale, height and size; e.g. --scale 1.5")
        if any(side < 2 or side % 2 for side in (self.height or 2, *(self.size or ()))):
            raise UsageError("height and size are even numbers of pixels; e.g. --height 1080")
        if self.pace is not None and self.engine not in ("auto", "onnx"):
            raise UsageError(f"the engine {self.engine} has no shares to spend; leave out deadline and quality")


@dataclass(slots=True)
class Progress:
    """Where a running job is; changed in place as it goes on."""

    total: int
    """Expected number of frames; 0 where unknown."""
    done: int = 0
    """Frames encoded."""
    seconds: dict[str, array] = field(default_factory=lambda: {stage: array("f") for stage in STAGES})
    """Wall time of every frame in every stage."""
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
    """Width and height, as stored."""
    output_size: tuple[int, int]
    frames: int
    seconds: float
    """Wall time of the whole job."""
    cpu_seconds: float
    """Processor time of the whole process during the job."""
    stages: dict[str, dict[str, float]]
    """Milliseconds a frame per stage: mean, p50, p95, p99."""
    notes: tuple[str, ...]
    """What differs from the input beyond its size: streams left out, bits or chroma reduced, damaged packets."""
    spending: dict[str, object] | None = None
    """Where a pace is set: misses, tiles per exit and more; see `rtsr.spending.Spending.summary`."""


def run(job: Job, watch: Callable[[Progress], None] | None = None) -> Report:
    """Do `job` and report; `watch` is called after every frame, in the calling thread.

    Nothing is left under the output's name unless all of it was written and checked. After Ctrl-C, or where the
    check fails, what was written is kept beside it as `NAME.partial.TYPE`; the error, or KeyboardInterrupt, says so.
    Raises SourceError, SinkError, EngineError, CardError and UsageError.
    """
    began, cpu_began = time.perf_counter(), time.process_time()
    if job.output is not None:
        check_output(job.output, job.source, job.overwrite)
    with PyAVSource(job.source) as source:
        video = source.video
        scale, width, height = plan(job, video)
        output = job.output or default_output(job, source)
        check_output(output, job.source, job.overwrite)
        large = video.resized(width, height)
        with (
            _open_upscaler(job, scale) as upscaler,
            PyAVSink(output, large, source, job.encoding, job.overwrite) as sink,
        ):
            progress = Progress(video.frames)
            try:
                _flow(source, upscaler, sink, progress, watch)
                sink.close()
                _check(sink)
            except KeyboardInterrupt as stop:
                raise KeyboardInterrupt(_keep_part(sink, progress.done)) from stop
            return Report(
                source=str(job.source),
                output=str(sink.finish()),
                engine=upscaler.describe(),
                input_size=(video.width, video.height),
                output_size=(width, height),
                frames=progress.done,
                seconds=time.perf_counter() - began,
                cpu_seconds=time.process_time() - cpu_began,
                stages={stage: _statistics(spent) for stage, spent in progress.seconds.items()},
                notes=(*source.notes, *sink.notes),
                spending=progress.spending.summary(job.pace.deadline) if job.pace else None,
            )


def _open_upscaler(job: Job, scale: Fraction) -> Upscaler | PacedUpscaler:
    if job.pace is None:
        return Upscaler(scale, model=job.model, engine=job.engine, threads=job.threads)
    return PacedUpscaler(scale, job.pace, model=job.model, threads=job.threads)


def default_output(job: Job, source: PyAVSource) -> Path:
    """Where the result goes if nothing is said: the source's stem with the scale behind it, in its folder."""
    suffix = holding_suffix(source, job.encoding, rotated=source.video.display_matrix is not None)
    return job.source.with_name(f"{job.source.stem}_{label(job)}{suffix}")


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


def _flow(
    source: PyAVSource,
    upscaler: Upscaler | PacedUpscaler,
    sink: PyAVSink,
    progress: Progress,
    watch: Callable[[Progress], None] | None,
) -> None:
    """Everything from `source` to `sink`: decoding and upscaling on their own threads, encoding on this one."""

    def upscaled(items: Generator[Frame | Copied, None, None]) -> Generator[Frame | Copied, None, None]:
        with closing(items):
            for item in items:
                if isinstance(item, Frame):
                    with _timed(progress, "upscale"):
                        item = _upscaled(upscaler, item, sink.video, progress)
                yield item

    with closing(_buffered(upscaled(_buffered(_decoded(source, progress))))) as items:
        for item in items:
            if not isinstance(item, Frame):
                sink.write(item)
                continue
            with _timed(progress, "encode"):
                sink.write(item)
            progress.done += 1
            if watch:
                watch(progress)


def _upscaled(upscaler: Upscaler | PacedUpscaler, frame: Frame, video: Video, progress: Progress) -> Frame:
    if isinstance(upscaler, Upscaler):
        return upscaler.frame(frame, video.width, video.height)
    began = upscaler.clock()
    large, spent = upscaler.frame(frame, video.width, video.height)
    progress.spending.add(spent, upscaler.clock() - began)
    return large


def _decoded(source: PyAVSource, progress: Progress) -> Generator[Frame | Copied, None, None]:
    items = source.items()
    while True:
        began = time.perf_counter()
        item = next(items, None)
        if item is None:
            return
        if isinstance(item, Frame):
            progress.seconds["decode"].append(time.perf_counter() - began)
        yield item


@contextmanager
def _timed(progress: Progress, stage: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    progress.seconds[stage].append(time.perf_counter() - began)


class _Failure:
    """An error on its way from a worker to the thread that reads its results."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


_END = object()


def _buffered(items: Generator[Item, None, None]) -> Generator[Item, None, None]:
    """The same items, made ahead on a thread of their own, which ends when this generator is closed."""
    box: Queue = Queue(DEPTH)
    stop = Event()

    def put(item: object) -> None:
        while not stop.is_set():
            try:
                return box.put(item, timeout=0.1)
            except Full:
                continue

    def fill() -> None:
        try:
            with closing(items):
                for item in items:
                    put(item)
                    if stop.is_set():
                        return
            put(_END)
        except BaseException as error:  # handed to the reader, whatever it is
            put(_Failure(error))

    worker = Thread(target=fill, daemon=True)
    worker.start()
    try:
        while (item := box.get()) is not _END:
            if isinstance(item, _Failure):
                raise item.error
            yield item
    finally:
        stop.set()
        worker.join()


def _statistics(spent: array) -> dict[str, float]:
    """Mean and percentiles, in milliseconds."""
    times = np.array(spent) * 1000
    p50, p95, p99 = np.percentile(times, (50, 95, 99)).tolist()
    return {"mean": float(times.mean()), "p50": p50, "p95": p95, "p99": p99}
