"""The command line's root: what all commands share."""

import typer

app = typer.Typer(
    name="rtsr",
    help="Upscale video and game captures with small neural networks.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
