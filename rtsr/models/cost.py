"""What a network costs, counted while it runs."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode


@torch.no_grad()
def macs(function: Callable[..., object], *inputs: Tensor) -> int:
    """Multiply-adds of `function(*inputs)`: those of convolutions and matrix products, without biases.

    `function` is called once; a module and inputs on the device "meta" give the figure without computing anything.
    """
    with FlopCounterMode(display=False) as counter:
        function(*inputs)
    return counter.get_total_flops() // 2  # an addition and a multiplication each
