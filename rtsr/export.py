"""From a trained network to the two files that ship: an ONNX graph checked against PyTorch, and its card.

The graph holds what ONNX Runtime runs fastest (docs/decisions/0002-exported-graph.md): convolutions with a
Clip behind each, which it fuses, and depth-to-space written as a transposed convolution.
"""

import copy
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import cast

import numpy as np
import onnx
import onnxruntime
import tomli_w
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from rtsr.card import Card, Quality, card_as_dict
from rtsr.errors import EngineError, TrainError, UsageError
from rtsr.models import build
from rtsr.models.quicksrnet import QuickSRNet
from rtsr.train.recipe import Recipe

OPSET = 17
IR_VERSION = 8
"""What goes with opset 17; every supported ONNX Runtime reads it."""
TOLERANCE = 1e-4
"""Largest difference from PyTorch that is allowed, white being 1."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution of the exported graph."""

    weight: np.ndarray
    """(outputs, inputs, rows, columns), float32."""
    bias: np.ndarray
    stride: int = 1


def export(
    model: QuickSRNet,
    name: str,
    arch: str,
    flavour: str,
    folder: Path,
    summary: str = "",
    training: str = "",
    quality: dict[str, Quality] | None = None,
) -> Card:
    """Write `name`.onnx and its card `name`.toml into `folder`; returns the card.

    The file is compared with PyTorch before it gets its name. Raises EngineError where they differ by more
    than `TOLERANCE`; then nothing in `folder` has changed.
    """
    model = model.eval()
    network = graph(model).SerializeToString()
    card = Card(
        name=name,
        arch=arch,
        scale=model.scale,
        flavour=flavour,
        sha256=sha256(network).hexdigest(),
        size_multiple=model.scale.denominator,
        radius=radius(model),
        parameters=sum(weights.numel() for weights in model.parameters()),
        macs_per_pixel=sum(layer.weight.size / layer.stride**2 for layer in layers(model)),
        summary=summary,
        training=training,
        quality=quality or {},
    )
    difference = parity(model, network)
    if not difference <= TOLERANCE:
        raise EngineError(f"{name}: the exported graph differs from PyTorch by {difference:.1e}, allowed {TOLERANCE}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / f"{name}.onnx", network)
        _write(folder / f"{name}.toml", tomli_w.dumps(card_as_dict(card)).encode())
    except OSError as cause:
        raise EngineError(f"cannot write {name} to {folder}: {cause.strerror}; choose another --folder") from cause
    return card


def export_checkpoint(
    checkpoint: Path,
    recipe: Recipe,
    folder: Path,
    name: str = "",
    training: str = "",
    quality: dict[str, Quality] | None = None,
) -> Card:
    """Export the averaged weights of a training checkpoint under `name`, by default the recipe's.

    Raises TrainError where the checkpoint is damaged or belongs to another network than the recipe's.
    """
    try:
        state = torch.load(checkpoint, weights_only=True, map_location="cpu")
        weights, step = state["average"], state["step"]
    except Exception as cause:  # torch.load raises whatever its unpickler meets
        raise TrainError(f"cannot read the checkpoint {checkpoint}: {_first_line(cause)}") from cause
    model = build(recipe.arch, recipe.scale)
    if not isinstance(model, QuickSRNet):
        raise UsageError(f"{recipe.arch} cannot be exported; only the quicksrnet family can")
    try:
        model.load_state_dict(weights)
    except (RuntimeError, TypeError, AttributeError) as cause:
        raise TrainError(
            f"the checkpoint {checkpoint} does not hold {recipe.arch} x{float(recipe.scale):g}; "
            "give the recipe that it was trained with"
        ) from cause
    title = f"QuickSRNet-{recipe.arch.rsplit('-')[-1].title()} x{float(recipe.scale):g}, {recipe.flavour}"
    training = training or f"{step} of {recipe.steps} steps of the recipe {recipe.name}"
    return export(model, name or recipe.name, recipe.arch, recipe.flavour, folder, title, training, quality)


def layers(model: QuickSRNet) -> list[Layer]:
    """The convolutions of `model` in order; at x1.5 the head is folded into a 2x2 one with stride 2."""
    found = [_layer(conv) for conv in (model.conv_first, *model.conv_mid, model.conv_last)]
    if model.scale.denominator == 1:
        return found
    head = found[-1]
    folded = head.weight.reshape(len(head.weight), -1, 2, 2)  # channel order (c, dy, dx), see QuickSRNet.head
    return [*found[:-1], Layer(folded, head.bias, stride=2)]


def graph(model: QuickSRNet) -> onnx.ModelProto:
    """The ONNX form of `model`: "image" (n, 3, h, w) to "upscaled", float32 in [0, 1], any n, h and w."""
    constants = {"black": np.float32(0), "white": np.float32(1), "spread": spread(model.shuffle)}
    nodes, flow = [], "image"
    for i, layer in enumerate(layers(model)):
        weight, bias, conv, clip = f"weight{i}", f"bias{i}", f"conv{i}", f"clip{i}"
        constants |= {weight: layer.weight, bias: layer.bias}
        pads = [1 if layer.weight.shape[-1] == 3 else 0] * 4
        nodes.append(
            helper.make_node("Conv", [flow, weight, bias], [conv], conv, pads=pads, strides=[layer.stride] * 2)
        )
        nodes.append(helper.make_node("Clip", [conv, "black", "white"], [clip], clip))
        flow = clip
    block = [model.shuffle] * 2
    nodes.append(helper.make_node("ConvTranspose", [flow, "spread"], ["upscaled"], "shuffle", strides=block, group=3))
    values = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, "h", "w"])
    upscaled = helper.make_tensor_value_info("upscaled", TensorProto.FLOAT, ["n", 3, "h_out", "w_out"])
    made = helper.make_model(
        helper.make_graph(nodes, "quicksrnet", [image], [upscaled], values),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="rtsr",
    )
    onnx.checker.check_model(made, full_check=True)
    return made


