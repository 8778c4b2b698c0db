"""Any module as an ONNX graph, traced by PyTorch's exporter."""

import copy
import warnings
from collections.abc import Callable, Sequence

import torch
from onnx import ModelProto
from torch import Tensor, nn

from rtsr.errors import EngineError
from rtsr.export.graphs import tidy

OPSET = 18
"""The one that PyTorch's exporter writes without a conversion; ONNX Runtime 1.20 reads it."""


def trace(
    network: nn.Module,
    function: Callable[..., Tensor | tuple[Tensor, ...]],
    inputs: dict[str, Tensor],
    outputs: Sequence[str],
    free: Sequence[int] = (0, 2, 3),
) -> ModelProto:
    """The ONNX form of `function`, which computes with the weights of `network`.

    `inputs` holds examples by name, `outputs` the names of what the function gives. The axes `free` have any size
    in the graph. Raises EngineError where the function cannot be traced, or fixes one of those sizes.
    """
    part = copy.copy(network)
    part.forward = lambda *given: function(*given)
    axes = dict.fromkeys(free, torch.export.Dim.DYNAMIC)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                part.eval(),
                tuple(inputs.values()),
                dynamo=True,
                input_names=list(inputs),
                output_names=list(outputs),
                opset_version=OPSET,
                dynamic_shapes=(tuple(axes for _ in inputs),),
                verbose=False,
            )
    except Exception as cause:  # the exporter raises whatever its passes and the network's code raise
        raise EngineError(
            f"{type(network).__name__} cannot be written as ONNX for pictures of any size: {_reason(cause)}"
        ) from cause
    assert program is not None  # as no file was named
    return tidy(program.model_proto)


def _reason(cause: BaseException) -> str:
    """The first line of what was at the bottom of `cause`."""
    while cause.__cause__ is not None:
        cause = cause.__cause__
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return lines[0] if lines else type(cause).__name__
