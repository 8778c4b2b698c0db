"""The `rtsr` command: one module a command, no logic beyond reading options and showing results."""

import io
import os
import sys

from rtsr.cli import compare as compare
from rtsr.cli import doctor as doctor
from rtsr.cli import engines as engines
from rtsr.cli import evaluate as evaluate
from rtsr.cli import export as export
from rtsr.cli import filters as filters
from rtsr.cli import import_ as import_
from rtsr.cli import models as models
from rtsr.cli import presets as presets
from rtsr.cli import train as train
from rtsr.cli import upscale as upscale
from rtsr.cli.app import app, explain


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 wrong usage; `RTSR_DEBUG=1` shows tracebacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # A terminal that cannot show a name still gets the line.
    try:
        status = app(args=arguments, prog_name="rtsr", standalone_mode=False)
        sys.exit(status if isinstance(status, int) else 0)
    except Exception as error:
        if os.environ.get("RTSR_DEBUG") == "1":
            raise
        message, status = explain(error)
        if message:  # None where the help was shown instead.
            print(message, file=sys.stderr)
        sys.exit(status)
