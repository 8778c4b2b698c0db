"""The `rtsr` command: one module a command, no logic beyond reading options and showing results."""

import io
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typer import Typer


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 wrong usage; `RTSR_DEBUG=1` shows tracebacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # A terminal that cannot show a name still gets the line.
    try:
        status = _commands()(args=arguments, prog_name="rtsr", standalone_mode=False)
        sys.exit(status if isinstance(status, int) else 0)
    except Exception as error:
        if os.environ.get("RTSR_DEBUG") == "1":
            raise
        from rtsr.cli.app import explain

        message, status = explain(error)
        if message:  # None where the help was shown instead.
            print(message, file=sys.stderr)
        sys.exit(status)


def _commands() -> "Typer":
    """All commands. Importing them takes half a second, in which Ctrl-C ends the process without a word."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    heard = in_main_thread and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if heard:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        from rtsr.cli import (  # noqa: F401
            compare,
            doctor,
            engines,
            evaluate,
            export,
            filters,
            import_,
            models,
            presets,
            quantize,
            train,
            upscale,
        )
        from rtsr.cli.app import app
    finally:
        if heard:
            signal.signal(signal.SIGINT, signal.default_int_handler)
    return app
