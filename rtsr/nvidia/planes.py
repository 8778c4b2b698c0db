"""Video planes in, video planes out: colour conversion as a part of the network's graph.

8-bit planes are an eighth of the bytes of float RGB on their way to a GPU and back. The arithmetic is that of
`rtsr.colour`, in single precision, around a network of any precision: products and sums of pixels, which builders
fuse, instead of convolutions, which some of them round to 10 bits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, compose, helper, numpy_helper, shape_inference

from rtsr.card import Card
from rtsr.colour import levels
from rtsr.errors import EngineError
from rtsr.frame import KR_KB, YUV420P8, Colour

NETWORK = "network/"
"""In front of the names of what is in the network."""
BYTES = TensorProto.UINT8


@dataclass(frozen=True, slots=True)
class Fit:
    """What a network makes of a frame's size and values; see `rtsr.card.Card`."""

    scale: Fraction
    multiple: int = 1
    """Sides that it takes are multiples of this."""
    white: float = 1.0


def with_planes(model: ModelProto, colour: Colour, fit: Fit, nv12: bool = False) -> ModelProto:
    """`model`, "image" to "upscaled" in float32, with 8-bit 4:2:0 planes of `colour` at both ends.

    "y" (n, 1, h, w), "u" and "v" (n, 1, ceil(h / 2), ceil(w / 2)) to "y_up", "u_up" and "v_up", uint8, the same as
    `rtsr.Upscaler.frame` within a level: `ceil(side * scale) // 2 * 2` pixels of luma, chroma on every second column.
    Odd sides, and sides that the network does not take, are padded inside by repeating the last pixels, and what
    comes of that is cut off.

    With `nv12` chroma is as video decoders and encoders on GPUs have it, a plane of Cb and Cr in turns: "y" and "uv"
    (n, 1, h / 2, w) to "y_up" and "uv_up", for even sides; the samples are the same.
    """
    opset = model.opset_import[0].version
    front = _model(_front(colour, fit, nv12), opset, model.ir_version)
    back = _model(_back(colour, fit, nv12), opset, model.ir_version)
    named = compose.add_prefix(model, NETWORK)
    whole = compose.merge_models(front, named, [("rgb", NETWORK + "image")], outputs=["size", NETWORK + "upscaled"])
    pairs = [(NETWORK + "upscaled", "large"), ("size", "planes_size")]
    whole = compose.merge_models(whole, back, pairs)
    whole.producer_name = "rtsr"
    # Sizes inside have the names of the network's own ends, which are others here.
    del whole.graph.value_info[:]
    return whole


def fit_of(model: ModelProto, card: Card | None = None) -> Fit:
    """What `model` makes of sizes and values, as `card` says; without one its scale is seen in its shapes.

    Raises EngineError where `model` is no upscaler, and where its shapes do not show the scale.
    """
    ends = [[end.name for end in ends] for ends in (model.graph.input, model.graph.output)]
    if ends[0] != ["image"] or ends[1][:1] != ["upscaled"]:
        found = " to ".join(", ".join(names) for names in ends)
        raise EngineError(f"planes go into a whole network, image to upscaled, not {found}")
    if card is not None:
        return Fit(card.scale, card.size_multiple, card.value_max)
    side = 1260  # divides by 1 to 7
    known = ModelProto()
    known.CopyFrom(model)
    del known.graph.value_info[:]
    for end in known.graph.input:
        for axis, size in enumerate((1, 3, side, side)):
            end.type.tensor_type.shape.dim[axis].dim_value = size
    for end in known.graph.output:
        end.type.tensor_type.ClearField("shape")
    shape = shape_inference.infer_shapes(known).graph.output[0].type.tensor_type.shape.dim
    if len(shape) != 4 or not shape[2].dim_value:
        raise EngineError("its scale is not seen in its shapes; give its card")
    scale = Fraction(shape[2].dim_value, side)
    return Fit(scale, scale.denominator)


