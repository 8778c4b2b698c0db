"""Small ONNX files as other programs write them."""

from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

FREE = ("batch", 3, "height", "width")


def graph(
    nodes: list[NodeProto],
    shape: tuple | None = FREE,
    kind: int = TensorProto.FLOAT,
    opset: int = 17,
    constants: dict[str, np.ndarray] | None = None,
    more: tuple[list[str], list[str]] = ([], []),
) -> ModelProto:
    """A graph "input" to "output" of `nodes`; `more` inputs and outputs are of the same shape."""
    inputs = [helper.make_tensor_value_info(name, kind, shape) for name in ("input", *more[0])]
    outputs = [
        helper.make_tensor_value_info(name, kind, shape and [None] * len(shape)) for name in ("output", *more[1])
    ]
    values = [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()]
    made = helper.make_graph(nodes, "g", inputs, outputs, values)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.example", 1)]
    return helper.make_model(made, opset_imports=opsets, ir_version=8)


def resize(scale: float, source: str = "input", result: str = "output") -> tuple[NodeProto, dict[str, np.ndarray]]:
    """Bicubic interpolation as PyTorch's, and its constant."""
    scales = np.array([1, 1, scale, scale], np.float32)
    node = helper.make_node("Resize", [source, "", "scales"], [result], mode="cubic", cubic_coeff_a=-0.75)
    return node, {"scales": scales}


def bicubic(scale: float = 2, plus: float = 0, white: float = 1, shape: tuple | None = FREE) -> ModelProto:
    """Bicubic interpolation, `plus` added to all, and clamped to `white`."""
    node, constants = resize(scale, result="large")
    for name, value in (("plus", plus), ("black", 0), ("white", white)):
        constants[name] = np.array(value, np.float32)
    add = helper.make_node("Add", ["large", "plus"], ["sum"])
    clip = helper.make_node("Clip", ["sum", "black", "white"], ["output"])
    return graph([node, add, clip], shape, constants=constants)


def written(made: ModelProto, path: Path) -> Path:
    """`path`, with the graph in it."""
    onnx.save(made, path)
    return path
