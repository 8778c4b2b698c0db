"""Convolutions that train as wide linear blocks and ship as what they are."""

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize


class CollapsedBlock(nn.Module):
    """Adds to a convolution's kernel that of a wider pair: one of its size to `width` channels, then a 1x1.

    Nothing lies between the two, so they are one kernel, the product of two matrices, and an image never
    passes through the wide one: a step costs little more. What changes is how the optimiser moves. The second starts at
    zero, so the block begins as the plain convolution.

    After "Collapsible Linear Blocks for Super-Efficient Super Resolution" and "ExpandNets: Linear Over-parameterization
    to Train Compact Convolutional Networks"; the plain kernel beside the pair and the zeros are added here.
    """

    def __init__(self, kernel: Tensor, width: int) -> None:
        super().__init__()
        reads = kernel[0].numel()
        self.down = nn.Parameter(torch.randn(width, reads) / reads**0.5)
        self.up = nn.Parameter(torch.zeros(len(kernel), width))

    def forward(self, kernel: Tensor) -> Tensor:
        """The collapsed kernel, of the same shape."""
        return kernel + (self.up @ self.down).view(kernel.shape)


def expand(model: nn.Module, width: int) -> None:
    """Let every convolution of `model` that learns train as a block `width` channels wide; its results stay the same.

    Its `weight` is then computed; parameters `parametrizations.weight...` stand behind it.
    """
    for module in list(model.modules()):
        if isinstance(module, nn.Conv2d) and module.weight.requires_grad:
            parametrize.register_parametrization(module, "weight", CollapsedBlock(module.weight, width))
