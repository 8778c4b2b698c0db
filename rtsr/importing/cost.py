"""What a foreign graph costs, and how far it looks."""

from math import prod
from pathlib import Path

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto

from rtsr.export.check import ROOMS
from rtsr.importing.probe import LEAST_SIDE, Findings
from rtsr.importing.running import Session, load
from rtsr.models.rlfn import WHOLE_FRAME

VISIBLE = 1e-6
"""The least change of a result that counts as one, white being 1."""
SIDE = 96
"""About the side of the picture that multiply-adds are counted on."""
COUNTED = ("Conv", "ConvTranspose", "MatMul", "Gemm")
FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)


def parameters(model: ModelProto) -> int:
    """How many numbers the graph has as weights."""
    return sum(prod(value.dims) for value in model.graph.initializer if value.data_type in FLOATS)


def macs_per_pixel(model: ModelProto, multiple: int, path: Path) -> float:
    """Multiply-adds of convolutions and matrix products per input pixel, from the shapes that a run shows."""
    counted = [node for node in model.graph.node if node.op_type in COUNTED]
    shapes = {value.name: list(value.dims) for value in model.graph.initializer}
    names = {name for node in counted for name in (*node.input[:2], node.output[0])} - shapes.keys() - {"image"}
    shown = ModelProto()
    shown.CopyFrom(model)
    shown.graph.output.extend(ValueInfoProto(name=name) for name in sorted(names - {"upscaled"}))
    side = -(-SIDE // multiple) * multiple
    image = np.zeros((1, 3, side, side), np.float32)
    shapes |= {name: list(result.shape) for name, result in load(shown, path)(image).items()}
    shapes["image"] = list(image.shape)
    return round(sum(_macs(node, shapes) for node in counted) / side**2, 3)


def _macs(node: NodeProto, shapes: dict[str, list[int]]) -> int:
    first, second, result = (shapes[name] for name in (*node.input[:2], node.output[0]))
    if node.op_type == "Conv":
        return prod(result) * prod(second[1:])
    return prod(first) * prod(second[1:]) if node.op_type == "ConvTranspose" else prod(result) * first[-1]


def radius(run: Session, findings: Findings) -> int:
    """How far an output pixel of a wrapped graph looks, in input pixels, counted from the one that it lies in.

    Measured by changing a row of noise and looking where the result follows by more than `VISIBLE`.
    """
    random = np.random.default_rng(0)
    width = -(-LEAST_SIDE // findings.multiple) * findings.multiple
    for room in ROOMS:
        height = -(-(2 * room + 2) // findings.multiple) * findings.multiple
        farthest = 0
        for place in (room, room + 1):
            image = random.random((2, 3, height, width), np.float32)
            changed = image.copy()
            changed[:, :, place] = random.random((2, 3, width), np.float32)
            before, after = (run(picture)["upscaled"] for picture in (image, changed))
            rows = np.flatnonzero((np.abs(after - before) > VISIBLE).any(axis=(0, 1, 3))).tolist()
            farthest = max([farthest, *(abs(int(row / findings.scale) - place) for row in rows)])
        if farthest < room:
            return farthest
    return WHOLE_FRAME