class _Nodes:
    """Nodes and constants of a graph in the making; `title` sets their names apart from others'."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def add(self, kind: str, *inputs: str, name: str = "", **settings: Any) -> str:
        """What an operator makes of `inputs`, by its name; `name` where it is an output of the graph."""
        return self.add_many(kind, 1, *inputs, name=name, **settings)[0]

    def add_many(self, kind: str, count: int, *inputs: str, name: str = "", **settings: Any) -> list[str]:
        """The `count` things that an operator makes of `inputs`, by their names."""
        title = f"{self.title}/{kind.lower()}{len(self.nodes)}"
        results = [name or title] if count == 1 else [f"{title}/{place}" for place in range(count)]
        self.nodes.append(helper.make_node(kind, list(inputs), results, title, **settings))
        return results

    def whole(self, *values: int) -> str:
        """The name of a list of whole numbers."""
        return self._constant(np.array(values, np.int64))

    def constant(self, value: ArrayLike) -> str:
        """The name of a number, or numbers, in float32."""
        return self._constant(np.array(value, np.float32))

    def every_second(self, plane: str, first: int) -> str:
        """Every second column of `plane`, from column `first` on."""
        return self.add("Slice", plane, self.whole(first), self.whole(2**31 - 1), self.whole(3), self.whole(2))

    def in_turns(self, even: str, odd: str) -> str:
        """A plane whose columns are those of `even` and `odd` in turns."""
        pairs = (self.add("Unsqueeze", plane, self.whole(4)) for plane in (even, odd))
        return self.add("Reshape", self.add("Concat", *pairs, axis=4), self.whole(0, 0, 0, -1))

    def per_colour(self, *values: float) -> str:
        return self.constant(np.reshape(values, (1, -1, 1, 1)))

    def _constant(self, array: NDArray) -> str:
        name = f"{self.title}/constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name


def _front(colour: Colour, fit: Fit, nv12: bool) -> tuple[_Nodes, list[ValueInfoProto], list[ValueInfoProto]]:
    """From "y", "u" and "v", or "y" and "uv", to "rgb", padded, and "size", luma's rows and columns."""
    kr, kb = KR_KB[colour.matrix]
    kg = 1 - kr - kb
    black, luma_range, chroma_range, grey = levels(colour, YUV420P8)
    red, blue = 2 * (1 - kr) / chroma_range, 2 * (1 - kb) / chroma_range
    of_u, of_v = np.array([0, -blue * kb / kg, blue]), np.array([red, -red * kr / kg, 0])
    offset = -black / luma_range - grey * (of_u + of_v)
    graph = _Nodes("front")
    y, *chroma = (graph.add("Cast", plane, to=TensorProto.FLOAT) for plane in (("y", "uv") if nv12 else "yuv"))
    u, v = (graph.every_second(chroma[0], first) for first in (0, 1)) if nv12 else chroma
    # Interpolation is linear, so what chroma adds to red, green and blue is mixed while it is small.
    u, v = graph.add("Mul", u, graph.per_colour(*of_u)), graph.add("Mul", v, graph.per_colour(*of_v))
    chroma = graph.add("Add", graph.add("Add", u, v), graph.per_colour(*offset))
    size = graph.add("Slice", graph.add("Shape", "y"), graph.whole(2), graph.whole(4))
    chroma = graph.add("Slice", _enlarged(graph, chroma, colour.chroma_left), *_from_top_left(graph, size))
    rgb = graph.add("Add", chroma, graph.add("Mul", y, graph.constant(1 / luma_range)))
    rgb = graph.add("Clip", rgb, graph.constant(0), graph.constant(1))
    if fit.multiple > 1:
        rgb = graph.add("Pad", rgb, _missing(graph, size, fit.multiple), mode="edge")
    if fit.white != 1:
        rgb = graph.add("Mul", rgb, graph.constant(fit.white))
    graph.add("Identity", rgb, name="rgb")
    graph.add("Identity", size, name="size")
    return graph, _planes("", nv12), [_picture("rgb", "h_in", "w_in"), _size("size")]


def _enlarged(graph: _Nodes, chroma: str, left: bool) -> str:
    """`chroma` with twice the rows and columns, interpolated linearly from where its samples lie."""
    settings = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    if not left:
        return graph.add("Resize", chroma, "", graph.constant([1, 1, 2, 2]), **settings)
    across = {**settings, "coordinate_transformation_mode": "asymmetric"}
    wide = graph.add("Resize", chroma, "", graph.constant([1, 1, 1, 2]), **across)
    return graph.add("Resize", wide, "", graph.constant([1, 1, 2, 1]), **settings)


def _missing(graph: _Nodes, size: str, multiple: int) -> str:
    """Pads that make the rows and columns in `size` multiples of `multiple`, at the bottom and at the right."""
    many = graph.whole(multiple)
    up = graph.add("Div", graph.add("Add", size, graph.whole(multiple - 1)), many)
    missing = graph.add("Sub", graph.add("Mul", up, many), size)
    return graph.add("Concat", graph.whole(0, 0, 0, 0, 0, 0), missing, axis=0)


