"""A whole file: decode, upscale and encode on three threads, then check what was written.

Queues between the threads are bounded (`rtsr.buffer`); the first error is raised in the caller.
"""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

from rtsr.buffer import buffered
from rtsr.engine.choice import Means, Tell
from rtsr.errors import SinkError, SourceError, UsageError
from rtsr.frame import Frame, GpuFrame, Video
from rtsr.job import Job, label, plan
from rtsr.pacing.deadline import Late
from rtsr.pacing.delivery import Delivery, check_possible
from rtsr.pacing.paced import Pace, PacedUpscaler
from rtsr.pacing.spending import in_milliseconds
from rtsr.priority import giving_way
from rtsr.quality.reference import Reference
from rtsr.report import Progress, Report
from rtsr.sink.names import check_output
from rtsr.sink.pyav import PyAVSink, holding_suffix
from rtsr.sink.stream import StreamSink
from rtsr.source.base import Copied, Item, Source
from rtsr.source.live import LiveSource, PlayedSource, address, is_live
from rtsr.source.nvdec import NvdecSource
from rtsr.source.pyav import PyAVSource
from rtsr.source.vapoursynth import SCRIPT, VapourSynthSource
from rtsr.still import is_still, upscale_still
from rtsr.upscaler import UnderWay, Upscaler

DEPTH = 6
"""Frames and packets that may wait between two stages."""
LIVE_DEPTH = 4
"""The same for a live input: what waits is late."""
NVENC = "_nvenc"
"""How the names of encoders end that take frames on an NVIDIA GPU."""
USUAL_DEADLINE = 1 / 30
"""Seconds for a frame of a live input that does not say its rate."""


def run(job: Job, watch: Callable[[Progress], None] | None = None, tell: Tell | None = None) -> Report:
    """Do `job` and report; `watch` is called after every frame, in the calling thread; `tell`, as for `Upscaler`.

    Where the source is a still picture, so is the output: see `rtsr.still.upscale_still`.
    Nothing is left under the output's name unless all of it was written and checked. After Ctrl-C, or where the
    check fails, what was written is kept beside it as `NAME.partial.TYPE`; the error, or KeyboardInterrupt, says so.
    So is what was made of a live input before an error. Raises SourceError, SinkError, EngineError, CardError and
    UsageError.
    """
    if is_still(job.source):
        return upscale_still(job, tell)
    began, cpu_began = time.perf_counter(), time.process_time()
    _check_source(job)
    if job.output is not None:
        _check_output(job, job.output)
    stop = Event()
    with ExitStack() as opened:
        # Timing networks takes a moment, in which a live input would pile up.
        early = job.scale if job.live is not None else None
        upscaler = opened.enter_context(_open_upscaler(job, early, tell)) if early else None
        source = opened.enter_context(_open_source(job, stop))
        video = source.video
        scale, width, height = plan(job, video)
        output = job.output or default_output(job, source)
        _check_output(job, output)
        large, progress = video.resized(width, height), Progress(video.frames)
        reference = opened.enter_context(Reference(job.reference, large)) if job.reference else None
        upscaler = upscaler or opened.enter_context(_open_upscaler(job, scale, tell, (video.width, video.height)))
        delivery = _plan_delivery(job, upscaler, source, large, progress)
        gpu, notes = _plan_encoder(job, upscaler, source, large)
        opening = partial(_open_sink, job, output, large, source, gpu)
        # Where frames have a deadline, they come before their encoder.
        sink = opened.enter_context(giving_way(opening) if delivery else opening())
        flow = _Flow(source, upscaler, delivery, reference, sink, progress, stop, gpu is not None)
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
            notes=(*source.notes, *upscaler.notes, *notes, *sink.notes),
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


def _check_source(job: Job) -> None:
    """Raise UsageError where the input is not of the kind that the job is meant for."""
    if _is_script(job) and job.decode == "gpu":
        raise UsageError(f"{job.source} is a script, which gives frames in memory; leave out --decode gpu")
    if _is_script(job) and job.live is not None:
        raise UsageError(f"{job.source} is a script, which has no clock; leave out --live and --realtime")
    if job.live is None and address(job.source) is not None:
        raise UsageError(f"{job.source} is live; add --live to keep up with it")
    if job.live is not None and job.live.realtime and is_live(job.source):
        raise UsageError(f"{job.source} has a pace of its own; --realtime is for files: use --live alone")
    if job.live is not None and not job.live.realtime and Path(job.source).is_file():
        raise UsageError(
            f"{job.source} is a file; add --realtime to play it at its own pace, or leave out --live and live presets"
        )
    if job.output is None and is_live(job.source):
        raise UsageError(f"name the output of the live input {job.source} with -o, e.g. -o out.mkv")


def _is_script(job: Job) -> bool:
    return address(job.source) is None and Path(job.source).suffix.lower() == SCRIPT


def _open_source(job: Job, stop: Event) -> Source:
    if _is_script(job):
        return VapourSynthSource(Path(job.source))
    if job.live is not None and job.live.realtime:
        return PlayedSource(job.source, stop)
    if job.live is not None and is_live(job.source):
        return LiveSource(job.source, job.live.stall, stop)
    if job.decode == "gpu":  # Before anything else that uses the GPU, see there.
        return NvdecSource(job.source, Means(job.engine).gpu())
    return PyAVSource(job.source)


