"""Compares ways to write one network as an ONNX graph, and ways to run it: `python -m benchmarks.graph --json FILE`.

All forms give the same picture (this is checked) and run in turns, so that whatever slows the machine slows all
of them. Processor time ("work") tells them apart even on a busy machine, wall time does not. The findings are in
docs/decisions/0002-exported-graph.md.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any, cast

import numpy as np
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper

from benchmarks.machine import machine
from rtsr.export.graphs import IR_VERSION, spread
from rtsr.export.quicksrnet import Layer, layers
from rtsr.models import build
from rtsr.models.quicksrnet import QuickSRNet

SIZES = ((270, 480), (540, 960))
WARM_UP = 3
"""Runs before the first that counts: ONNX Runtime plans its memory in the first and takes it in the second."""


@dataclass(frozen=True)
class Form:
    """One way to write and run a network; the defaults are what rtsr exports and does."""

    clamp: str = "Clip"
    """Or Relu+Min."""
    shuffle: str = "ConvTranspose"
    """Or Col2Im, DepthToSpace, or numpy: left to the caller."""
    head: str = "folded"
    """At x1.5: the 2x2 convolution with stride 2, or SpaceToDepth and a 1x1 convolution."""
    bytes_out: bool = False
    fusion: bool = True
    """All optimisations, including the NCHWc layout; otherwise only the extended ones."""


FORMS = {
    "exported": Form(),
    "exported (again)": Form(),
    "Relu+Min": Form(clamp="Relu+Min"),
    "DepthToSpace": Form(shuffle="DepthToSpace"),
    "Col2Im": Form(shuffle="Col2Im"),
    "shuffled in numpy": Form(shuffle="numpy"),
    "SpaceToDepth head": Form(head="SpaceToDepth"),
    "bytes out": Form(bytes_out=True, shuffle="DepthToSpace"),
    "no NCHWc layout": Form(fusion=False),
}


class Writer:
    """Collects the nodes of a graph that is one chain."""

    def __init__(self, flow: str) -> None:
        self.nodes, self.values, self.flow = [], [], flow

    def add(self, op: str, *constants: np.ndarray | np.float32, **attributes: Any) -> None:
        names = [f"value{len(self.values) + i}" for i in range(len(constants))]
        self.values += [
            numpy_helper.from_array(np.asarray(value), name) for value, name in zip(constants, names, strict=True)
        ]
        result = f"flow{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, [self.flow, *names], [result], **attributes))
        self.flow = result

    def convolve(self, layer: Layer) -> None:
        pad = 1 if layer.weight.shape[-1] == 3 else 0
        self.add("Conv", layer.weight, layer.bias, pads=[pad] * 4, strides=[layer.stride] * 2)

    def clamp(self, kind: str, high: float = 1) -> None:
        if kind == "Clip":
            self.add("Clip", np.float32(0), np.float32(high))
        else:
            self.add("Relu")
            self.add("Min", np.float32(high))


def write(model: QuickSRNet, form: Form, height: int, width: int) -> bytes:
    """The ONNX file of `model` in `form` for pictures of height x width."""
    writer, chain, r = Writer("image"), layers(model), model.shuffle
    for layer in chain[:-1]:
        writer.convolve(layer)
        writer.clamp(form.clamp)
    last = chain[-1]
    if form.bytes_out:  # the bias takes the half that makes the cast round
        last = replace(last, weight=last.weight * np.float32(255), bias=last.bias * np.float32(255) + np.float32(0.5))
    if form.head == "SpaceToDepth" and last.stride == 2:
        writer.add("SpaceToDepth", blocksize=2)
        last = Layer(last.weight.transpose(0, 2, 3, 1).reshape(len(last.weight), -1, 1, 1).copy(), last.bias)
    writer.convolve(last)
    if form.bytes_out:
        writer.clamp(form.clamp, 255.5)
        writer.add("Cast", to=TensorProto.UINT8)
    else:
        writer.clamp(form.clamp)
    shuffle(writer, form.shuffle, r, height // chain[-1].stride, width // chain[-1].stride)
    sort = TensorProto.UINT8 if form.bytes_out else TensorProto.FLOAT
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, "h", "w"])
    result = helper.make_tensor_value_info(writer.flow, sort, ["n", None, "h_out", "w_out"])
    made = helper.make_graph(writer.nodes, "form", [image], [result], writer.values)
    opset = helper.make_opsetid("", 18)  # the first with Col2Im
    return helper.make_model(made, opset_imports=[opset], ir_version=IR_VERSION).SerializeToString()


def shuffle(writer: Writer, kind: str, r: int, height: int, width: int) -> None:
    """Channels (colour, row, column) of a height x width picture to pixels."""
    if kind == "DepthToSpace":
        writer.add(kind, blocksize=r, mode="CRD")
    elif kind == "ConvTranspose":
        writer.add("ConvTranspose", spread(r), strides=[r, r], group=3)
    elif kind == "Col2Im":
        writer.add("Reshape", np.array([1, 3 * r * r, -1]))
        writer.add("Col2Im", np.array([height * r, width * r]), np.array([r, r]), strides=[r, r])


def runner(model: QuickSRNet, form: Form, image: np.ndarray) -> Callable[[], np.ndarray]:
    """A function that upscales `image` (1, 3, H, W) in `form`."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.enable_mem_pattern = False
    if not form.fusion:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    network = write(model, form, *image.shape[2:])
    session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])

    def plain() -> np.ndarray:
        return cast(np.ndarray, session.run(None, {"image": image})[0])

    def shuffled() -> np.ndarray:
        (_, _, h, w), r = (flat := plain()).shape, model.shuffle
        result = np.empty((3, h, r, w, r), flat.dtype)
        for row, column in np.ndindex(r, r):
            result[:, :, row, :, column] = flat.reshape(3, r, r, h, w)[:, row, column]
        return result.reshape(1, 3, h * r, w * r)

    return shuffled if form.shuffle == "numpy" else plain


