"""The `rtsr` command: one module a command, no logic beyond reading options and showing results."""

import io
import os
import sys

from rtsr.cli import evaluate as evaluate
from rtsr.cli import export as export
from rtsr.cli import models as models
from rtsr.cli import presets as presets
from rtsr.cli import train as train
from rtsr.cli import upscale as upscale
from rtsr.cli.app import app
from rtsr.errors import RtsrError


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 wrong usage; `RTSR_DEBUG=1` shows tracebacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # A terminal that cannot show a name still gets the line.
    try:
        app(args=arguments)
    except RtsrError as error:
        if os.environ.get("RTSR_DEBUG") == "1":
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
    except Exception as error:  # a defect; a person at the keyboard still gets one line
        if os.environ.get("RTSR_DEBUG") == "1":
            raise
        print(f"error: unexpected {error!r}; RTSR_DEBUG=1 shows where; please report it", file=sys.stderr)
        sys.exit(1)
