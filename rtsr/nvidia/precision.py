"""ONNX graphs in half precision, for builders that take the types of a graph as they are (strongly typed networks).

A pass of its own, in place of `onnxruntime.transformers.float16`: that one leaves nodes out of order, which
`onnx.checker` refuses, and puts its folder, with modules of common names, on the import path.
"""

from collections.abc import Iterator

import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from rtsr.errors import EngineError

FULL, HALF = TensorProto.FLOAT, TensorProto.FLOAT16

WIDE = frozenset(
    {
        # Sums over a whole picture, which half precision cannot hold, and the few numbers that come of them.
        "GlobalAveragePool", "ReduceL2", "ReduceMean", "ReduceSum", "ReduceSumSquare", "Gemm",
        "InstanceNormalization", "LayerNormalization", "Softmax",
        # Not defined for half precision by ONNX or by its runtimes.
        "CumSum", "NonMaxSuppression", "QuantizeLinear", "Range", "RoiAlign", "TopK",
    }
)  # fmt: skip
"""Operators that stay in single precision."""
KEPT_INPUTS = {"Resize": (1, 2)}
"""Inputs of operators whose type is not that of the pixels: a resize's region and scales."""
FEATURES = ("features_", "next_")
"""How the names of ends between two stages begin; these become half precision."""


def halved(model: ModelProto) -> ModelProto:
    """`model` in half precision: float32 pictures in and out, float16 between, and at the seams of stages.

    Casts stand where the precision changes. Weights are rounded to nearest, so results differ from those of single
    precision by about 0.1 of 255 levels, measured. Raises EngineError for graphs inside of graphs (If, Loop, Scan) and
    for values whose type ONNX cannot infer.
    """
    return _Pass(model).run()


class _Pass:
    """One walk over a graph, in which every value gets the precision that its reader needs."""

    def __init__(self, model: ModelProto) -> None:
        self.model = onnx.shape_inference.infer_shapes(model)
        graph = self.model.graph
        self.values = {value.name: value for value in graph.initializer}
        self.kinds = {end.name: end.type.tensor_type.elem_type for end in _ends(graph)}
        """Types of values before the pass."""
        self.kinds |= {name: value.data_type for name, value in self.values.items()}
        self.lists = {end.name for end in _ends(graph) if _axes(end) < 2}
        """Scalars and lists: sizes or statistics, which stay in single precision; never pixels."""
        self.ends = {end.name: _end_kind(end) for end in (*graph.input, *graph.output) if end.name not in self.values}
        """Types of inputs and outputs after the pass."""
        self.made = {(end.name, self.ends[end.name]): end.name for end in graph.input if end.name in self.ends}
        """Names of what is there by now, by the value's own name and precision."""
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, TensorProto] = {}

    def run(self) -> ModelProto:
        graph = self.model.graph
        for node in graph.node:
            self._convert(node)
        inputs, outputs = (
            [_typed(end, self.ends[end.name]) for end in ends if end.name in self.ends]
            for ends in (graph.input, graph.output)
        )
        made = helper.make_graph(self.nodes, graph.name, inputs, outputs, list(self.constants.values()))
        return helper.make_model(
            made, opset_imports=self.model.opset_import, ir_version=self.model.ir_version, producer_name="rtsr"
        )

    def _convert(self, node: NodeProto) -> None:
        """Append `node`, reading and writing half precision where it can, with the casts that it needs."""
        if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            raise EngineError(f"the operator {node.op_type} holds a graph of its own; take fp32 for this network")
        copy = NodeProto()
        copy.CopyFrom(node)
        kind = FULL if _is_wide(node) or any(name in self.lists for name in node.output) else HALF
        for place, name in enumerate(node.input):
            if name and self._is_float(name):
                copy.input[place] = self._read(name, FULL if place in KEPT_INPUTS.get(node.op_type, ()) else kind)
            elif name in self.values:
                self.constants[name] = self.values[name]
        _retype(copy, kind)
        self.nodes.append(copy)
        for place, name in enumerate(node.output):
            if name and self._is_float(name):
                copy.output[place] = self._written(name, kind)

    def _written(self, name: str, kind: int) -> str:
        """What a node that makes the value `name` in the precision `kind` calls it; casts it where it is an output."""
        wanted = self.ends.get(name, kind)
        self.made[name, wanted] = name
        if wanted == kind:
            return name
        title = self.made[name, kind] = _title(name, kind)
        self._cast(title, name, wanted)
        return title

    def _read(self, name: str, kind: int) -> str:
        """What the value `name` is called in the precision `kind`, which is made where it is not there yet."""
        if (name, kind) not in self.made:
            title = _title(name, kind)
            if name in self.values:
                array = numpy_helper.to_array(self.values[name]).astype(helper.tensor_dtype_to_np_dtype(kind))
                self.constants[title] = numpy_helper.from_array(array, title)
            else:
                self._cast(self.made[name, FULL if kind == HALF else HALF], title, kind)
            self.made[name, kind] = title
        return self.made[name, kind]

    def _cast(self, source: str, result: str, kind: int) -> None:
        self.nodes.append(helper.make_node("Cast", [source], [result], f"cast/{result}", to=kind))

    def _is_float(self, name: str) -> bool:
        if name not in self.kinds:
            raise EngineError(f"the type of {name!r} in the network is not known; take fp32, or export it again")
        return self.kinds[name] in (FULL, HALF)


def _ends(graph: GraphProto) -> Iterator[ValueInfoProto]:
    yield from graph.value_info
    yield from graph.input
    yield from graph.output


def _end_kind(end: ValueInfoProto) -> int:
    """The type that an input or output has in a half-precision graph."""
    kind = end.type.tensor_type.elem_type
    return HALF if kind == FULL and end.name.startswith(FEATURES) else kind


def _axes(end: ValueInfoProto) -> int:
    """How many axes the value has; many where that is not known."""
    kind = end.type.tensor_type
    return len(kind.shape.dim) if kind.HasField("shape") else 99


def _is_wide(node: NodeProto) -> bool:
    """Whether `node` computes, or can only write, single precision."""
    constant = node.op_type in ("Constant", "ConstantOfShape")
    return node.op_type in WIDE or (constant and not any(attribute.HasField("t") for attribute in node.attribute))


def _typed(end: ValueInfoProto, kind: int) -> ValueInfoProto:
    copy = ValueInfoProto()
    copy.CopyFrom(end)
    copy.type.tensor_type.elem_type = kind
    return copy


def _retype(node: NodeProto, kind: int) -> None:
    """Make `node`, in place, write `kind` where an attribute says what it writes."""
    for attribute in node.attribute:
        if attribute.name in ("to", "dtype") and attribute.i in (FULL, HALF):
            attribute.i = kind
        elif attribute.HasField("t") and attribute.t.data_type in (FULL, HALF):
            array = numpy_helper.to_array(attribute.t).astype(helper.tensor_dtype_to_np_dtype(kind))
            attribute.t.CopyFrom(numpy_helper.from_array(array, attribute.t.name))


def _title(name: str, kind: int) -> str:
    return f"{name}/{'half' if kind == HALF else 'full'}"
