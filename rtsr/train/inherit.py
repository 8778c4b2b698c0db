"""Starting a network from the weights of another."""

import torch
from torch import Tensor, nn

from rtsr.errors import TrainError
from rtsr.models.quicksrnet import QuickSRNet

ENOUGH = 0.5
"""Share of the weights on offer that must fit, or they belong to another architecture."""


@torch.no_grad()
def inherit(model: nn.Module, weights: dict[str, Tensor]) -> None:
    """Take from `weights` what fits `model` by name and shape; the rest keeps its initialisation.

    So a scale grows from another (all but the head fits), a network with several exits from the plain one that it is
    made of. QuickSRNets also start from smaller ones, with their quality: missing middle layers become exact identities,
    which behind a ReLU1 change nothing, and missing channels are added beside those that are there, which do not see
    them yet. Raises TrainError where less than half fits.
    """
    own = model.state_dict()
    if isinstance(model, QuickSRNet):
        weights = {name: _widened(name, own.get(name, value), value) for name, value in weights.items()}
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


def _widened(name: str, fresh: Tensor, value: Tensor) -> Tensor:
    """The kernel or bias `value` with the further channels that `fresh` has; as it is where it does not fit into that.

    A network's first channels are then the narrower network's, and only channels behind those read the others. The last
    convolution makes a picture, and fits only the scale that it was made for.
    """
    other_scale = name.startswith("conv_last.") and len(fresh) != len(value)
    if other_scale or any(more < fewer for more, fewer in zip(fresh.shape, value.shape, strict=True)):
        return value
    widened = fresh.clone()
    widened[: len(value)] = 0
    widened[tuple(slice(side) for side in value.shape)] = value
    return widened


def _size(weights: dict[str, Tensor]) -> int:
    return sum(value.numel() for value in weights.values())
