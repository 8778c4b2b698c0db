"""QuickSRNet in whole numbers of 8 bits, for processors that multiply these faster than floats (VNNI and its like)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, checker, helper, numpy_helper, version_converter

from rtsr.errors import EngineError
from rtsr.quant.pictures import pictures
from rtsr.quant.steps import quantise, windows

LEVELS = 255
"""Steps from 0 to 1, between which ReLU1 keeps all that flows: no range has to be measured."""

PLAIN = [(3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1]
"""Kernel, strides, pads, dilations and groups of convolutions that are put into whole numbers."""
GREYS = np.repeat(np.arange(LEVELS + 1)[:, None] / LEVELS, 3, axis=1)
"""(256, 3): the colours of flat pictures."""
MOST_GAIN = 0.01
"""By how much a scale may be changed for greys: what lies further off is no mean of what it sees, but a difference."""
OPSET = 13
"""The first with a scale for each output."""
WIDTH = 16
"""Outputs of the last convolution become a multiple of it: ONNX Runtime takes longer for 12 of them than for 32."""


@dataclass(frozen=True, slots=True, eq=False)
class Whole:
    """A network in whole numbers."""

    model: ModelProto
    noise: float
    """Mean squared difference of its results from those in floats on `rtsr.quant.pictures`, in levels of 255."""


def in_whole_numbers(model: ModelProto) -> Whole:
    """`model`, of convolutions with a Clip to [0, 1] behind each, with all but the first in 8 bits.

    Pictures go in and come out as they did. Between layers flow multiples of 1/255, exact in unsigned 8 bits; weights
    have signed 8, a scale for each output, rounded one layer after the other by what it sees of made-up pictures when
    those before it are rounded already (see `rtsr.quant.steps.quantise`); biases have 32. Scales are set so that greys
    are multiplied by what they were before: else neighbouring pixels of the result would differ on flat pictures. The
    first convolution stays in floats: what it sees of video are no multiples of 1/255. Written with QuantizeLinear and
    DequantizeLinear around each layer, which ONNX Runtime fuses. Source: "QuickSRNet", section 4, for the form; ranges
    and rounding are ours.

    Raises EngineError for a graph of another form, and for one that has nothing between its first and last convolution.
    """
    if model.opset_import[0].version < OPSET:
        model = version_converter.convert_version(model, OPSET)
    graph = model.graph
    values = {value.name: numpy_helper.to_array(value) for value in graph.initializer}
    layers, rest = _layers(graph, values)
    made = _Written(values)
    flow, seen, exact, flat = graph.input[0].name, pictures(3), pictures(3), GREYS
    for place, (conv, clip) in enumerate(layers):
        weight, bias = values[conv.input[1]], values[conv.input[2]]
        outputs, form = len(bias), _form(conv, values)[:3]
        wanted = _run(exact, weight, bias, form)
        if place == len(layers) - 1:
            weight, bias = _wide(weight), _wide(bias)
        if place:
            steps, scales = quantise(weight, windows(seen, *form))
            scales *= _gain(flat @ _taps(weight), flat @ _taps(steps * scales[:, None, None, None]))
            weight = (steps * scales[:, None, None, None]).astype(np.float32)
            bias = made.whole(conv, steps, scales, bias)
        else:
            made.keep(conv)
        made.layer(conv, clip, flow)
        flow = made.rounded(clip.output[0], outputs if len(bias) > outputs else None)
        exact, seen = wanted, (np.rint(_run(seen, weight, bias, form) * LEVELS) / LEVELS).astype(np.float32)
        flat = np.rint(np.clip(flat @ _taps(weight) + bias, 0, 1) * LEVELS) / LEVELS
    for node in rest:
        made.copy(node, {layers[-1][1].output[0]: flow})
    found = helper.make_graph(made.nodes, "network", graph.input, graph.output, list(made.values.values()))
    whole = helper.make_model(found, opset_imports=model.opset_import, ir_version=model.ir_version)
    whole.producer_name = "rtsr"
    checker.check_model(whole, full_check=True)
    return Whole(whole, float(np.square((seen[:, : exact.shape[1]] - exact) * LEVELS).mean()))


class _Written:
    """The nodes and constants of a graph that is being written, from those of another, `known`."""

    def __init__(self, known: dict[str, NDArray[Any]]) -> None:
        self.nodes: list[NodeProto] = []
        self.values: dict[str, Any] = {}
        self._known = known
        self._add("step", np.float32(1 / LEVELS))
        self._add("zero", np.uint8(0))

    def _add(self, name: str, value: Any) -> str:
        self.values[name] = numpy_helper.from_array(np.asarray(value), name)
        return name

    def keep(self, node: NodeProto) -> None:
        """Take over the constants of `node` as they are."""
        for name in node.input:
            if name in self._known:
                self._add(name, self._known[name])

    def copy(self, node: NodeProto, renamed: dict[str, str]) -> None:
        """Take over `node` as it is, with some of its inputs `renamed`."""
        self.keep(node)
        added = NodeProto()
        added.CopyFrom(node)
        added.input[:] = [renamed.get(name, name) for name in node.input]
        self.nodes.append(added)

    def layer(self, conv: NodeProto, clip: NodeProto, flow: str) -> None:
        """Add the convolution, of `flow`, and its clip."""
        self.keep(clip)
        added = NodeProto()
        added.CopyFrom(conv)
        added.input[0] = flow
        self.nodes += [added, clip]

    def rounded(self, flow: str, count: int | None) -> str:
        """Let `flow`, or its first `count` channels, become multiples of 1/255; returns what they are called."""
        whole, back = f"{flow}/whole", f"{flow}/rounded"
        self.nodes.append(helper.make_node("QuantizeLinear", [flow, "step", "zero"], [whole], whole))
        if count is not None:
            few = f"{flow}/few"
            values = {"from": 0, "to": count, "of": 1}
            ends = [self._add(f"{few}/{name}", np.array([value])) for name, value in values.items()]
            self.nodes.append(helper.make_node("Slice", [whole, *ends], [few], few))
            whole = few
        self.nodes.append(helper.make_node("DequantizeLinear", [whole, "step", "zero"], [back], back))
        return back

    def whole(
        self, conv: NodeProto, steps: NDArray[np.int8], scales: NDArray[np.float32], bias: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Give `conv` weights of these `steps`, and the `bias` in whole numbers; returns what that then stands for."""
        parts = scales / np.float32(LEVELS)
        sums = np.rint(bias / parts).astype(np.int32)
        self._constant(conv.input[1], steps, scales)
        self._constant(conv.input[2], sums, parts)
        return (sums * parts).astype(np.float32)

    def _constant(self, name: str, whole: NDArray[Any], scales: NDArray[np.float32]) -> None:
        """The constant `name` as `whole` numbers, and a node that makes it of them."""
        inputs = [self._add(f"{name}/whole", whole), self._add(f"{name}/scale", scales)]
        inputs.append(self._add(f"{name}/zero", np.zeros(len(scales), whole.dtype)))
        self.nodes.append(helper.make_node("DequantizeLinear", inputs, [name], f"{name}/back", axis=0))


