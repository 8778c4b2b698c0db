"""QuickSRNets that learn beside the image instead of through it."""

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from rtsr.errors import TrainError
from rtsr.models.quicksrnet import QuickSRNet

COLOURS = 3
"""Channels that carry the image, the first ones."""


class Carried(nn.Module):
    """Keeps the first three of a convolution's kernels, or of its biases, as they are."""

    kept: Tensor

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.register_buffer("kept", values[:COLOURS].detach().clone())

    def forward(self, values: Tensor) -> Tensor:
        """`values` with what is kept in the place of the first three, to which no gradient comes."""
        return torch.cat((self.kept, values[COLOURS:]))


def check_carries(model: nn.Module) -> None:
    """Raise TrainError unless `model` can carry the image in channels of its own."""
    if not isinstance(model, QuickSRNet):
        raise TrainError("only plain QuickSRNets carry the image in channels of its own; leave out carry")


def carry(model: nn.Module) -> None:
    """Let the image pass all layers of `model` but the last unchanged while it trains, as it does at the start.

    Every step of an optimiser disturbs every weight a little, and an image that passes eleven layers with them all. In
    three of its channels QuickSRNet starts as the identity; where these stay so, the others learn what the image lacks,
    as beside a shortcut, and nothing is left to be removed when it ships. Raises TrainError for other networks, and
    where `model` has trained without.
    """
    check_carries(model)
    assert isinstance(model, QuickSRNet)
    for conv in (model.conv_first, *model.conv_mid):
        assert isinstance(conv, nn.Conv2d) and conv.bias is not None
        identity = torch.zeros_like(conv.weight[:COLOURS])
        identity[range(COLOURS), range(COLOURS), 1, 1] = 1
        if not torch.equal(conv.weight[:COLOURS], identity) or conv.bias[:COLOURS].any():
            raise TrainError(
                "carry needs the image in the first three channels, and these weights were trained without; leave it "
                "out, or start from nothing"
            )
        parametrize.register_parametrization(conv, "weight", Carried(conv.weight))
        parametrize.register_parametrization(conv, "bias", Carried(conv.bias))
