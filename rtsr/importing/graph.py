"""Foreign ONNX files: read, with all that belongs to them, and looked at before anything runs."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import (
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    external_data_helper,
    helper,
    numpy_helper,
    version_converter,
)

from rtsr.engine.session import first_line
from rtsr.errors import ImportFailed

OLDEST_OPSET = 13
"""Graphs of older ones are converted: what is put around them is not written for those."""
OPSET = 17
KINDS: dict[int, str] = {TensorProto.FLOAT: "float32", TensorProto.FLOAT16: "float16"}


@dataclass(frozen=True, slots=True)
class Foreign:
    """A graph that makes one picture of another, sides as free as it says itself."""

    model: ModelProto
    source: str
    """Name of its input."""
    result: str
    """Name of its output."""
    channels: int
    """3 for RGB, 1 for luma; 0 where the graph does not say."""
    dtype: str
    """Of its input: `float32` or `float16`."""
    declared: str
    """The size of its input as it said itself, e.g. `1x3x64x64`."""


def read_graph(path: Path) -> Foreign:
    """The graph in the ONNX file `path`, with weights that lie in other files beside it.

    Raises ImportFailed where the file is damaged, its weights lie outside its folder, or it does not make one
    picture (n, channels, h, w) of another.
    """
    model = _load(path)
    values = {value.name for value in model.graph.initializer}
    inputs = [end for end in model.graph.input if end.name not in values]
    outputs = list(model.graph.output)
    for title, ends in (("inputs", inputs), ("outputs", outputs)):
        if len(ends) != 1:
            names = ", ".join(end.name for end in ends) or "none"
            raise ImportFailed(f"{path} has {len(ends)} {title} ({names}); an upscaler has one picture in and one out")
    (source,), (result,) = inputs, outputs
    kind = source.type.tensor_type.elem_type
    if kind not in KINDS or result.type.tensor_type.elem_type not in KINDS:
        kinds = " and ".join(_kind(end) for end in (source, result))
        raise ImportFailed(f"{path} works on {kinds}; export it with float32 or float16 pictures in and out")
    channels = _channels(path, source)
    declared = "x".join(str(side.dim_param or side.dim_value or "?") for side in source.type.tensor_type.shape.dim)
    _free_sizes(model.graph, source, result)
    return Foreign(model, source.name, result.name, channels, KINDS[kind], declared)


def _load(path: Path) -> ModelProto:
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except OSError as cause:
        raise ImportFailed(f"cannot read {path}: {cause.strerror}") from cause
    except Exception as cause:  # protobuf's errors have no public class
        raise ImportFailed(f"{path} is damaged, or no ONNX file; download it again") from cause
    if not model.graph.node:
        raise ImportFailed(f"{path} is damaged, or no ONNX file: it holds no graph; download it again")
    _take_in_weights(model, path)
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), OPSET)
    try:
        return version_converter.convert_version(model, OPSET) if opset < OLDEST_OPSET else model
    except Exception as cause:  # as above
        raise ImportFailed(
            f"{path} is of the old opset {opset} and cannot be converted: {first_line(cause)}; export it with {OPSET}"
        ) from cause


def _take_in_weights(model: ModelProto, path: Path) -> None:
    """Load weights that lie in files beside `path` into `model`; refuse those that lie elsewhere."""
    folder = path.resolve().parent
    nodes = [node for function in model.functions for node in function.node]
    tensors = [*_tensors(model.graph), *_constants(nodes)]
    outside = [tensor for tensor in tensors if external_data_helper.uses_external_data(tensor)]
    for tensor in outside:
        said = {entry.key: entry.value for entry in tensor.external_data}
        location = said.get("location", "")
        place = (folder / location).resolve()
        if not place.is_relative_to(folder):
            raise ImportFailed(
                f"{path} asks for weights outside its folder ({location}), which are not read; copy them into it"
            )
        if not place.is_file():
            raise ImportFailed(f"{path} has its weights in {location}, which is missing; put it into the same folder")
        try:
            tensor.raw_data = _cut(place, said.get("offset", "0"), said.get("length"))
        except OSError as cause:
            raise ImportFailed(f"cannot read the weights of {path} in {location}: {cause.strerror}") from cause
        del tensor.external_data[:]
        tensor.data_location = TensorProto.DEFAULT
        try:
            numpy_helper.to_array(tensor)
        except Exception as cause:  # whatever does not fit its shape and type
            where = ", ".join(f"{key} {said[key]}" for key in ("offset", "length") if key in said) or "all of it"
            raise ImportFailed(
                f"{path}: {location} does not hold {tensor.name} where it is said to ({where}); download both again"
            ) from cause


def _cut(file: Path, offset: str, length: str | None) -> bytes:
    """The part of `file` that a graph asks for; empty where it is none."""
    size = str(file.stat().st_size)
    if not all(number.isdecimal() and int(number[:20]) <= int(size) for number in (offset, length or size)):
        return b""
    with file.open("rb") as opened:
        opened.seek(int(offset))
        return opened.read(int(length or size))


def _tensors(graph: GraphProto) -> Iterator[TensorProto]:
    """All constants of `graph` and of the graphs in it."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _constants(graph.node)


def _constants(nodes: Iterable[NodeProto]) -> Iterator[TensorProto]:
    """All constants in the attributes of `nodes`."""
    for attribute in (attribute for node in nodes for attribute in node.attribute):
        yield from (attribute.t, *attribute.tensors, attribute.sparse_tensor.values, attribute.sparse_tensor.indices)
        for inner in (attribute.g, *attribute.graphs):
            yield from _tensors(inner)


def _kind(end: ValueInfoProto) -> str:
    """The type of an input or output in words."""
    kind = end.type.tensor_type.elem_type
    return helper.tensor_dtype_to_np_dtype(kind).name if kind else "what is no tensor"


def _channels(path: Path, source: ValueInfoProto) -> int:
    sides = source.type.tensor_type.shape.dim
    if len(sides) != 4:
        shape = ", ".join(str(side.dim_param or side.dim_value) for side in sides) or "not said"
        raise ImportFailed(f"{path} takes pictures of another rank ({shape}); an upscaler's are (n, channels, h, w)")
    channels = sides[1].dim_value
    if channels not in (1, 3) and sides[3].dim_value in (1, 3):
        raise ImportFailed(f"{path} takes pictures with channels last; export it to take and give (n, channels, h, w)")
    if channels not in (0, 1, 3):
        raise ImportFailed(f"{path} takes pictures of {channels} channels; 3 (RGB) and 1 (luma) can be used")
    return channels


def _free_sizes(graph: GraphProto, source: ValueInfoProto, result: ValueInfoProto) -> None:
    """Take what the graph says of sizes out of it: whether it works for others, running it shows."""
    sides = source.type.tensor_type.shape.dim
    for side, name in ((sides[0], "n"), (sides[2], "h"), (sides[3], "w")):
        side.dim_param = name
    result.type.tensor_type.ClearField("shape")
    del graph.value_info[:]
