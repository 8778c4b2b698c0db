"""The weights of an exported QuickSRNet, back under the names that training knows."""

from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor

from rtsr.errors import TrainError


def shipped_weights(network: Path) -> dict[str, Tensor]:
    """State of a `QuickSRNet` from the ONNX file that `rtsr.export` made of it.

    The inverse of `rtsr.export.graph`: the folded 2x2 head of x1.5 becomes the 1x1 convolution behind
    space-to-depth again. Raises TrainError where the file is no such network.
    """
    try:
        values = {v.name: torch.tensor(numpy_helper.to_array(v)) for v in onnx.load(network).graph.initializer}
        count = sum(name.startswith("weight") for name in values)
        names = ["conv_first", *(f"conv_mid.{i}" for i in range(count - 2)), "conv_last"]
        state = {}
        for i, name in enumerate(names):
            state[f"{name}.weight"], state[f"{name}.bias"] = values[f"weight{i}"], values[f"bias{i}"]
        head = state["conv_last.weight"]
        if head.shape[-1] == 2:
            state["conv_last.weight"] = head.reshape(len(head), -1, 1, 1)
        return state
    except Exception as cause:  # a damaged protobuf raises whatever its parser meets
        raise TrainError(f"cannot take the weights of {network}; it must be a QuickSRNet exported by rtsr") from cause
