"""What can go wrong, in words for the person at the keyboard.

Every error that rtsr raises on purpose is a `RtsrError`; the command line prints its message as one line
and exits with `exit_status`. Messages say what to do.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rtsr.report import Report


class RtsrError(Exception):
    """Something failed: a file, a codec, an engine. Exit status 1."""

    exit_status = 1
    report: "Report | None" = None
    """Of a run that broke off in the middle: what was done until then, and as its output the part that was kept."""


class UsageError(RtsrError):
    """What was asked for cannot be: an unknown name, a value out of range. Exit status 2."""

    exit_status = 2


class ArgumentError(UsageError, ValueError):
    """A picture or a size that `Upscaler` cannot take; a ValueError, too, as numpy's functions raise it."""


class SourceError(RtsrError):
    """The input cannot be read."""


class SinkError(RtsrError):
    """The output cannot be written."""


class CardError(RtsrError):
    """A model's card is missing, damaged or does not match its network."""


class PresetError(RtsrError):
    """A preset has an unknown key or a value out of range."""


class EngineError(RtsrError):
    """A network cannot be loaded or run."""


class OutOfMemory(EngineError):
    """There is no room for so much at once; less may fit."""


class TrainError(RtsrError):
    """A recipe, its data or its checkpoint cannot be used."""


class ImportFailed(RtsrError):
    """A foreign network's file cannot be read, or is not what it was said to be."""


class MissingDependency(RtsrError):
    """An optional package is not installed; the message holds the line that installs it."""


def need(module: str, extra: str) -> ModuleType:
    """Import an optional third-party module, or say which extra brings it."""
    try:
        return import_module(module)
    except ImportError as cause:
        raise MissingDependency(f"{module} is not usable ({cause}); try: pip install 'rtsr[{extra}]'") from cause
