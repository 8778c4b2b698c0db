"""`rtsr upscale`: a video or a picture in, a larger one out."""

import dataclasses
import json
import os
import signal
import sys
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from rtsr.cli import options as o
from rtsr.cli.app import app
from rtsr.cli.summary import summarise, summarise_still
from rtsr.errors import SinkError, UsageError
from rtsr.job import Job
from rtsr.pipeline import run
from rtsr.preset import Preset, read_preset
from rtsr.report import Progress, Report
from rtsr.resources import preset_path
from rtsr.sink.names import check_folder, spare_name
from rtsr.still import is_still
from rtsr.stopping import SIGNALS, Stopped, Stopping

EXAMPLES = """Upscale a video; its sound, timing, rotation and colour tags stay as they are. Or upscale a picture.

Examples:

    rtsr upscale in.mp4 --scale 1.5

    rtsr upscale screenshot.png --scale 1.5

    rtsr upscale in.mp4 -o out.mkv --height 1080 --crf 16 --encoder-option preset=slow

    rtsr upscale in.mp4 --preset mobile-720p-to-1080p --report report.json

    rtsr upscale in.mp4 --scale 2 --deadline 33ms --late degrade

    rtsr upscale in.mp4 --scale 1.5 --decode gpu --codec hevc_nvenc --encoder-option cq=21

    rtsr upscale udp://127.0.0.1:5000 -o live.mkv --scale 1.5 --live
"""


@app.command(help=EXAMPLES)
def upscale(
    source: o.Source,
    output: o.Output = None,
    scale: o.Scale = None,
    height: o.Height = None,
    size: o.Size = None,
    model: o.Model = None,
    engine: o.Engine = None,
    provider: o.Provider = None,
    precision: o.Precision = None,
    decode: o.Decode = None,
    fps: o.Fps = None,
    deadline: o.Deadline = None,
    quality: o.Quality = None,
    late: o.LateFrames = None,
    live: o.LiveInput = None,
    realtime: o.Realtime = False,
    latency: o.Latency = None,
    stall: o.Stall = None,
    reference: o.ReferenceVideo = None,
    codec: o.Codec = None,
    crf: o.Crf = None,
    encoder_option: o.EncoderOption = None,
    preset: o.PresetName = None,
    threads: o.Threads = None,
    overwrite: o.Overwrite = False,
    report: o.ReportFile = None,
    quiet: o.Quiet = False,
) -> None:
    chosen = read_preset(preset_path(preset)) if preset else Preset(summary="no preset")
    if report is not None:
        _check_report(report, source, output)
    wish = o.Wish(
        source=source,
        output=output,
        scale=scale,
        height=height,
        size=size,
        model=model,
        engine=engine,
        provider=provider,
        precision=precision,
        decode=decode,
        fps=fps,
        deadline=deadline,
        quality=quality,
        late=late,
        live=live,
        realtime=realtime,
        latency=latency,
        stall=stall,
        reference=reference,
        codec=codec,
        crf=crf,
        encoder_option=encoder_option,
        threads=threads,
        overwrite=overwrite,
    )
    picture, notes = is_still(source), []
    if picture:
        o.check_for_picture(wish)
        chosen, notes = o.for_picture(chosen)
    job = o.as_job(wish, chosen)
    if not quiet:
        for line in notes + o.left_out(wish, chosen):
            print(f"note: {line}", file=sys.stderr)
    for each in SIGNALS:  # Stopped in whatever way, keep what is done; what is ignored, as under nohup, stays so.
        if signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, signal.default_int_handler)
    with Stopping() as stopping:
        try:
            done = _run_with_bar(job, quiet, stopping)
        except KeyboardInterrupt as stop:
            print(str(stop) or "stopped", file=sys.stderr)
            if report is not None and isinstance(stop, Stopped):
                _write_report(stop.report, report)
            stopping.forever()
            raise typer.Exit(130) from stop
        if not quiet:
            for note in done.notes:
                print(f"note: {note}", file=sys.stderr)
            # What is piped on is not to be mixed with words.
            said = summarise_still(done) if picture else summarise(done)
            print(said, file=sys.stderr if output == "-" else sys.stdout)
        if report is not None:
            _write_report(done, report)
        stopping.forever()


def _run_with_bar(job: Job, quiet: bool, stopping: Stopping) -> Report:
    """Run `job` with a progress bar on standard error: frames per second, time left, where the time goes."""
    console = Console(stderr=True)
    columns = [
        BarColumn(bar_width=None if console.width < 80 else console.width // 8),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    ]
    if console.width >= 80:
        columns.append(TextColumn("{task.fields[stages]}", style="dim"))
    if console.width >= 120:
        columns.insert(0, TextColumn("{task.description}"))
    with Bar(*columns, console=console, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task(Path(job.source).name, total=None, rate="", stages="")

        def watch(progress: Progress) -> None:
            spent = {stage: sum(times[-30:]) / len(times[-30:]) for stage, times in progress.seconds.items() if times}
            bar.update(
                task,
                completed=progress.done,
                total=progress.total or None,
                rate=f"{bar.tasks[task].speed or 0:.1f} fps",
                stages=" ".join(f"{stage} {1000 * seconds:.0f}" for stage, seconds in spent.items()) + " ms",
            )

        tell = None if quiet else lambda line: bar.console.print(line, style="dim", highlight=False)
        try:
            return run(job, watch, tell, stopping)
        finally:
            _leave_closed_terminal()


def _leave_closed_terminal() -> None:
    """Print to nowhere where the terminal was closed meanwhile: to print there is an error."""
    for number in (1, 2):  # Standard output and error, whatever object writes there.
        try:
            os.write(number, b"")
        except OSError:
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), number)


def _check_report(report: Path, source: str, output: str | None) -> None:
    if report.suffix.lower() != ".json" or report.is_dir():
        raise UsageError(f"the report {report} must be a file named .json")
    if any(same is not None and report.absolute() == Path(same).absolute() for same in (source, output)):
        raise UsageError(f"the report {report} would replace the input or the output; name another file")
    check_folder(report)


def _write_report(report: Report, path: Path) -> None:
    beside = spare_name(path)
    try:
        beside.write_text(json.dumps(dataclasses.asdict(report), indent=2) + "\n", "utf-8")
        beside.replace(path)
    except OSError as cause:
        beside.unlink(missing_ok=True)
        raise SinkError(f"cannot write the report {path}: {cause.strerror}") from cause
