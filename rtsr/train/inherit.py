"""Starting a network from the weights of another."""

import torch
from torch import Tensor, nn

from rtsr.errors import TrainError

ENOUGH = 0.5
"""Share of the weights on offer that must fit, or they belong to another architecture."""


@torch.no_grad()
def inherit(model: nn.Module, weights: dict[str, Tensor]) -> None:
    """Take from `weights` what fits `model` by name and shape; the rest keeps its initialisation.

    So a scale grows from another (all but the head fits), a network with several exits from the plain one that it is
    made of. Missing middle layers of QuickSRNet become exact identities: behind a ReLU1 they change nothing, so a
    deeper network starts with the quality of the shallower one. Raises TrainError where less than half fits.
    """
    own = model.state_dict()
    fitting = {name: value for name, value in weights.items() if name in own and own[name].shape == value.shape}
    share = _size(fitting) / max(_size(weights), 1)
    if share < ENOUGH:
        raise TrainError(
            f"the weights to start from belong to another architecture: {share:.0%} of them fit; "
            "name another start in the recipe"
        )
    for name, value in own.items():
        if name.startswith("conv_mid.") and name not in fitting:
            value.zero_()
            if value.ndim == 4:
                value[range(len(value)), range(len(value)), 1, 1] = 1
    model.load_state_dict({**own, **fitting})


def _size(weights: dict[str, Tensor]) -> int:
    return sum(value.numel() for value in weights.values())
