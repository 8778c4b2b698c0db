"""`rtsr compare`: crops side by side, to look at."""

import json
import math
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import typer

from rtsr.cli.app import app
from rtsr.errors import UsageError
from rtsr.part import Part, as_part
from rtsr.quality.comparison import (
    Crop,
    Input,
    Panel,
    check_sheet,
    compare,
    most_detailed,
    read_input,
    sheet,
    write_sheet,
)
from rtsr.quality.datasets import Picture, reduced_picture
from rtsr.scale import parse_scale
from rtsr.upscaler import DEFAULT_MODEL, Upscaler

RESAMPLED = {"bicubic": "bicubic", "FSR 1.0": "fsr"}
"""Titles and engines that every sheet shows."""
NETWORKS = (f"{DEFAULT_MODEL}-photo", f"{DEFAULT_MODEL}-capture")
EXAMPLES = """Show one place of a picture or video as several engines upscale it, side by side in a PNG or WebP file.

The sheet has the input with its pixels repeated, bicubic, FSR 1.0, a network for photographs and one for captures,
and the truth where there is one, with each one's PSNR-Y on the crop in dB.

Examples:

    rtsr compare capture.mp4 --scale 1.5 --frame 30

    rtsr compare long.mp4 --scale 1.5 --start 12:30

    rtsr compare capture_540p.mp4 --scale 2 --truth native_1080p.mp4 --crop 160x120+300+40 -o hud.webp

    rtsr compare a.png b.png --scale 2 --reduce --model quicksrnet-medium-photo
"""


@app.command("compare", help=EXAMPLES)
def compare_command(
    sources: Annotated[list[Path], typer.Argument(help="Pictures or videos.", show_default=False)],
    scale: Annotated[str, typer.Option(help="Output side over input side, e.g. 1.5 or 2.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The sheet, .png or .webp. Default: NAME_compare.png beside.")
    ] = None,
    crop: Annotated[
        str | None, typer.Option(help="WxH+X+Y in input pixels, as stored. Default: the most detailed 160x120.")
    ] = None,
    frame: Annotated[int | None, typer.Option(min=0, help="Which frame of a video, from 0. Default: 0.")] = None,
    start: Annotated[
        str | None, typer.Option(help="Count frames from this time of the video on, e.g. 90s, 12:30 or 1:02:03.5.")
    ] = None,
    truth: Annotated[Path | None, typer.Option(help="A picture or video of the output's size.")] = None,
    reduce: Annotated[
        bool, typer.Option("--reduce", help="The pictures are the truth; they are reduced first (bicubic).")
    ] = False,
    model: Annotated[
        list[str] | None, typer.Option(help=f"Networks to show. Repeatable. Default: {', '.join(NETWORKS)}.")
    ] = None,
    zoom: Annotated[int, typer.Option(min=1, max=8, help="Show each output pixel this many times this many.")] = 2,
    threads: Annotated[int | None, typer.Option(help="Cores to use. Default: all.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a sheet that exists.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    factor, place = parse_scale(scale), None if crop is None else Crop.parse(crop)
    part = as_part(0 if start is None else start)
    if len(sources) > 1 and (output or truth):
        raise UsageError("-o and --truth go with one input; leave them out, or compare one after another")
    if truth and reduce:
        raise UsageError("with --reduce the input is the truth; leave out either it or --truth")
    sheets = [output or source.with_name(f"{source.stem}_compare.png") for source in sources]
    for path in sheets:
        check_sheet(path, overwrite)
    found = []
    with ExitStack() as stack:
        engines = {title: Upscaler(factor, engine=engine) for title, engine in RESAMPLED.items()}
        engines |= {name: Upscaler(factor, model=name, threads=threads) for name in model or NETWORKS}
        opened = [(title, stack.enter_context(upscaler)) for title, upscaler in engines.items()]
        for source, path in zip(sources, sheets, strict=True):
            low, high = _read(source, frame, part, truth, factor, reduce)
            where = place or most_detailed(low.picture)
            panels = compare(low, opened, where, factor, high)
            write_sheet(path, sheet(panels, zoom))
            found.append(_values(source, path, where, panels))
            if not as_json:
                print(_line(found[-1]))
    if as_json:
        print(json.dumps(found, indent=2))


def _read(
    source: Path, frame: int | None, part: Part, truth: Path | None, scale: Fraction, reduce: bool
) -> tuple[Input, Picture | None]:
    """The input and, as a picture, its truth."""
    given = read_input(source, frame, part)
    if not reduce:
        return given, None if truth is None else read_input(truth, frame, part).picture
    low, high = reduced_picture(given.picture, source.name, scale)
    return Input(low, turns=given.turns), high


def _values(source: Path, path: Path, crop: Crop, panels: list[Panel]) -> dict[str, object]:
    scores = {panel.title: panel.psnr for panel in panels if panel.psnr is not None}
    finite = {title: round(score, 3) if math.isfinite(score) else None for title, score in scores.items()}
    return {"input": str(source), "sheet": str(path), "crop": str(crop), "psnr_y": finite}


def _line(values: dict) -> str:
    scores = ", ".join(
        f"{title} {'equal' if score is None else f'{score:.2f}'}" for title, score in values["psnr_y"].items()
    )
    return f"{values['sheet']}: {values['crop']} of {values['input']}" + (f"; PSNR-Y in dB: {scores}" if scores else "")