def spread(block: int) -> np.ndarray:
    """Weights of a transposed convolution (stride `block`, a group a colour) that is depth-to-space, exactly.

    Each of a colour's block * block channels goes to its own place in the block, times one.
    """
    places = np.eye(block * block, dtype=np.float32).reshape(block * block, 1, block, block)
    return np.tile(places, (3, 1, 1, 1))


@torch.inference_mode()
def parity(model: QuickSRNet, network: bytes) -> float:
    """Largest difference between `model` and its ONNX form over noise of even sizes, and odd where allowed."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    step = model.scale.denominator
    random = np.random.default_rng(0)
    differences = []
    for n, h, w in ((1, 16, 24), (2, 21 * step, 13 * step), (1, 7 * step, 33 * step)):
        image = random.random((n, 3, h, w), np.float32)
        got = np.asarray(cast(np.ndarray, session.run(None, {"image": image})[0]))
        want = model(torch.from_numpy(image)).numpy()
        if got.shape != want.shape:
            raise EngineError(f"the exported graph turns {image.shape} into {got.shape}, PyTorch into {want.shape}")
        differences.append(np.abs(got - want).max())
    return float(np.max(differences))


@torch.inference_mode()
def radius(model: QuickSRNet) -> int:
    """How far an output pixel looks, in input pixels, counted from the input pixel that it lies in.

    Measured by making one input pixel not-a-number and looking where the output follows: unlike a change of
    value, that passes through weights that are zero and clamps that are saturated.
    """
    exact = copy.deepcopy(model).double()
    scale, farthest = model.scale, 0
    middle = 2 * (len(model.conv_mid) + 4)
    for place in range(middle, middle + scale.denominator):
        image = torch.zeros(1, 3, 2 * middle, 2 * middle, dtype=torch.float64)
        image[..., place, place] = torch.nan
        rows = torch.nonzero(exact(image).isnan().any(dim=(0, 1, 3))).flatten().tolist()
        farthest = max(farthest, *(abs(int(row / scale) - place) for row in rows))
    return farthest


def _layer(conv: nn.Module) -> Layer:
    assert isinstance(conv, nn.Conv2d) and conv.bias is not None
    return Layer(conv.weight.detach().float().numpy(), conv.bias.detach().float().numpy())


def _write(path: Path, content: bytes) -> None:
    beside = path.with_name(path.name + ".part")
    beside.write_bytes(content)
    beside.replace(path)


def _first_line(cause: Exception) -> str:
    return (str(cause) or type(cause).__name__).splitlines()[0]
