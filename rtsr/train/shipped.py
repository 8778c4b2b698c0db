"""The weights of an exported network, back under the names that training knows."""

from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor

from rtsr.errors import TrainError


def shipped_weights(network: Path) -> dict[str, Tensor]:
    """The state of a network from the ONNX file that `rtsr.export` made of it.

    A traced graph keeps its weights' names. QuickSRNet's are numbered, and its folded 2x2 head of x1.5 becomes the
    1x1 convolution behind space-to-depth again. Raises TrainError where the file is no such network, or is SMSR,
    whose weights are masked for good.
    """
    try:
        graph = onnx.load(network).graph
        values = {value.name: torch.tensor(numpy_helper.to_array(value)) for value in graph.initializer}
        named = {name: value for name, value in values.items() if "." in name}
        state = named or _numbered(values)
    except Exception as cause:  # a damaged protobuf raises whatever its parser meets
        raise TrainError(f"cannot take the weights of {network}; it must be a network exported by rtsr") from cause
    if any(output.name == "kept" for output in graph.output):
        raise TrainError(f"cannot take the weights of {network}: they are masked for good; start from a checkpoint")
    return state


def _numbered(values: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state of a QuickSRNet."""
    count = sum(name.startswith("weight") for name in values)
    names = ["conv_first", *(f"conv_mid.{i}" for i in range(count - 2)), "conv_last"]
    state = {}
    for i, name in enumerate(names):
        state[f"{name}.weight"], state[f"{name}.bias"] = values[f"weight{i}"], values[f"bias{i}"]
    head = state["conv_last.weight"]
    if head.shape[-1] == 2:
        state["conv_last.weight"] = head.reshape(len(head), -1, 1, 1)
    return state
