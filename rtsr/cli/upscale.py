"""`rtsr upscale`: a video file in, a larger one out."""

import dataclasses
import json
import re
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from rtsr.cli.app import app
from rtsr.engine import RESAMPLERS
from rtsr.errors import SinkError, UsageError
from rtsr.pipeline import Job, Progress, Report, run
from rtsr.preset import Preset, read_preset
from rtsr.resources import preset_path
from rtsr.scale import parse_scale
from rtsr.sink.names import check_folder, spare_name
from rtsr.sink.pyav import DEFAULT_CRF, Encoding

EXAMPLES = """Upscale a video; its sound, timing, rotation and colour tags stay as they are.

Examples:

    rtsr upscale in.mp4 --scale 1.5

    rtsr upscale in.mp4 -o out.mkv --height 1080 --crf 16 --encoder-option preset=slow

    rtsr upscale in.mp4 --preset mobile-720p-to-1080p --report report.json
"""


@app.command(help=EXAMPLES)
def upscale(
    source: Annotated[Path, typer.Argument(metavar="IN", help="The video to upscale.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Where to write. Default: IN's name with _1.5x behind it.")
    ] = None,
    scale: Annotated[str | None, typer.Option(help="How far: 1.5, 2, or anything above 1 up to 4.")] = None,
    height: Annotated[int | None, typer.Option(help="Instead of --scale: lines of the result, e.g. 1080.")] = None,
    size: Annotated[
        str | None,
        typer.Option(help="Instead of --scale: WIDTHxHEIGHT of the result; it still displays in the same proportions."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Network; `rtsr models` lists them; or a card's path, mine/NAME.toml.")
    ] = None,
    engine: Annotated[str | None, typer.Option(help="auto, onnx, bicubic, lanczos or fsr. Default: auto.")] = None,
    codec: Annotated[str | None, typer.Option(help="Encoder, e.g. libx265. Default: libx264.")] = None,
    crf: Annotated[
        int | None, typer.Option(help=f"Quality: lower is better and larger. Default for x264: {DEFAULT_CRF}.")
    ] = None,
    encoder_option: Annotated[
        list[str] | None, typer.Option(metavar="K=V", help="An option of the encoder, e.g. preset=slow. Repeatable.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Settings for a use; `rtsr presets` lists them. Other options go first.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Cores for the network. Default: all.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")] = False,
    report: Annotated[
        Path | None, typer.Option(help="Write what was done, with times, to this .json file; it is replaced.")
    ] = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print errors only.")] = False,
) -> None:
    chosen = read_preset(preset_path(preset)) if preset else Preset(summary="no preset")
    if report is not None:
        _check_report(report, source, output)
    sized = scale is not None or height is not None or size is not None
    if not sized and chosen.scale is None and chosen.height is None:
        raise UsageError("say how far to upscale: --scale 1.5, --height 1080 or --size 1920x1080")
    # Quality and options of a preset are meant for its own encoder.
    same_codec = codec is None or codec == (chosen.codec or "libx264")
    job = Job(
        source=source,
        output=output,
        scale=parse_scale(scale) if scale else None if sized else chosen.scale,
        height=height if sized else chosen.height,
        size=_parse_size(size) if size else None,
        model=model or (None if engine in RESAMPLERS else chosen.model),
        engine=engine or ("auto" if model else chosen.engine) or "auto",
        threads=threads,
        encoding=Encoding(
            codec=codec or chosen.codec or "libx264",
            crf=chosen.crf if crf is None and same_codec else crf,
            options={
                **(chosen.encoder_options or {} if same_codec else {}),
                **_parse_options(encoder_option or []),
            },
        ),
        overwrite=overwrite,
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # Stopped in whatever way, keep what is done.
    try:
        done = _run_with_bar(job, quiet)
    except KeyboardInterrupt as stop:
        print(stop or "stopped", file=sys.stderr)
        raise typer.Exit(130) from stop
    if not quiet:
        _summarise(done)
    if report is not None:
        _write_report(done, report)


def _run_with_bar(job: Job, quiet: bool) -> Report:
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
        task = bar.add_task(job.source.name, total=None, rate="", stages="")

        def watch(progress: Progress) -> None:
            spent = {stage: sum(times[-30:]) / len(times[-30:]) for stage, times in progress.seconds.items() if times}
            bar.update(
                task,
                completed=progress.done,
                total=progress.total or None,
                rate=f"{bar.tasks[task].speed or 0:.1f} fps",
                stages=" ".join(f"{stage} {1000 * seconds:.0f}" for stage, seconds in spent.items()) + " ms",
            )

        return run(job, watch)


def _summarise(report: Report) -> None:
    for note in report.notes:
        print(f"note: {note}", file=sys.stderr)
    times = ", ".join(f"{stage} {figures['p50']:.0f}" for stage, figures in report.stages.items())
    (w, h), (big_w, big_h) = report.input_size, report.output_size
    print(
        f"{report.output}: {report.frames} frames, {w}x{h} to {big_w}x{big_h} with {report.engine}, "
        f"{report.seconds:.1f} s, {report.frames / report.seconds:.1f} fps; median ms a frame: {times}"
    )


def _check_report(report: Path, source: Path, output: Path | None) -> None:
    if report.suffix.lower() != ".json" or report.is_dir():
        raise UsageError(f"the report {report} must be a file named .json")
    if any(same is not None and report.absolute() == same.absolute() for same in (source, output)):
        raise UsageError(f"the report {report} would replace the video; name another file")
    check_folder(report)


def _write_report(report: Report, path: Path) -> None:
    beside = spare_name(path)
    try:
        beside.write_text(json.dumps(dataclasses.asdict(report), indent=2) + "\n", "utf-8")
        beside.replace(path)
    except OSError as cause:
        beside.unlink(missing_ok=True)
        raise SinkError(f"cannot write the report {path}: {cause.strerror}") from cause


def _parse_size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,5})[x×](\d{1,5})", text.lower())
    if found is None:
        raise UsageError(f"{text!r} is not a size; write it as 1920x1080")
    return int(found[1]), int(found[2])


def _parse_options(pairs: list[str]) -> dict[str, str]:
    for pair in pairs:
        if "=" not in pair[1:]:
            raise UsageError(f"{pair!r} is not an encoder option; write it as preset=slow")
    return dict(pair.split("=", 1) for pair in pairs)
