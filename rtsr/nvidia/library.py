"""TensorRT-RTX and TensorRT, which share an API.

They differ in little, and what differs is asked of the module itself, not of its version:

- which GPUs an engine is built for: TensorRT-RTX takes compute capabilities and needs no GPU
  (`IBuilderConfig.set_compute_capability`); TensorRT builds for the GPU that it finds;
- strong typing: a flag of the network, which later versions may leave out because there is nothing else
  (`NetworkDefinitionCreationFlag.STRONGLY_TYPED`);
- the timing cache: TensorRT's; in TensorRT-RTX its calls are there, do nothing and warn;
- the runtime cache (`IRuntimeCache`): TensorRT-RTX's, which compiles its kernels when they first run;
- the engine validity check (`Runtime.get_engine_validity`): TensorRT-RTX's.
"""

import os
import sys
from collections import deque
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from threading import Lock, local
from typing import Any

from rtsr.errors import EngineError, UsageError

MODULES = {"rtx": "tensorrt_rtx", "tensorrt": "tensorrt"}
"""Module of each kind of library; the kinds are names of rtsr's engines and of its extras."""
NAMES = {"rtx": "TensorRT-RTX", "tensorrt": "TensorRT"}
OLDEST = {"rtx": (1, 4), "tensorrt": (10, 8)}
"""Oldest usable versions, those that the extras ask for."""


class Errors(local):
    """What calls of the thread that asks got to hear; these libraries report where they are called."""

    def __init__(self) -> None:
        self.lines: deque[str] = deque(maxlen=8)


@dataclass(frozen=True, slots=True, eq=False)
class Library:
    """An imported library, and what it said last."""

    kind: str
    """A key of `MODULES`."""
    module: Any
    logger: Any
    """The one `ILogger` of the process: these libraries keep the first that they get."""
    errors: Errors
    lock: Lock = field(default_factory=Lock)
    """Held while something is built or judged: one at a time."""

    @property
    def name(self) -> str:
        """As its makers write it."""
        return NAMES[self.kind]

    @property
    def said(self) -> deque[str]:
        """Its last errors in this thread, oldest first: others may build, load and run meanwhile."""
        return self.errors.lines

    @property
    def version(self) -> str:
        return self.module.__version__

    @property
    def capabilities(self) -> tuple[str, ...]:
        """The compute capabilities that it builds for with no GPU at hand, e.g. 8.9; none where it needs the GPU."""
        if self.kind != "rtx" or not hasattr(self.module.IBuilderConfig, "set_compute_capability"):
            return ()
        known = [name for name in self.module.ComputeCapability.__members__ if name.startswith("SM")]
        return tuple(f"{name[2:-1]}.{name[-1]}" for name in known)

    @property
    def has_timing_cache(self) -> bool:
        """Whether it measures kernels when it builds, which a timing cache spares."""
        return self.kind == "tensorrt" and hasattr(self.module, "ITimingCache")

    @property
    def has_runtime_cache(self) -> bool:
        """Whether kernels are compiled at their first run, and a runtime cache keeps them."""
        return hasattr(self.module, "IRuntimeCache")

    def check_capability(self, capability: str) -> None:
        """Raise EngineError unless engines for GPUs of `capability`, e.g. 8.9, can be built."""
        if self.capabilities and capability not in self.capabilities:
            also = "; use --engine tensorrt there" if capability in ("9.0", "10.0") else ""
            raise EngineError(
                f"{self.name} {self.version} does not support GPUs of compute capability {capability}; "
                f"it supports {', '.join(self.capabilities)}{also}"
            )


@cache
def load_library(kind: str) -> Library:
    """The library `kind`, "rtx" or "tensorrt"; no GPU is needed for this.

    Raises UsageError for an unknown kind, EngineError where the library is not installed, does not load or is too
    old, each with the line that helps.
    """
    if kind not in MODULES:
        raise UsageError(f"unknown library {kind!r}; known: {', '.join(MODULES)}")
    name, install = NAMES[kind], f"pip install 'rtsr[{kind}]'"
    if find_spec(MODULES[kind]) is None:
        raise EngineError(f"{name} is not installed; install it with: {install}")
    try:
        module = import_module(MODULES[kind])
        version = str(module.__version__)
        numbers = tuple(int(part) for part in version.split(".")[:2])
        errors = Errors()
        logger = _logger(module, errors)
    except Exception as cause:  # a library that does not load, or half an installation
        reason = (str(cause) or type(cause).__name__).splitlines()[0]
        raise EngineError(f"{name} is installed but does not load ({reason}); reinstall it: {install}") from cause
    if numbers < OLDEST[kind]:
        oldest = ".".join(map(str, OLDEST[kind]))
        raise EngineError(f"{name} {version} is too old; rtsr needs {oldest} or newer: {install} --upgrade")
    return Library(kind, module, logger, errors)


def installed() -> tuple[str, ...]:
    """The kinds of library that are installed, whether or not they load; imports none."""
    return tuple(kind for kind, module in MODULES.items() if find_spec(module) is not None)


def _logger(module: Any, errors: Errors) -> Any:
    """An `ILogger` that keeps errors in `errors`; with RTSR_DEBUG=1 it prints warnings and errors too."""
    loud = os.environ.get("RTSR_DEBUG") == "1"
    error, warning = module.ILogger.ERROR, module.ILogger.WARNING

    class Log(module.ILogger):
        def __init__(self) -> None:
            module.ILogger.__init__(self)

        def log(self, severity: Any, msg: str) -> None:
            if int(severity) <= int(error):
                errors.lines.append(" ".join(msg.split()))
            if loud and int(severity) <= int(warning):
                print(msg, file=sys.stderr)

    return Log()
