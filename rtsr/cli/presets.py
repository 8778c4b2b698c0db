"""`rtsr presets`: what presets there are and what one sets."""

import dataclasses
import json
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from rtsr.cli.app import app
from rtsr.errors import UsageError
from rtsr.preset import Preset, read_preset
from rtsr.resources import preset_names, preset_path

presets_app = typer.Typer(rich_markup_mode="markdown")
app.add_typer(presets_app, name="presets")


@presets_app.callback(invoke_without_command=True)
def presets(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List the presets, or show one.

    Example: `rtsr presets show archive`
    """
    if context.invoked_subcommand is not None:
        if as_json:
            raise UsageError("--json belongs to the table of `rtsr presets`; leave it out of `rtsr presets show`")
        return
    found = {name: read_preset(preset_path(name)) for name in preset_names()}
    if as_json:
        print(json.dumps([_as_dict(name, preset) for name, preset in found.items()], indent=2))
    else:
        Console().print(_table(found))


@presets_app.command()
def show(
    name: Annotated[
        str | None, typer.Argument(help="A preset's name, or a path to a .toml file.", show_default=False)
    ] = None,
) -> None:
    """Print a preset's file, with its comments.

    Example: `rtsr presets show archive`
    """
    if name is None:
        raise UsageError(f"name a preset: {', '.join(preset_names())}, or a path to a .toml file")
    path = preset_path(name)
    read_preset(path)  # An error in it is worth more than its text.
    print(path.read_text("utf-8"), end="")


def _as_dict(name: str, preset: Preset) -> dict[str, object]:
    scale = None if preset.scale is None else str(preset.scale)
    return {"name": name, **dataclasses.asdict(preset), "scale": scale}


def _pace(preset: Preset) -> str:
    """What may be spent on a frame, in a word or two."""
    if preset.fps is not None:
        return f"{preset.fps:g} fps"
    if preset.deadline is not None:
        return f"{1000 * preset.deadline:.3g} ms"
    return "live" if preset.live else "-" if preset.quality is None else f"{preset.quality:.0%}"


def _table(found: dict[str, Preset]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in ("name", "size", "upscaled by", "pace"):
        table.add_column(title, no_wrap=True)
    table.add_column("for")
    for name, preset in found.items():
        size = f"x{float(preset.scale):g}" if preset.scale else f"{preset.height} lines" if preset.height else "-"
        table.add_row(name, size, preset.model or preset.engine or "-", _pace(preset), preset.summary)
    return table
