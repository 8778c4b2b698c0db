"""Convolution weights in 8 bits, for engines that compute in half precision (weight-only quantisation)."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper, version_converter

from rtsr.nvidia.precision import FEATURES

OPSET = 19
"""The first whose DequantizeLinear takes scales in half precision."""
STEPS = 127
"""Largest step; symmetric, so that zero is exact and no zero point is stored."""


def quantised(model: ModelProto) -> ModelProto:
    """`model`, in single precision, with int8 weights behind a DequantizeLinear in its convolutions.

    Symmetric, a scale for each output channel. Convolutions next to a picture stay as they are: the first, whose
    inputs are few, and the last, whose error is seen as it is. So do transposed convolutions, which rearrange pixels
    and whose weights are 0 and 1. Activations are not quantised.
    """
    made = version_converter.convert_version(model, max(OPSET, model.opset_import[0].version))
    graph = made.graph
    values = {value.name: value for value in graph.initializer}
    nodes: list[NodeProto] = []
    done: set[str] = set()
    outer = _outer(graph)
    for node in graph.node:
        name = node.input[1] if node.op_type == "Conv" else ""
        if name in values and node.output[0] not in outer:
            if name not in done:
                weight = numpy_helper.to_array(values[name])
                steps, scales = quantise(weight)
                whole, scale = f"{name}/steps", f"{name}/scale"
                graph.initializer.append(numpy_helper.from_array(steps, whole))
                graph.initializer.append(numpy_helper.from_array(scales, scale))
                nodes.append(helper.make_node("DequantizeLinear", [whole, scale], [f"{name}/int8"], axis=0))
                done.add(name)
            node.input[1] = f"{name}/int8"
        nodes.append(node)
    used = {name for node in nodes for name in node.input}
    kept = [value for value in graph.initializer if value.name in used]
    whole = helper.make_graph(nodes, graph.name, graph.input, graph.output, kept)
    return helper.make_model(whole, opset_imports=made.opset_import, ir_version=9, producer_name="rtsr")


def quantise(weight: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Whole steps of a convolution's `weight` (outputs, inputs, rows, columns), and the scale of each output.

    Rounding to nearest loses decibels in networks that hand the picture through: errors of a kernel's taps add up,
    since neighbouring pixels are alike. So a few weights, those nearest to the middle between two steps, are rounded
    the other way, until the sum over each kernel, then over each output, is off by half a step at most (SQuant,
    arXiv 2202.07471, sections 3.2 and 3.3). Scales are numbers of half precision.
    """
    flat = weight.reshape(*weight.shape[:2], -1).astype(np.float64)
    largest = np.abs(flat).max(axis=(1, 2))
    scales = np.where(largest > 0, largest / STEPS, 1).astype(np.float16).astype(np.float64)
    exact = np.clip(flat / scales[:, None, None], -STEPS, STEPS)
    steps = np.round(exact)
    steps -= _turned(steps - exact)
    error = steps - exact
    # Of the kernels whose sums make an output's sum wrong, each gives way in the tap that is furthest off.
    ways = _turned(error.sum(axis=2))
    worst = np.argmax(error * np.sign(ways)[:, :, None], axis=2)
    np.put_along_axis(
        steps, worst[:, :, None], np.take_along_axis(steps, worst[:, :, None], 2) - ways[:, :, None], axis=2
    )
    whole = np.clip(steps, -STEPS, STEPS).astype(np.int8).reshape(weight.shape)
    return whole, scales.astype(np.float32)


def _turned(error: NDArray[np.float64]) -> NDArray[np.float64]:
    """What to take off each item of the last axis, -1, 0 or 1, so that the sum of `error` there is at most a half."""
    excess = np.round(error.sum(axis=-1, keepdims=True))
    way = np.sign(excess)
    order = np.argsort(np.argsort(-error * way, axis=-1, kind="stable"), axis=-1, kind="stable")
    return np.where(order < np.abs(excess), way, 0.0)


def _outer(graph: GraphProto) -> set[str]:
    """Outputs of the convolutions with none between them and a picture, at either end of `graph`."""
    makers = {name: node for node in graph.node for name in node.output}
    readers: dict[str, list[NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    first = [end.name for end in graph.input if not end.name.startswith(FEATURES)]
    last = [end.name for end in graph.output if not end.name.startswith(FEATURES)]
    forward = _reached(first, lambda name: readers.get(name, []), lambda node: node.output)
    backward = _reached(last, lambda name: [makers[name]] if name in makers else [], lambda node: node.input)
    return {node.output[0] for node in (*forward, *backward)}


def _reached(names: list[str], nodes_at, names_of) -> Iterator[NodeProto]:
    """The convolutions that are met first on every way from `names`."""
    seen: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for node in nodes_at(name):
            if node.op_type == "Conv":
                yield node
            else:
                waiting.extend(names_of(node))
