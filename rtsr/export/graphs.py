"""What all exported graphs share: versions, ends, chaining, and depth-to-space in its fastest form."""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

OPSET = 17
"""Of graphs written by hand."""
IR_VERSION = 8
"""What goes with opsets 17 and 18; every supported ONNX Runtime reads it."""


def picture(name: str, channels: int = 3, mark: str = "") -> ValueInfoProto:
    """An input or output of a graph: float32 (n, `channels`, any, any); `mark` sets the sizes' names apart."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", channels, f"h{mark}", f"w{mark}"])


def model_of(graph: GraphProto, opset: int = OPSET) -> ModelProto:
    """`graph` as a checked model."""
    opsets = [helper.make_opsetid("", opset)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="rtsr")
    onnx.checker.check_model(made, full_check=True)
    return made


def tidy(made: ModelProto) -> ModelProto:
    """`made`, as PyTorch writes it, made faster and without what tells of the machine that it was made on; checked."""
    for item in (*made.graph.node, *made.graph.initializer):
        del item.metadata_props[:]
        item.doc_string = ""
    inputs = [_plain(end, f"{i or ''}") for i, end in enumerate(made.graph.input)]
    outputs = [_plain(end, f"_out{i or ''}") for i, end in enumerate(made.graph.output)]
    nodes, values = faster(made.graph)
    return model_of(helper.make_graph(nodes, "network", inputs, outputs, values), made.opset_import[0].version)


def chain(parts: Sequence[ModelProto]) -> ModelProto:
    """One graph of several: each takes, in order, what the one before gives."""
    nodes, values = [], {}
    carried = [end.name for end in parts[0].graph.input]
    for place, part in enumerate(parts):
        graph = part.graph
        names = dict(zip((end.name for end in graph.input), carried, strict=True))
        if part is parts[-1]:
            names |= {end.name: end.name for end in graph.output}
        for value in graph.initializer:
            same = values.get(value.name, value) == value
            names[value.name] = value.name if same else f"{place}/{value.name}"
            values[names[value.name]] = _renamed(value, names[value.name])
        for node in graph.node:
            names |= {name: f"{place}/{name}" for name in node.output if name not in names}
            nodes.append(_rewired(node, names, f"{place}/{node.name}"))
        carried = [names[end.name] for end in graph.output]
    first, last = parts[0], parts[-1]
    graph = helper.make_graph(nodes, "network", first.graph.input, last.graph.output, list(values.values()))
    return model_of(graph, max(part.opset_import[0].version for part in parts))


def spread(block: int) -> np.ndarray:
    """Weights of a transposed convolution (stride `block`, a group a colour) that is depth-to-space, exactly.

    Each of a colour's block * block channels goes to its own place in the block, times one.
    """
    places = np.eye(block * block, dtype=np.float32).reshape(block * block, 1, block, block)
    return np.tile(places, (3, 1, 1, 1))


def faster(graph: GraphProto) -> tuple[list[NodeProto], list[TensorProto]]:
    """Nodes and constants of `graph` in forms that ONNX Runtime computes faster and that give the same, bit for bit.

    Depth-to-space to three channels becomes a transposed convolution, a PReLU with one slope a LeakyReLU, which is
    fused into the convolution before it; see docs/decisions/0002-exported-graph.md.
    """
    values = {value.name: value for value in graph.initializer}
    made_by = {name: node for node in graph.node for name in node.output}
    nodes = []
    for node in graph.node:
        before = made_by.get(node.input[0]) if node.input else None
        if node.op_type == "DepthToSpace" and before is not None and before.op_type == "Conv":
            block = _attributes(node)["blocksize"]
            if _attributes(node).get("mode") == b"CRD" and values[before.input[1]].dims[0] == 3 * block**2:
                values["spread"] = numpy_helper.from_array(spread(block), "spread")
                node = helper.make_node(
                    "ConvTranspose", [node.input[0], "spread"], node.output, node.name, strides=[block] * 2, group=3
                )
        elif node.op_type == "PRelu" and node.input[1] in values:
            slope = numpy_helper.to_array(values[node.input[1]])
            if slope.size == 1:
                node = helper.make_node("LeakyRelu", node.input[:1], node.output, node.name, alpha=slope.item())
        nodes.append(node)
    used = {name for node in nodes for name in node.input}
    return nodes, [value for name, value in values.items() if name in used]


def _attributes(node: NodeProto) -> dict:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _plain(end: ValueInfoProto, mark: str) -> ValueInfoProto:
    """`end` with simple names for its free sizes."""
    free = ("n", None, f"h{mark}", f"w{mark}")
    kind = end.type.tensor_type
    sides = [free[axis] if side.dim_param else side.dim_value for axis, side in enumerate(kind.shape.dim)]
    return helper.make_tensor_value_info(end.name, kind.elem_type, sides)


def _renamed(value: TensorProto, name: str) -> TensorProto:
    copy = TensorProto()
    copy.CopyFrom(value)
    copy.name = name
    return copy


def _rewired(node: NodeProto, names: dict[str, str], title: str) -> NodeProto:
    copy = NodeProto()
    copy.CopyFrom(node)
    copy.input[:] = [names.get(name, name) for name in node.input]
    copy.output[:] = [names.get(name, name) for name in node.output]
    copy.name = title
    return copy
