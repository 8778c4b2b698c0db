"""How rtsr runs ONNX Runtime: the options and errors that all its engines share."""

from contextlib import redirect_stdout
from io import StringIO
from numbers import Integral
from pathlib import Path
from typing import cast

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from rtsr.engine.providers import CPU, Provider, check_built, choose, why_not
from rtsr.errors import EngineError, UsageError
from rtsr.provider import parse_provider

QUIET = 4
"""Log severity at which ONNX Runtime prints nothing but what kills the process."""


LABOUR = ("Conv", "ConvTranspose", "MatMul", "Gemm")
"""Operators that a provider has to run itself: the processor may only help with what is small."""


MOST_THREADS = 256
"""Every one takes time to start, and memory; thousands of them bring a machine to a halt."""


def check_threads(threads: object) -> int | None:
    """`threads` as an int; raises UsageError unless it is None or a whole number of 1 to `MOST_THREADS`."""
    if threads is None:
        return None
    if isinstance(threads, Integral) and not isinstance(threads, bool) and 1 <= int(threads) <= MOST_THREADS:
        return int(threads)
    raise UsageError(f"threads is a whole number of 1 to {MOST_THREADS}, not {threads!r}; leave it out for all cores")


def open_session(
    network: str | Path | bytes, threads: int | None = None, provider: Provider = CPU
) -> onnxruntime.InferenceSession:
    """A session on `threads` cores, by default all, of the ONNX file `network`, or of its content.

    Raises UsageError for `threads` that cannot be, EngineError where `provider` cannot be used here or leaves the
    network's convolutions to the processor; otherwise whatever ONNX Runtime raises.
    """
    threads = check_threads(threads)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = QUIET
    options.intra_op_num_threads = threads or 0
    # Planned memory saves no time, and batches of tiles come in many sizes, each with a plan of its own.
    options.enable_mem_pattern = False
    # Idle threads sleep instead of spinning: decoding and encoding want the same cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if provider.name != "cpu":
        _prepare(provider, options)
    # Without a fallback: else a provider that fails is replaced by the processor, now or in the middle of a run.
    session = onnxruntime.InferenceSession(
        network,
        options,
        providers=[provider.runtime_name],
        provider_options=[provider.options(threads)],
        enable_fallback=0,
    )
    _check_used(session, provider)
    return session


def _prepare(provider: Provider, options: onnxruntime.SessionOptions) -> None:
    check_built(provider)
    onnxruntime.set_default_logger_severity(QUIET)  # What does not load is told by an error.
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    if provider.name == "cuda" and hasattr(onnxruntime, "preload_dlls"):
        with redirect_stdout(StringIO()):  # It prints what it does not find, which need not matter.
            onnxruntime.preload_dlls()


def _check_used(session: onnxruntime.InferenceSession, provider: Provider) -> None:
    """Raise EngineError unless `provider` runs what is worth running."""
    if provider.runtime_name not in session.get_providers():
        raise why_not(provider)
    # ONNX Runtime before 1.24 does not tell.
    if provider.name == "cpu" or not hasattr(session, "get_provider_graph_assignment_info"):
        return
    parts = session.get_provider_graph_assignment_info()
    left = [node.op_type for part in parts if part.ep_name != provider.runtime_name for node in part.get_nodes()]
    if labour := sorted({kind for kind in left if kind in LABOUR}):
        raise EngineError(f"{provider.title} cannot run {', '.join(labour)} of this network; try another provider")


class Graph:
    """The ONNX file `path`, loaded; `name` stands for it in errors.

    Raises EngineError where ONNX Runtime cannot load it with `provider`, UsageError for `threads` that cannot be.
    """

    def __init__(self, path: Path, name: str, threads: int | None, provider: Provider = CPU) -> None:
        self.path, self.name = path, name
        try:
            session = open_session(path, threads, provider)
        except (UsageError, EngineError):
            raise
        except Exception as cause:  # ONNX Runtime's errors share no other base
            cure = "reinstall rtsr or export again" if provider.name == "cpu" else "see: rtsr doctor"
            on = "" if provider.name == "cpu" else f" with {provider.title}"
            raise EngineError(f"cannot load {path}{on}: {first_line(cause)}; {cure}") from cause
        self._session: onnxruntime.InferenceSession | None = session
        self.inputs = session.get_inputs()
        self.outputs = session.get_outputs()

    def describe(self) -> str:
        """Its inputs and outputs, for errors."""
        return ", ".join(f"{end.name} {end.type} {end.shape}" for end in (*self.inputs, *self.outputs))

    def run(self, *arrays: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        """All outputs for all inputs, in order; raises EngineError where the run fails, or after `close`."""
        if self._session is None:
            raise EngineError(f"{self.name} is closed; open it anew, or close it later")
        feed = {end.name: array for end, array in zip(self.inputs, arrays, strict=True)}
        try:
            return tuple(cast(list[NDArray[np.float32]], self._session.run(None, feed)))
        except Exception as cause:  # as above
            shapes = ", ".join(str(array.shape) for array in arrays)
            raise EngineError(f"{self.name} failed on {shapes}: {first_line(cause)}") from cause

    def close(self) -> None:
        """Let go of the network's memory and threads."""
        self._session = None
        self.inputs, self.outputs = [], []  # They hold the session, too.


def is_picture(end: onnxruntime.NodeArg) -> bool:
    """Whether an input or output of a graph is float32, (any, 3, any, any)."""
    free = len(end.shape) == 4 and not any(isinstance(side, int) for side in (end.shape[0], *end.shape[2:]))
    return end.type == "tensor(float)" and free and end.shape[1] == 3


def first_line(cause: Exception) -> str:
    """What `cause` says, in one line."""
    return (str(cause) or type(cause).__name__).splitlines()[0]


def settle(provider: str, network: Path, threads: int | None) -> Provider:
    """The provider that `provider` names (see `rtsr.provider`); for `auto` the best that can load `network`."""
    return choose(parse_provider(provider), lambda tried: Graph(network, network.name, threads, tried))
