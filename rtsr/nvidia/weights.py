"""Convolution weights in 8 bits, for engines that compute in half precision (weight-only quantisation)."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto, helper, numpy_helper, version_converter

from rtsr.engine.session import open_session
from rtsr.errors import EngineError
from rtsr.nvidia.precision import FEATURES
from rtsr.quant.pictures import pictures
from rtsr.quant.steps import quantise, windows

OPSET = 19
"""The first whose DequantizeLinear takes scales in half precision."""
IR_VERSION = 9
"""What goes with it."""
THREADS = 1
"""So that sums, and with them the weights, come out the same at every run."""

Values = dict[str, NDArray[Any]]
"""By name."""


def quantised(model: ModelProto, white: float = 1.0, before: Sequence[ModelProto] = ()) -> ModelProto:
    """`model`, in single precision, with int8 weights behind a DequantizeLinear in its convolutions.

    Symmetric, a scale for each output channel, rounded by what each layer sees when the network runs on made-up
    pictures in [0, `white`] (see `rtsr.quant.steps.quantise`). Convolutions next to a picture stay as they are: the
    first, whose inputs are few, and the last, whose error is seen as it is. So do those in groups, and transposed ones,
    which rearrange pixels. Activations are not quantised.

    Where `model` takes features, `before` are the stages that make them, in order. Raises EngineError where it takes
    features and there are none.
    """
    made = version_converter.convert_version(model, max(OPSET, model.opset_import[0].version))
    made.ir_version = max(IR_VERSION, made.ir_version)
    graph = made.graph
    values = {value.name: numpy_helper.to_array(value) for value in graph.initializer}
    known: Values = {}
    first = 0
    outer = _outer(graph)
    layers = [node for node in graph.node if node.op_type == "Conv" and node.output[0] not in outer]
    for node in layers:
        name = node.input[1]
        if name in values and _settings(node).get("group", 1) == 1:
            known = known or _feed(model, white, before)
            known, first = _advance(made, known, first, node)
            steps, scales = quantise(values[name], _seen(node, known[node.input[0]], values[name].shape[2:]))
            weight = _dequantise(graph, node, steps, scales)
            for layer in layers:
                layer.input[1] = weight if layer.input[1] == name else layer.input[1]
    used = {name for node in graph.node for name in node.input}
    kept = [value for value in graph.initializer if value.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    return made


def _dequantise(graph: GraphProto, node: NodeProto, steps: NDArray[np.int8], scales: NDArray[np.float32]) -> str:
    """Let the convolution `node` take its weight from `steps`; returns the weight's new name."""
    name = node.input[1]
    whole, scale, weight = f"{name}/steps", f"{name}/scale", f"{name}/int8"
    graph.initializer.extend([numpy_helper.from_array(steps, whole), numpy_helper.from_array(scales, scale)])
    place = list(graph.node).index(node)
    graph.node.insert(place, helper.make_node("DequantizeLinear", [whole, scale], [weight], weight, axis=0))
    node.input[1] = weight
    return weight


def _advance(model: ModelProto, known: Values, first: int, node: NodeProto) -> tuple[Values, int]:
    """Run `model` from its node number `first` up to `node`: what is known there of what is still needed, its number.

    `known` are the values before `first`; nodes that were passed must not change any more.
    """
    nodes = list(model.graph.node)
    last = nodes.index(node)
    needed = {name for after in nodes[last:] for name in after.input}
    made = [name for passed in nodes[first:last] for name in passed.output if name in needed]
    kept = {name: value for name, value in known.items() if name in needed}
    if not made:
        return kept, last
    used = {name for passed in nodes[first:last] for name in passed.input}
    feed = {name: value for name, value in known.items() if name in used}
    part = ModelProto()
    part.CopyFrom(model)
    for ends in (part.graph.node, part.graph.input, part.graph.output):
        del ends[:]
    part.graph.node.extend(nodes[first:last])
    part.graph.input.extend(
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        for name, value in feed.items()
    )
    part.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in made)
    found = cast(list[NDArray[Any]], open_session(part.SerializeToString(), THREADS).run(made, feed))
    return {**kept, **dict(zip(made, found, strict=True))}, last


def _seen(node: NodeProto, image: NDArray[np.float32], kernel: tuple[int, ...]) -> NDArray[np.float32]:
    """What the convolution `node` sees of `image`."""
    settings = {key: tuple(value) for key, value in _settings(node).items() if key in ("strides", "pads", "dilations")}
    return windows(image, cast(tuple[int, int], kernel), **settings)


def _feed(model: ModelProto, white: float, before: Sequence[ModelProto]) -> Values:
    """What `model` gets by input, made-up pictures or the features that `before` makes of them."""
    stages = [*before, model]
    first = _inputs(stages[0])[0]
    if first.name.startswith(FEATURES):
        raise EngineError(
            "8-bit weights of a stage follow from what the stages before it give; name its file, with those beside it"
        )
    flow = [np.float32(white) * _patches(first)]
    for stage, following in pairwise(stages):
        feed = dict(zip((end.name for end in _inputs(stage)), flow, strict=True))
        made = open_session(stage.SerializeToString(), THREADS).run(None, feed)
        flow = cast(list[NDArray[np.float32]], made)[: len(_inputs(following))]
    return dict(zip((end.name for end in _inputs(model)), flow, strict=True))


def _inputs(model: ModelProto) -> list[ValueInfoProto]:
    values = {value.name for value in model.graph.initializer}
    return [end for end in model.graph.input if end.name not in values]


def _patches(end: ValueInfoProto) -> NDArray[np.float32]:
    """Made-up pictures with the channels of the input `end`, cut to patches where it sets a size."""
    _, channels, height, width = (side.dim_value for side in end.type.tensor_type.shape.dim)
    made = pictures(channels)
    if not height:
        return made
    rows, columns = (side // patch for side, patch in zip(made.shape[2:], (height, width), strict=True))
    cut = made[:, :, : rows * height, : columns * width].reshape(2, channels, rows, height, columns, width)
    return np.ascontiguousarray(cut.transpose(0, 2, 4, 1, 3, 5).reshape(-1, channels, height, width))


def _settings(node: NodeProto) -> dict[str, Any]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _outer(graph: GraphProto) -> set[str]:
    """Outputs of the convolutions with none between them and a picture, at either end of `graph`."""
    makers = {name: node for node in graph.node for name in node.output}
    readers: dict[str, list[NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    first, last = (
        [end.name for end in ends if not end.name.startswith(FEATURES)] for ends in (graph.input, graph.output)
    )
    forward = _reached(first, lambda name: readers.get(name, []), lambda node: node.output)
    backward = _reached(last, lambda name: [makers[name]] if name in makers else [], lambda node: node.input)
    return {node.output[0] for node in (*forward, *backward)}


def _reached(
    names: list[str],
    nodes_at: Callable[[str], Iterable[NodeProto]],
    names_of: Callable[[NodeProto], Iterable[str]],
) -> Iterator[NodeProto]:
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
