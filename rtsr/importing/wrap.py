"""A foreign graph under rtsr's contract: RGB in [0, 1] in and out, float32, whatever it works on itself.

What has to be converted is converted in the graph (docs/decisions/0006-one-contract-for-networks.md).
"""

from itertools import count
from typing import Any

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from rtsr.export.graphs import IR_VERSION, picture
from rtsr.importing.graph import Foreign
from rtsr.importing.probe import Findings

LUMA = np.array([0.299, 0.587, 0.114])
"""Of RGB; BT.601, full range."""
CHROMA = np.stack([(np.array([0, 0, 1]) - LUMA) / 1.772, (np.array([1, 0, 0]) - LUMA) / 1.402])
"""Rows: Cb and Cr, from -0.5 to 0.5."""
RGB = np.linalg.inv(np.vstack([LUMA, CHROMA]))
"""Of luma and chroma."""


class Writer:
    """Collects the nodes and constants that are put around a graph; all their names begin with `mark`."""

    def __init__(self, mark: str) -> None:
        self.mark = mark
        self.nodes: list[NodeProto] = []
        self.values: list[TensorProto] = []

    def add(self, op: str, inputs: list[str], result: str = "", **attributes: Any) -> str:
        """A node that makes `result`, by default a name of its own, of `inputs`; returns the name."""
        result = result or f"{self.mark}{op.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [result], f"{self.mark}node{len(self.nodes)}", **attributes))
        return result

    def constant(self, value: np.ndarray | list[float] | float) -> str:
        """A constant; returns its name."""
        name = f"{self.mark}constant{len(self.values)}"
        self.values.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

    def mix(self, planes: str, matrix: np.ndarray) -> str:
        """Each of the result's planes a sum of `planes` weighed by a row of `matrix`."""
        return self.add("Conv", [planes, self.constant(matrix[..., None, None])])


def wrap(foreign: Foreign, findings: Findings) -> ModelProto:
    """A graph "image" (n, 3, h, w) to "upscaled", float32 in [0, 1], around the foreign one, which it takes over."""
    made, writer = foreign.model, Writer(_mark(foreign.model))
    names = {name: f"{writer.mark}{name}" for name in (foreign.source, foreign.result, "image", "upscaled")}
    _rename(made.graph, names)
    _enter(writer, names[foreign.source], foreign.dtype, findings)
    before = len(writer.nodes)
    _leave(writer, names[foreign.result], findings)
    nodes = [*writer.nodes[:before], *made.graph.node, *writer.nodes[before:]]
    values = [*made.graph.initializer, *writer.values]
    ends = [picture("image")], [picture("upscaled", mark="_out")]
    graph = helper.make_graph(nodes, "network", *ends, values, sparse_initializer=made.graph.sparse_initializer)
    return helper.make_model(
        graph,
        opset_imports=made.opset_import,
        functions=made.functions,
        ir_version=max(made.ir_version, IR_VERSION),
        producer_name=made.producer_name,
    )


def _mark(model: ModelProto) -> str:
    """What no name in `model` begins with: one that was imported before has names of rtsr's already."""
    content = model.SerializeToString()
    return next(mark for mark in (f"rtsr{n or ''}/" for n in count()) if mark.encode() not in content)


def _enter(writer: Writer, source: str, dtype: str, findings: Findings) -> None:
    """From "image" to what the graph takes."""
    planes = writer.mix("image", LUMA[None]) if findings.channels == 1 else "image"
    if findings.white != 1:
        planes = writer.add("Mul", [planes, writer.constant(findings.white)])
    kind = TensorProto.FLOAT16 if dtype == "float16" else TensorProto.FLOAT
    writer.add("Cast", [planes], source, to=kind)  # without effect on what is of that kind


def _leave(writer: Writer, result: str, findings: Findings) -> None:
    """From what the graph gives to "upscaled"; a graph for luma gets colours by bicubic interpolation."""
    planes = writer.add("Cast", [result], to=TensorProto.FLOAT)
    if findings.white != 1:
        planes = writer.add("Div", [planes, writer.constant(findings.white)])
    if findings.channels == 1:
        scales = writer.constant([1, 1, float(findings.scale), float(findings.scale)])
        small = writer.mix("image", CHROMA)
        chroma = writer.add("Resize", [small, "", scales], mode="cubic", cubic_coeff_a=-0.75)
        planes = writer.mix(writer.add("Concat", [planes, chroma], axis=1), RGB)
    writer.add("Clip", [planes, writer.constant(0), writer.constant(1)], "upscaled")


def _rename(graph: GraphProto, names: dict[str, str]) -> None:
    """Give the values of `graph` and of the graphs in it new names."""
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                _rename(inner, names)
    for value in (*graph.initializer, *graph.input, *graph.output, *graph.value_info):
        value.name = names.get(value.name, value.name)
