"""Keeps channels alive: a penalty on those that lie beyond a clipped activation's limits for every picture.

A gradient never reaches such a channel again, and where learning rates are high they become many: half of the first
layer of a QuickSRNet-Small that trained from nothing for 3,000 steps. The penalty is zero for all others.
"""

from torch import Tensor, nn

from rtsr.models.quicksrnet import ReLU1


class Alive:
    """Watches the clipped activations of `model` while it trains; `weight` 0 leaves it alone."""

    def __init__(self, model: nn.Module, weight: float) -> None:
        self.weight = weight
        self._watched = [module for module in model.modules() if isinstance(module, ReLU1)] if weight else []
        for module in self._watched:
            module.watched = True

    def penalty(self) -> Tensor | float:
        """What to add to the loss of the run since the last call."""
        idle = [part for module in self._watched for part in module.idle]
        for module in self._watched:
            module.idle.clear()
        return self.weight * sum(idle)