def _open_upscaler(
    job: Job, scale: Fraction, tell: Tell | None, size: tuple[int, int] | None = None
) -> Upscaler | PacedUpscaler:
    told: Any = {"tell": tell, "size": size, "threads": job.threads}
    wish = {"model": job.model, "engine": job.engine, "provider": job.provider, "precision": job.precision}
    if job.pace is None and job.live is None:
        return Upscaler(scale, **wish, **told)
    # With live input, every frame gets a time of its own.
    pace = job.pace or Pace(deadline=USUAL_DEADLINE)
    return PacedUpscaler(scale, pace, **wish, **told)


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


def _plan_encoder(
    job: Job, upscaler: Upscaler | PacedUpscaler, source: Source, large: Video
) -> tuple[int | None, list[str]]:
    """The GPU on which frames stay for the encoder, where they do; and, where they could be thought to, why not."""
    if not (isinstance(source, NvdecSource) and isinstance(upscaler, Upscaler)):
        return None, []
    upscaler.check_gpu()
    if not job.encoding.codec.endswith(NVENC):
        return None, []
    way = f"frames went through memory on their way to {job.encoding.codec}, "
    if job.reference is not None:
        return None, [way + "where they were compared"]
    made = upscaler.makes(source.video.width, source.video.height)
    if made != (large.width, large.height):
        return None, [way + "where they were reduced from the network's {}x{}".format(*made)]
    return source.device, []


def _open_sink(job: Job, output: Path | str, large: Video, source: Source, gpu: int | None) -> PyAVSink:
    target = address(output)
    if target is not None:
        return StreamSink(target, large, source, job.encoding, gpu)
    return PyAVSink(Path(output), large, source, job.encoding, job.overwrite, gpu)


def _check_output(job: Job, output: Path | str) -> None:
    if address(output) is None:
        check_output(Path(output), Path(job.source), job.overwrite)


def default_output(job: Job, source: Source) -> Path:
    """Where the result goes if nothing is said: the source's stem with the scale behind it, in its folder."""
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
    stay: bool = False
    """Whether frames, which are on the GPU, stay there for the encoder."""
    _submitting: deque[float] = field(default_factory=deque)
    """Seconds that it took to submit each frame that is under way."""

    def run(self, watch: Callable[[Progress], None] | None) -> None:
        depth = DEPTH if self.delivery is None or self.delivery.live is None else LIVE_DEPTH
        with closing(buffered(self._upscaled(buffered(self._decoded(), depth)), depth)) as items:
            try:
                for item in items:
                    if isinstance(item, Copied):
                        self.sink.write(item)
                    else:
                        self._encode(item)
                        if watch:
                            watch(self.progress)
            finally:
                self.stop.set()

    def _decoded(self) -> Generator[Item, None, None]:
        items = self.source.items()
        while True:
            began = time.perf_counter()
            item = next(items, None)
            if item is None:
                return
            if not isinstance(item, Copied):
                self.progress.seconds["decode"].append(time.perf_counter() - began)
            if self.delivery is not None and isinstance(item, Frame):
                self.delivery.arrived(item)
            yield item

    def _upscaled(self, items: Generator[Item, None, None]) -> Generator[Item, None, None]:
        with closing(items):
            if self.delivery is None:
                yield from self._overlapped(items)
            else:
                yield from self._in_time(items, self.delivery)

    def _in_time(self, items: Generator[Item, None, None], delivery: Delivery) -> Generator[Item, None, None]:
        for item in items:
            if not isinstance(item, Frame):
                yield item
                continue
            with _timed(self.progress, "upscale"):
                large = delivery.make(item)
            if large is not None:
                yield large

    def _overlapped(self, items: Generator[Item, None, None]) -> Generator[Item, None, None]:
        """All in the order in which they came, as many frames under way as the engine has lanes."""
        assert isinstance(self.upscaler, Upscaler)
        waiting: deque[UnderWay | Copied] = deque()
        for item in items:
            if isinstance(item, Copied):
                waiting.append(item)
            else:
                began = time.perf_counter()
                waiting.append(self._submitted(self.upscaler, item))
                self._submitting.append(time.perf_counter() - began)
            while waiting and (isinstance(waiting[0], Copied) or len(self._submitting) >= self.upscaler.lanes):
                yield self._collected(self.upscaler, waiting.popleft())
        while waiting:
            yield self._collected(self.upscaler, waiting.popleft())

    def _submitted(self, upscaler: Upscaler, item: Frame | GpuFrame) -> UnderWay:
        size = self.sink.video.width, self.sink.video.height
        return upscaler.submit(item, *size) if isinstance(item, Frame) else upscaler.submit_gpu(item, *size, self.stay)

    def _collected(self, upscaler: Upscaler, item: UnderWay | Copied) -> Item:
        if isinstance(item, Copied):
            return item
        began = time.perf_counter()
        large = upscaler.collect_gpu(item) if self.stay else upscaler.collect(item)
        self.progress.seconds["upscale"].append(self._submitting.popleft() + time.perf_counter() - began)
        return large

    def _encode(self, frame: Frame | GpuFrame) -> None:
        if self.reference is not None and isinstance(frame, Frame):
            self.reference.compare(frame)
        with _timed(self.progress, "encode"):
            self.sink.write(frame)
        if self.delivery is not None and isinstance(frame, Frame):
            self.delivery.written(frame)
        self.progress.done += 1


@contextmanager
def _timed(progress: Progress, stage: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    progress.seconds[stage].append(time.perf_counter() - began)
