"""Shipped networks made ready for a builder of TensorRT engines: precision, and ends that suit what is sent."""

import re
from pathlib import Path

import onnx
from onnx import ModelProto

from rtsr.card import Card
from rtsr.engine.session import first_line
from rtsr.errors import EngineError, UsageError
from rtsr.frame import Colour
from rtsr.nvidia.planes import fit_of, with_planes
from rtsr.nvidia.precision import halved
from rtsr.nvidia.weights import quantised
from rtsr.preset import PRECISIONS


def prepare(
    network: Path | bytes,
    precision: str = "fp16",
    colour: Colour | None = None,
    card: Card | None = None,
    nv12: bool = False,
) -> bytes:
    """The ONNX model `network`, a file or its content, ready for a strongly typed build, as content.

    `precision` is `fp32` (as it is), `fp16`, or `int8`, which is fp16 with 8-bit weights (see
    `rtsr.nvidia.weights.quantised`; for a stage or a head, the stages before it are read from beside its file). Inputs
    and outputs keep their names and shapes; pictures are float32 (n, 3, h, w) at any precision, features between two
    stages ("features_0", "next_0") float16 below fp32.

    With a `colour` both ends are 8-bit 4:2:0 planes instead, "y", "u" and "v" to "y_up", "u_up" and "v_up", or with
    `nv12` "y" and "uv" to "y_up" and "uv_up" (see `rtsr.nvidia.planes.with_planes`). The network's `card` says what its
    values and sizes are; without one, it is taken to be for values in [0, 1] and sides that its scale, as its shapes
    show it, leaves whole, as all are that ship.

    Raises UsageError for an unknown precision, EngineError where the network cannot be read or converted.
    """
    if precision not in PRECISIONS:
        raise UsageError(f"unknown precision {precision!r}; known: {', '.join(PRECISIONS)}")
    title = str(network) if isinstance(network, Path) else "the network"
    converted = model = _read(network, title)
    try:
        if precision != "fp32":
            if precision == "int8":
                white = card.value_max if card else 1.0
                converted = quantised(model, white, _stages_before(network))
            converted = halved(converted)
        if colour is not None:
            converted = with_planes(converted, colour, fit_of(model, card), nv12)
        onnx.checker.check_model(converted, full_check=True)
    except EngineError as cause:
        raise EngineError(f"{title} at {precision}: {cause}") from cause
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as cause:
        raise EngineError(
            f"{title} is no valid graph at {precision}: {first_line(cause)}; export or import it again"
        ) from cause
    return converted.SerializeToString()


def _read(network: Path | bytes, title: str) -> ModelProto:
    try:
        content = network if isinstance(network, bytes) else network.read_bytes()
    except OSError as cause:
        raise EngineError(f"cannot read {title}: {cause.strerror}; reinstall rtsr or export again") from cause
    try:
        model = onnx.load_model_from_string(content)
    except Exception as cause:  # protobuf's errors have no public class
        raise EngineError(f"{title} is damaged, or no ONNX file; reinstall rtsr or export again") from cause
    if not model.graph.node:
        raise EngineError(f"{title} is damaged, or no ONNX file: it holds no graph; reinstall rtsr or export again")
    return model


def _stages_before(network: Path | bytes) -> list[ModelProto]:
    """The stages in front of the stage or head `network`, from the files beside it (see `rtsr.engine.stages`)."""
    part = re.fullmatch(r"(stage|head)(\d+)\.onnx", network.name) if isinstance(network, Path) else None
    if part is None or isinstance(network, bytes):
        return []
    last = int(part[2]) - (part[1] == "stage")
    paths = [network.with_name(f"stage{k}.onnx") for k in range(1, last + 1)]
    return [_read(path, str(path)) for path in paths if path.exists()]
