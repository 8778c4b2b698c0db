"""A whole file: open what a job needs, let all frames through, then check what was written."""

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from fractions import Fraction
from functools import partial
from pathlib import Path
from signal import SIGINT
from threading import Event
from typing import Any

from rtsr.engine.choice import Means, Tell, ran
from rtsr.errors import RtsrError, SinkError, UsageError
from rtsr.flow import Flow
from rtsr.frame import Video
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
from rtsr.source.base import Source
from rtsr.source.live import LiveSource, PlayedSource, address, check_protocol, is_live
from rtsr.source.nvdec import NvdecSource
from rtsr.source.pyav import PyAVSource
from rtsr.source.vapoursynth import SCRIPT, VapourSynthSource
from rtsr.still import is_still, still_output, upscale_still
from rtsr.stopping import Stopped, Stopping
from rtsr.upscaler import Upscaler

NVENC = "_nvenc"
"""How the names of encoders end that take frames on an NVIDIA GPU."""
USUAL_DEADLINE = 1 / 30
"""Seconds for a frame of a live input that does not say its rate."""


def run(
    job: Job,
    watch: Callable[[Progress], None] | None = None,
    tell: Tell | None = None,
    stop: Event | None = None,
    stopping: Stopping | None = None,
) -> Report:
    """Do `job` and report; `watch` is called after every frame, in the calling thread; `tell`, as for `Upscaler`.

    `stop`, which another thread may set, ends the run behind the frame that is being written: the report says that it
    was `stopped`, and its output is the part that was kept, empty where there is none. `stopping` is what the caller
    entered already, who does not want to be interrupted afterwards, either.

    Where the source is a still picture, so is the output: see `rtsr.still.upscale_still`.
    Nothing is left under the output's name unless all of it was written and checked. After an error, after Ctrl-C, or
    where the check fails, what was written is kept beside it as `NAME.partial.TYPE`; the error, or `Stopped`, which is
    a KeyboardInterrupt, says so, and has a `report`. So it is where `watch` raises something: a note is added to that
    (PEP 678). For a live input Ctrl-C is the usual end: the report says that it was `stopped`.
    Raises SourceError, SinkError, EngineError, CardError, UsageError and MissingDependency.
    """
    if is_still(job.source):
        return upscale_still(job, tell)
    began, cpu_began = time.perf_counter(), time.process_time()
    _check_source(job)
    if job.output is not None:
        _check_output(job, job.output)
    with ExitStack() as opened:
        stopping = stopping or opened.enter_context(Stopping(stop))  # Until all is closed.
        # Timing networks takes a moment, in which a live input would pile up.
        early = job.scale if job.live is not None else None
        upscaler = opened.enter_context(_open_upscaler(job, early, tell)) if early else None
        source = opened.enter_context(_open_source(job, stopping.stop))
        video = source.video
        scale, width, height = plan(job, video)
        output = job.output or default_output(job, source)
        _check_output(job, output)
        large, progress = video.resized(width, height), Progress(video.frames)
        reference = opened.enter_context(Reference(job.reference, large, job.part, source)) if job.reference else None
        upscaler = upscaler or opened.enter_context(_open_upscaler(job, scale, tell, (video.width, video.height)))
        delivery = _plan_delivery(job, upscaler, source, large, progress)
        gpu, notes = _plan_encoder(job, upscaler, source, large)
        opening = partial(_open_sink, job, output, large, source, gpu)
        # Where frames have a deadline, they come before their encoder.
        sink = opened.enter_context(giving_way(opening) if delivery else opening())
        flow = Flow(source, upscaler, delivery, reference, sink, progress, stopping, gpu is not None)
        stopping.progress, stopping.tell, stopping.draining = progress, tell, isinstance(source, LiveSource)
        report = partial(_report, job, flow, (began, cpu_began), notes)
        try:
            _finish(flow, watch, report)
        except KeyboardInterrupt as interrupt:
            stopping.hold()
            output, said = _keep_part(sink, progress.done)
            found = report(output, stopped=True)
            if stopping.asked.is_set():
                return found
            raise Stopped(said, found) from interrupt
        if isinstance(source, LiveSource) and stopping.by is not None:
            by = "Ctrl-C" if stopping.by is SIGINT else stopping.by.name
            notes.append(f"{source.name} was ended: stopped by {by}")
        return report(sink.finish(), stopped=stopping.by is not None or stopping.asked.is_set())


def _finish(flow: Flow, watch: Callable[[Progress], None] | None, report: Callable[..., Report]) -> None:
    """Let all frames through and check what was written; where an error comes in between, keep what was made before."""
    try:
        flow.run(watch)
        with flow.stopping.whole():
            flow.sink.close()
    except Exception as broken:
        flow.stopping.hold()
        if flow.progress.done:
            output, said = _keep_part(flow.sink, flow.progress.done)
            _say(broken, said, report(output, stopped=False))
        raise
    _check(flow.sink)


