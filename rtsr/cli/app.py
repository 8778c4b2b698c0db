"""The command line's root: what all commands share."""

from importlib.metadata import version
from typing import Annotated

import typer

app = typer.Typer(
    name="rtsr",
    help="Upscale video and game captures with small neural networks.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"rtsr {version('rtsr')}")
        raise typer.Exit


@app.callback()
def root(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Upscale video and game captures with small neural networks."""