def _back(colour: Colour, fit: Fit, nv12: bool) -> tuple[_Nodes, list[ValueInfoProto], list[ValueInfoProto]]:
    """From "large" and luma's old size to "y_up", "u_up" and "v_up", or "y_up" and "uv_up"."""
    kr, kb = KR_KB[colour.matrix]
    black, luma_range, chroma_range, grey = levels(colour, YUV420P8)
    graph = _Nodes("back")
    rgb = "large"
    if fit.white != 1:
        rgb = graph.add("Mul", rgb, graph.constant(1 / fit.white))
    if fit.multiple > 1 or fit.scale.numerator % 2 or fit.scale.denominator > 1:
        rgb = graph.add("Slice", rgb, *_from_top_left(graph, _enlarged_size(graph, fit.scale)))
    red, green, blue = graph.add_many("Split", 3, rgb, graph.whole(1, 1, 1), axis=1)
    weights = {red: kr, green: 1 - kr - kb, blue: kb}
    first, second, third = (graph.add("Mul", part, graph.constant(share)) for part, share in weights.items())
    luma = graph.add("Add", graph.add("Add", first, second), third)
    _quantised(graph, graph.add("Mul", luma, graph.constant(luma_range)), black, "y_up")
    differences = graph.add("Concat", graph.add("Sub", blue, luma), graph.add("Sub", red, luma), axis=1)
    # Half of it, since what is multiplied is the sum of two means.
    gains = graph.per_colour(*(chroma_range / (2 * (1 - weight)) / 2 for weight in (kb, kr)))
    chroma = graph.add("Mul", _twice_halved(graph, differences), gains)
    u, v = graph.add_many("Split", 2, chroma, graph.whole(1, 1), axis=1)
    if nv12:
        _quantised(graph, graph.in_turns(u, v), grey, "uv_up")
    else:
        _quantised(graph, u, grey, "u_up")
        _quantised(graph, v, grey, "v_up")
    return graph, [_picture("large", "h_out", "w_out"), _size("planes_size")], _planes("_up", nv12)


def _enlarged_size(graph: _Nodes, scale: Fraction) -> str:
    """Rows and columns of the upscaled frame: a last part of a pixel counts as one, an odd one is cut off."""
    up, down = scale.as_integer_ratio()
    exact = graph.add("Mul", "planes_size", graph.whole(up))
    pixels = graph.add("Div", graph.add("Add", exact, graph.whole(down - 1)), graph.whole(down))
    return graph.add("Mul", graph.add("Div", pixels, graph.whole(2)), graph.whole(2))


def _twice_halved(graph: _Nodes, plane: str) -> str:
    """Twice `plane` at half its size: [1 2 1] / 4 around every second column, the border repeated, mean of two rows.

    The mean of columns 2k - 1 and 2k, plus that of 2k and 2k + 1; a mean over what lies inside of the picture is one
    that repeats the border.
    """
    settings: dict[str, Any] = {"kernel_shape": [2, 2], "strides": [2, 2]}
    centred = graph.add("AveragePool", plane, **settings)
    before = graph.add("AveragePool", plane, pads=[0, 1, 0, 0], count_include_pad=0, **settings)
    return graph.add("Add", centred, before)


def _quantised(graph: _Nodes, plane: str, offset: float, name: str) -> None:
    """`plane` plus `offset` in whole steps of 8 bits, as `name`."""
    whole = graph.add("Round", graph.add("Add", plane, graph.constant(offset)))
    inside = graph.add("Clip", whole, graph.constant(0), graph.constant(255))
    graph.add("Cast", inside, name=name, to=BYTES)


def _from_top_left(graph: _Nodes, size: str) -> Sequence[str]:
    """What makes a Slice cut out the upper left rows and columns that `size` says."""
    return graph.whole(0, 0), size, graph.whole(2, 3)


def _model(made: tuple[_Nodes, list[ValueInfoProto], list[ValueInfoProto]], opset: int, version: int) -> ModelProto:
    graph, inputs, outputs = made
    whole = helper.make_graph(graph.nodes, graph.title, inputs, outputs, graph.constants)
    return helper.make_model(whole, opset_imports=[helper.make_opsetid("", opset)], ir_version=version)


def _planes(end: str, nv12: bool) -> list[ValueInfoProto]:
    """The planes of a frame, their names with `end` behind them."""
    rows, columns = f"h{end}", f"w{end}"
    if nv12:
        return [_plane(f"y{end}", rows, columns), _plane(f"uv{end}", f"{rows}_half", columns)]
    chroma = (_plane(f"{name}{end}", f"{rows}_half", f"{columns}_half") for name in "uv")
    return [_plane(f"y{end}", rows, columns), *chroma]


def _plane(name: str, rows: str, columns: str) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, BYTES, ["n", 1, rows, columns])


def _picture(name: str, rows: str, columns: str) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3, rows, columns])


def _size(name: str) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.INT64, [2])