def compare(scale: Fraction, height: int, width: int, rounds: int) -> dict[str, dict[str, float]]:
    """Wall and processor time of every form; raises SystemExit where one gives another picture."""
    torch.manual_seed(0)
    model = build("quicksrnet-small", scale)
    assert isinstance(model, QuickSRNet)
    image = np.random.default_rng(0).integers(0, 256, (1, 3, height, width)).astype(np.float32) / np.float32(255)
    runners = {name: runner(model, form, image) for name, form in FORMS.items()}
    want = runners["exported"]().copy()
    for name, run in runners.items():
        for _ in range(WARM_UP):
            run()
        got = run() / np.float32(255) if FORMS[name].bytes_out else run()
        allowed = 0.51 / 255 if FORMS[name].bytes_out else 1e-5
        if not (off := np.abs(got - want).max()) <= allowed:
            raise SystemExit(f"error: {name} differs from what is exported by {off:.1e}")
    walls, works = ({name: [] for name in FORMS} for _ in range(2))
    for _ in range(rounds):
        for name, run in runners.items():
            began, worked = time.perf_counter(), time.process_time()
            run()
            walls[name].append(1e3 * (time.perf_counter() - began))
            works[name].append(1e3 * (time.process_time() - worked))
    return {
        name: {
            "wall_ms": median(walls[name]),
            "work_ms": median(works[name]),
            "least_ms": min(works[name]),
            "of_exported": median(mine / its for mine, its in zip(works[name], works["exported"], strict=True)),
        }
        for name in FORMS
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures and the machine's data here")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    results = []
    for height, width in SIZES:
        for scale in (Fraction(2), Fraction(3, 2)):
            forms = compare(scale, height, width, options.rounds)
            results.append({"scale": str(scale), "height": height, "width": width, "forms": forms})
            print(f"\nQuickSRNet-Small x{float(scale):g}, {width}x{height}")
            for name, row in forms.items():
                print(f"{name:20} " + "  ".join(f"{key} {value:6.2f}" for key, value in row.items()))
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), "results": results}, indent=1))


if __name__ == "__main__":
    main()
