"""ONNX Runtime on the processor."""

from pathlib import Path
from typing import Self, cast

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from rtsr.card import Card, check_hash
from rtsr.errors import EngineError, UsageError

QUIET = 4
"""Log severity at which ONNX Runtime prints nothing but what kills the process."""


class OnnxEngine:
    """Runs `network`, the ONNX file that `card` describes, on `threads` cores; by default on all.

    The file is loaded here, so that whatever is wrong with it shows before the first frame. Raises CardError
    where it is not the card's file, EngineError where ONNX Runtime cannot load it or its graph is not
    "image" (n, 3, h, w) to "upscaled".
    """

    def __init__(self, card: Card, network: Path, threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            raise UsageError(f"threads is at least 1, not {threads}")
        check_hash(card, network)
        self.card = card
        self._session = _load(network, threads)

    def __enter__(self) -> Self:
        return self

    def infer(self, tiles: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, 3, H, W) float32 in [0, 1] to (N, 3, H * scale, W * scale) in [0, 1].

        Raises EngineError where the shape does not fit the card, or the run fails.
        """
        channels, height, width = tiles.shape[1:]
        multiple = self.card.size_multiple
        if channels != 3 or height % multiple or width % multiple:
            raise EngineError(
                f"{self.card.name} takes (N, 3, H, W), sides that divide by {multiple}, not {tiles.shape}; pad first"
            )
        white = self.card.value_max
        if white != 1:
            tiles = tiles * np.float32(white)
        try:
            (upscaled,) = self._session.run(["upscaled"], {"image": tiles})
        except Exception as cause:  # ONNX Runtime's errors share no other base
            raise EngineError(f"{self.card.name} failed on {tiles.shape}: {_first_line(cause)}") from cause
        upscaled = cast(NDArray[np.float32], upscaled)
        return upscaled if white == 1 else upscaled / np.float32(white)

    def __exit__(self, *exc: object) -> None: ...


def _load(network: Path, threads: int | None) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = QUIET
    options.intra_op_num_threads = threads or 0
    # Planned memory saves no time, and batches of tiles come in many sizes, each with a plan of its own.
    options.enable_mem_pattern = False
    # Idle threads sleep instead of spinning: decoding and encoding want the same cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    except Exception as cause:  # ONNX Runtime's errors share no other base
        raise EngineError(f"cannot load {network}: {_first_line(cause)}; reinstall rtsr or export again") from cause
    ends = [*session.get_inputs(), *session.get_outputs()]
    found = ", ".join(f"{end.name} {end.type} {end.shape}" for end in ends)
    if [end.name for end in ends] != ["image", "upscaled"] or not all(_is_image(end) for end in ends):
        raise EngineError(
            f"{network} is not an upscaler: it has {found}; "
            "expected image and upscaled, tensor(float) [n, 3, h, w] with free sizes; export it with rtsr"
        )
    return session


def _is_image(end: onnxruntime.NodeArg) -> bool:
    """Whether an input or output of a graph is float32, (any, 3, any, any)."""
    free = len(end.shape) == 4 and not any(isinstance(side, int) for side in (end.shape[0], *end.shape[2:]))
    return end.type == "tensor(float)" and free and end.shape[1] == 3


def _first_line(cause: Exception) -> str:
    return (str(cause) or type(cause).__name__).splitlines()[0]