def _layers(
    graph: GraphProto, values: dict[str, NDArray[Any]]
) -> tuple[list[tuple[NodeProto, NodeProto]], list[NodeProto]]:
    """The convolutions of `graph`, each with its clip, and the nodes behind them."""
    nodes, layers, flow = list(graph.node), [], graph.input[0].name
    while len(nodes) >= 2 and _is_layer(nodes[0], nodes[1], flow, values):
        flow = nodes[1].output[0]
        layers.append((nodes.pop(0), nodes.pop(0)))
    forms = [_form(conv, values) for conv, _ in layers[1:]]
    made = {node.output[0] for pair in layers for node in pair}
    shown = {name for node in nodes for name in node.input} & made
    if (
        len(layers) < 3
        or any(form != PLAIN for form in forms[:-1])
        or any(form[3:] != PLAIN[3:] for form in (_form(layers[0][0], values), forms[-1]))
        or values[layers[0][0].input[1]].shape[1] != GREYS.shape[1]
        or shown != {flow}
    ):
        raise EngineError(
            "8 bits are for networks from RGB, of 3x3 convolutions with a clip to [0, 1] behind each, at least one "
            "between the first and the last, and what arranges pixels behind that, as QuickSRNet has them; this one is "
            "of another kind"
        )
    return layers, nodes


def _is_layer(conv: NodeProto, clip: NodeProto, flow: str, values: dict[str, NDArray[Any]]) -> bool:
    """Whether the two are a convolution of `flow` with a bias, and its clip to [0, 1]."""
    if (conv.op_type, clip.op_type) != ("Conv", "Clip") or conv.input[0] != flow or clip.input[0] != conv.output[0]:
        return False
    weighed = len(conv.input) == 3 and all(name in values for name in conv.input[1:])
    return weighed and [float(values[name]) for name in clip.input[1:] if name in values] == [0.0, 1.0]


def _form(conv: NodeProto, values: dict[str, NDArray[Any]]) -> list[Any]:
    """Kernel, strides, pads, dilations and groups."""
    settings = {attribute.name: helper.get_attribute_value(attribute) for attribute in conv.attribute}
    usual = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "group": 1}
    found = (settings.get(name, value) for name, value in usual.items())
    return [values[conv.input[1]].shape[2:], *(tuple(value) if isinstance(value, list) else value for value in found)]


def _wide(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weights or biases of as many outputs as there are, and of further ones that are 0 up to a multiple of WIDTH."""
    return np.pad(values, [(0, -len(values) % WIDTH), *[(0, 0)] * (values.ndim - 1)])


def _taps(weight: NDArray[np.floating]) -> NDArray[np.float64]:
    """(inputs, outputs): what a convolution with `weight` multiplies flat pictures by."""
    return weight.sum((2, 3), dtype=np.float64).T


def _gain(wanted: NDArray[np.float64], found: NDArray[np.float64]) -> NDArray[np.float32]:
    """(outputs,): what to multiply `found` (pictures, outputs) by to come nearest to `wanted`; 1 where that is far."""
    gain = (wanted * found).sum(0) / np.maximum((found * found).sum(0), np.finfo(np.float64).tiny)
    return np.where(np.abs(gain - 1) <= MOST_GAIN, gain, 1).astype(np.float32)


def _run(
    image: NDArray[np.float32], weight: NDArray[np.float32], bias: NDArray[np.float32], form: Sequence[Any]
) -> NDArray[np.float32]:
    """`image` (n, inputs, h, w) through a convolution of this `form` (kernel, strides, pads), clipped to [0, 1]."""
    kernel, (down, across), (above, left, below, right) = form
    padded = np.pad(image, ((0, 0), (0, 0), (above, below), (left, right)))
    every = np.lib.stride_tricks.sliding_window_view(padded, kernel, (2, 3))[:, :, ::down, ::across]
    made = np.tensordot(every, weight, ((1, 4, 5), (1, 2, 3)))  # (n, h, w, outputs)
    return np.clip(made + bias, 0, 1).transpose(0, 3, 1, 2).astype(np.float32)
