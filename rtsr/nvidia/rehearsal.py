"""What a GPU computes in half precision, computed on a processor."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
from onnx import ModelProto, NodeProto, ValueInfoProto, helper, numpy_helper

from rtsr.card import check_hash, hash_of
from rtsr.engine import open_engine
from rtsr.engine.onnx import OnnxEngine
from rtsr.engine.stages import StagedEngine
from rtsr.nvidia.graph import prepare
from rtsr.nvidia.precision import FULL, HALF
from rtsr.resources import Network


def rehearse(network: Network, precision: str, threads: int | None = None) -> OnnxEngine | StagedEngine:
    """An engine on the processor that computes what `network` gives on a GPU at `precision` (see `prepare`).

    Features between stages are rounded as they are there. `threads` bounds its cores. Raises UsageError for an
    unknown precision, CardError and EngineError where the network cannot be loaded or converted.
    """
    check_hash(network.card, network.path)
    files = sorted(network.path.glob("*.onnx")) if network.card.exits else [network.path]
    with TemporaryDirectory(prefix="rtsr-") as made:
        for file in files:
            converted = rounded(onnx.load_model_from_string(prepare(file, precision, card=network.card)))
            path = Path(made, file.relative_to(network.path.parent))
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(converted.SerializeToString())
        path = Path(made, network.path.name)
        card = replace(network.card, name=f"{network.card.name} ({precision})", sha256=hash_of(path))
        return open_engine(card, path, threads)


def rounded(model: ModelProto) -> ModelProto:
    """`model` with float32 in place of float16, every value rounded to float16 where a node gives it away.

    ONNX Runtime's processor kernels know no float16. It runs such graphs in float32 and rounds only weights: casts
    that it puts in itself it also takes away again, and what is measured looks better than what a GPU computes. Casts
    that are part of a graph stay. Sums inside an operator are exact here, as tensor cores keep them in float32.
    Inputs and outputs become float32 too.
    """
    typed = onnx.shape_inference.infer_shapes(model)
    graph = typed.graph
    ends = {end.name: end.type.tensor_type.elem_type for end in (*graph.value_info, *graph.output)}
    half = {name for name, kind in ends.items() if kind == HALF}
    nodes: list[NodeProto] = []
    for node in graph.node:
        copy = NodeProto()
        copy.CopyFrom(node)
        for attribute in copy.attribute:
            if attribute.name in ("to", "dtype") and attribute.i == HALF:
                attribute.i = FULL
            elif attribute.HasField("t") and attribute.t.data_type == HALF:
                attribute.t.CopyFrom(_widened(attribute.t))
        nodes.append(copy)
        for place, name in enumerate(node.output):
            if name in half:
                copy.output[place] = f"{name}/exact"
                nodes.append(helper.make_node("Cast", [f"{name}/exact"], [f"{name}/rounded"], to=HALF))
                nodes.append(helper.make_node("Cast", [f"{name}/rounded"], [name], to=FULL))
    values = [_widened(value) if value.data_type == HALF else value for value in graph.initializer]
    inputs, outputs = ([_full(end) for end in ends] for ends in (graph.input, graph.output))
    made = helper.make_graph(nodes, graph.name, inputs, outputs, values)
    return helper.make_model(made, opset_imports=model.opset_import, ir_version=model.ir_version)


def _widened(value: onnx.TensorProto) -> onnx.TensorProto:
    return numpy_helper.from_array(numpy_helper.to_array(value).astype("float32"), value.name)


def _full(end: ValueInfoProto) -> ValueInfoProto:
    copy = ValueInfoProto()
    copy.CopyFrom(end)
    if copy.type.tensor_type.elem_type == HALF:
        copy.type.tensor_type.elem_type = FULL
    return copy