def _say(broken: Exception, said: str, report: Report) -> None:
    """Add to the error `broken` what became of a run's output."""
    if isinstance(broken, RtsrError):
        broken.args, broken.report = (f"{broken}; {said}",), report
    else:
        broken.add_note(said)


def _report(
    job: Job, flow: Flow, began: tuple[float, float], notes: list[str], output: Path | str, stopped: bool
) -> Report:
    """What was done since `began`, wall and processor time."""
    source, upscaler, sink, progress = flow.source, flow.upscaler, flow.sink, flow.progress
    return Report(
        source=str(job.source),
        output=str(output),
        engine=upscaler.describe(),
        input_size=(source.video.width, source.video.height),
        output_size=(sink.video.width, sink.video.height),
        frames=progress.done,
        seconds=time.perf_counter() - began[0],
        cpu_seconds=time.process_time() - began[1],
        stages={stage: in_milliseconds(spent) for stage, spent in progress.seconds.items()},
        notes=(
            *source.notes,
            *(flow.delivery.notes() if flow.delivery else ()),
            *upscaler.notes,
            *notes,
            *job.encoding.notes,
            *sink.notes,
        ),
        spending=flow.delivery.summary() if flow.delivery else None,
        reference=flow.reference.summary() if flow.reference else None,
        asked=job.asked(),
        reused=upscaler.reused if isinstance(upscaler, Upscaler) else progress.spending.share_reused,
        **ran(upscaler.engine),
        encoder=job.encoding.described(),
        input_codec=None if source.stream is None else source.stream.codec_context.name,
        input_rate=None if source.video.rate is None else float(source.video.rate),
        stopped=stopped,
    )


def _check_source(job: Job) -> None:
    """Raise UsageError where the input is not of the kind that the job is meant for."""
    if _is_script(job) and job.decode == "gpu":
        raise UsageError(f"{job.source} is a script, which gives frames in memory; leave out --decode gpu")
    if _is_script(job) and job.live is not None:
        raise UsageError(f"{job.source} is a script, which has no clock; leave out --live and --realtime")
    check_protocol(job.source)
    if job.live is None and is_live(job.source):
        raise UsageError(f"{job.source} is live; add --live to keep up with it")
    if job.live is not None and job.live.realtime and is_live(job.source):
        raise UsageError(f"{job.source} has a pace of its own; --realtime is for files: use --live alone")
    if job.live is not None and not job.live.realtime and os.path.isfile(job.source):
        raise UsageError(
            f"{job.source} is a file; add --realtime to play it at its own pace, or leave out --live and live presets"
        )
    if job.output is None and is_live(job.source):
        raise UsageError(f"name the output of the live input {job.source} with -o, e.g. -o out.mkv")


def _is_script(job: Job) -> bool:
    return address(job.source) is None and Path(job.source).suffix.lower() == SCRIPT


def _open_source(job: Job, stop: Event) -> Source:
    if _is_script(job):
        return VapourSynthSource(Path(job.source), job.part, stop)
    if job.live is not None and job.live.realtime:
        return PlayedSource(job.source, stop, job.part)
    if job.live is not None and is_live(job.source):
        return LiveSource(job.source, job.live.stall, stop, job.part)
    if job.decode == "gpu":  # Before anything else that uses the GPU, see there.
        return NvdecSource(job.source, Means(job.engine).gpu(), job.part, stop)
    return PyAVSource(job.source, job.part, stop)


def _open_upscaler(
    job: Job, scale: Fraction, tell: Tell | None, size: tuple[int, int] | None = None
) -> Upscaler | PacedUpscaler:
    told: Any = {"tell": tell, "size": size, "threads": job.threads}
    wish = {"model": job.model, "engine": job.engine, "provider": job.provider, "precision": job.precision}
    if job.pace is None and job.live is None:
        return Upscaler(scale, **wish, **told, reuse=True)
    # With live input, every frame gets a time of its own.
    pace = job.pace or Pace(deadline=USUAL_DEADLINE)
    # What is live has better uses of time: to be early.
    return PacedUpscaler(scale, pace, **wish, **told, turned=job.live is None)


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


def expected_output(job: Job) -> Path:
    """The file that `job` will write; raises SourceError and UsageError where its source cannot be read."""
    if job.output is not None:
        return Path(job.output)
    if is_still(job.source):
        return still_output(job)
    _check_source(job)
    with VapourSynthSource(Path(job.source)) if _is_script(job) else PyAVSource(job.source) as source:
        return default_output(job, source)


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


def _keep_part(sink: PyAVSink, frames: int) -> tuple[Path | str, str]:
    """Complete what was written before a run ended early; returns where it is, empty for nowhere, and that in words."""
    if not frames:
        return "", "stopped before the first frame; nothing was kept"
    try:
        kept = sink.keep()
    except SinkError as cause:
        return "", f"stopped after {frames} frames, which could not be kept ({cause})"
    they = "they" if sink.frames == frames else f"{sink.frames} of them"
    return kept, f"stopped after {frames} frames; {they} {sink.how_kept} {kept}"
