"""Dense layers as convolutions: TensorRT-RTX compiles no float32 matrix product for GPUs of capability 7.5."""

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

OLDEST_OPSET = 13
"""The first in which Unsqueeze takes its axes as an input."""


def convolved(model: bytes) -> bytes:
    """`model` with every dense layer (Gemm on constant weights) as a convolution over one pixel: the same sums.

    Gemms that scale, or that transpose their input, stay; a model without others is given back as it is.
    """
    made = onnx.load_model_from_string(model)
    opset = max((entry.version for entry in made.opset_import if entry.domain in ("", "ai.onnx")), default=0)
    values = {value.name: value for value in made.graph.initializer}
    layers = [node for node in made.graph.node if opset >= OLDEST_OPSET and _fits(node, values)]
    if not layers:
        return model
    nodes: list[NodeProto] = []
    for node in made.graph.node:
        nodes += _convolution(node) if node in layers else [node]
    weights = [_weight(node, values) for node in layers]
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    made.graph.initializer.extend([*weights, numpy_helper.from_array(np.array([2, 3]), "dense/axes")])
    return made.SerializeToString()


def _settings(node: NodeProto) -> dict[str, float]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _fits(node: NodeProto, values: dict[str, TensorProto]) -> bool:
    if node.op_type != "Gemm" or node.input[1] not in values:
        return False
    set_ = _settings(node)
    if set_.get("alpha", 1) != 1 or set_.get("beta", 1) != 1 or set_.get("transA", 0):
        return False
    # A convolution's bias is a list; a Gemm's may be anything that broadcasts.
    return len(node.input) < 3 or (node.input[2] in values and len(values[node.input[2]].dims) == 1)


def _weight(node: NodeProto, values: dict[str, TensorProto]) -> TensorProto:
    """(out, in, 1, 1)."""
    weight = numpy_helper.to_array(values[node.input[1]])
    rows = weight if _settings(node).get("transB", 0) else weight.T
    return numpy_helper.from_array(np.ascontiguousarray(rows[:, :, None, None]), f"dense/{node.output[0]}/weight")


def _convolution(node: NodeProto) -> list[NodeProto]:
    name = f"dense/{node.output[0]}"
    inputs = [f"{name}/pixel", f"{name}/weight", *node.input[2:]]
    return [
        helper.make_node("Unsqueeze", [node.input[0], "dense/axes"], [f"{name}/pixel"], f"{name}/unsqueeze"),
        helper.make_node("Conv", inputs, [f"{name}/sums"], f"{name}/conv"),
        helper.make_node("Flatten", [f"{name}/sums"], [node.output[0]], f"{name}/flatten", axis=1),
    ]
