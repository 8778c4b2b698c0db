"""How rtsr runs ONNX Runtime: the options and errors that all its engines share."""

from pathlib import Path
from typing import cast

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from rtsr.errors import EngineError, UsageError

QUIET = 4
"""Log severity at which ONNX Runtime prints nothing but what kills the process."""


def open_session(network: str | Path | bytes, threads: int | None = None) -> onnxruntime.InferenceSession:
    """A session on `threads` cores, by default all, of the ONNX file `network`, or of its content.

    Raises UsageError where `threads` is below 1; otherwise whatever ONNX Runtime raises.
    """
    if threads is not None and threads < 1:
        raise UsageError(f"threads is at least 1, not {threads}")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = QUIET
    options.intra_op_num_threads = threads or 0
    # Planned memory saves no time, and batches of tiles come in many sizes, each with a plan of its own.
    options.enable_mem_pattern = False
    # Idle threads sleep instead of spinning: decoding and encoding want the same cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])


class Graph:
    """The ONNX file `path`, loaded; `name` stands for it in errors.

    Raises EngineError where ONNX Runtime cannot load it, UsageError where `threads` is below 1.
    """

    def __init__(self, path: Path, name: str, threads: int | None) -> None:
        self.path, self.name = path, name
        try:
            self._session = open_session(path, threads)
        except UsageError:
            raise
        except Exception as cause:  # ONNX Runtime's errors share no other base
            raise EngineError(f"cannot load {path}: {first_line(cause)}; reinstall rtsr or export again") from cause
        self.inputs = self._session.get_inputs()
        self.outputs = self._session.get_outputs()

    def describe(self) -> str:
        """Its inputs and outputs, for errors."""
        return ", ".join(f"{end.name} {end.type} {end.shape}" for end in (*self.inputs, *self.outputs))

    def run(self, *arrays: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        """All outputs for all inputs, in order; raises EngineError where the run fails."""
        feed = {end.name: array for end, array in zip(self.inputs, arrays, strict=True)}
        try:
            return tuple(cast(list[NDArray[np.float32]], self._session.run(None, feed)))
        except Exception as cause:  # as above
            shapes = ", ".join(str(array.shape) for array in arrays)
            raise EngineError(f"{self.name} failed on {shapes}: {first_line(cause)}") from cause


def is_picture(end: onnxruntime.NodeArg) -> bool:
    """Whether an input or output of a graph is float32, (any, 3, any, any)."""
    free = len(end.shape) == 4 and not any(isinstance(side, int) for side in (end.shape[0], *end.shape[2:]))
    return end.type == "tensor(float)" and free and end.shape[1] == 3


def first_line(cause: Exception) -> str:
    """What `cause` says, in one line."""
    return (str(cause) or type(cause).__name__).splitlines()[0]
