"""Graphs from elsewhere in ONNX Runtime; where one cannot be loaded, why."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto

from rtsr.engine.session import first_line, open_session
from rtsr.errors import ImportFailed

Session = Callable[[NDArray], dict[str, NDArray]]
"""From the one input to all outputs by name."""
SOURCE_LINE = re.compile(r"\S+\.(?:cc|h):\d+ (?:[\w:<>*& ]+\(.*?\)(?: const)? (?=[A-Z]))?")
"""Where in its own source ONNX Runtime failed, which it says before what failed."""


class Unsuitable(ImportFailed):
    """A graph does not take certain pictures."""


def load(model: ModelProto, path: Path, source: str = "image") -> Session:
    """Runs `model`, whose input is `source`, on pictures; `path` stands for it in errors.

    Raises ImportFailed where it cannot be loaded; what is returned, Unsuitable where it fails on a picture.
    """
    try:
        session = open_session(model.SerializeToString())
    except Exception as cause:  # ONNX Runtime's errors share no other base
        raise ImportFailed(f"ONNX Runtime cannot load {path}: {_fault(model, cause)}") from cause
    names = [end.name for end in session.get_outputs()]

    def run(image: NDArray) -> dict[str, NDArray]:
        try:
            results = cast(list[NDArray], session.run(None, {source: image}))
        except Exception as cause:  # as above
            raise Unsuitable(f"{path} fails on pictures of {image.shape}: {_said(cause)}") from cause
        return {name: np.asarray(result) for name, result in zip(names, results, strict=True)}

    return run


def _fault(model: ModelProto, cause: Exception) -> str:
    """What is wrong with a `model` that ONNX Runtime refuses, and the cure."""
    if model.ir_version > onnx.IR_VERSION:
        return (
            f"its IR version {model.ir_version} is newer than {onnx.IR_VERSION}; update onnxruntime, or export it again"
        )
    newest = onnx.defs.onnx_opset_version()
    opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)
    if opset > newest:
        return f"its opset {opset} is newer than {newest}; update onnxruntime, or export it with opset 17"
    lacking = _unmade(model.graph, set())
    if lacking:
        return f"nothing in it makes {lacking[0]!r}, which it uses; the file is incomplete: export it again"
    return f"{_said(cause)}; export it with standard operators"


def _unmade(graph: GraphProto, around: set[str]) -> list[str]:
    """Values that `graph` uses and that neither it nor the graphs `around` it make."""
    made = {"", *around, *(end.name for end in graph.input), *(value.name for value in graph.initializer)}
    made |= {value.values.name for value in graph.sparse_initializer}
    made |= {name for node in graph.node for name in node.output}
    lacking = [name for node in graph.node for name in node.input if name not in made]
    for attribute in (attribute for node in graph.node for attribute in node.attribute):
        for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
            lacking += _unmade(inner, made)
    return lacking + [end.name for end in graph.output if end.name not in made]


def _said(cause: Exception) -> str:
    """What ONNX Runtime says, in one line and without its source."""
    return SOURCE_LINE.sub("", first_line(cause))
