"""The command line's root: what all commands share."""

from importlib.metadata import version
from typing import Annotated

import typer

from rtsr.errors import RtsrError

app = typer.Typer(
    name="rtsr",
    help="Upscale video and game captures with small neural networks.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def explain(error: Exception) -> tuple[str, int]:
    """What to print of `error`, and the exit status."""
    if isinstance(error, RtsrError):
        return f"error: {error}", error.exit_status
    wrong_usage = getattr(error, "format_message", None)  # Typer's own errors; their classes have moved about.
    if wrong_usage is not None:
        message = wrong_usage().rstrip(".")
        context = getattr(error, "ctx", None)
        command = "rtsr" if context is None else context.command_path
        return f"error: {message}; see: {command} --help" if message else "", 2
    return f"error: unexpected {error!r}; RTSR_DEBUG=1 shows where; please report it", 1


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
