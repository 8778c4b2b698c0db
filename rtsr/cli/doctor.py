"""`rtsr doctor`: what is usable on this machine."""

import dataclasses
import json
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from rtsr.cli.app import app
from rtsr.doctor import Finding, examine


@app.command("doctor")
def doctor_command(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Say what rtsr can use here, and for what it cannot, why, and the line that installs it.

    Example: `rtsr doctor`
    """
    found = list(examine())
    if as_json:
        print(json.dumps([{**dataclasses.asdict(entry), "install": entry.install} for entry in found], indent=2))
        return
    console = Console(highlight=False)
    wide = max(len(entry.name) for entry in found)
    part = ""
    for entry in found:
        if entry.part != part:
            part = entry.part
            if entry.name != part:
                console.print(Text(part, style="bold"))
        console.print(_line(entry, wide), soft_wrap=True)


def _line(entry: Finding, wide: int) -> Text:
    state = Text("works   ", style="green") if entry.works else Text("not here", style="yellow")
    return Text("  ").append_text(state).append(f"  {entry.name:{wide}}  {entry.detail}")
