"""Keeps channels alive: a penalty on those that lie beyond a clipped activation's limits for every picture.

A gradient never reaches such a channel again, and where learning rates are high they become many: half of the first
layer of a QuickSRNet-Small that trained from nothing for 3,000 steps (docs/decisions/0014-channels-that-die.md).
"""

import torch
from torch import Tensor, nn

from rtsr.models.quicksrnet import ReLU1

LEAST, MOST = 0.05, 0.95
"""What a living channel's mean comes within a standard deviation of, or lies between."""
STEP = 4
"""Every how many pixels along a side are looked at: enough for a mean, and it costs next to nothing."""


class Alive:
    """Watches what comes to the clipped activations of `model` while it trains; nothing with `weight` 0."""

    def __init__(self, model: nn.Module, weight: float) -> None:
        self.weight = weight
        self._idle: list[Tensor] = []
        for module in model.modules():
            if weight and isinstance(module, ReLU1):
                module.register_forward_pre_hook(self._look)

    def penalty(self) -> Tensor:
        """What to add to the loss of the runs since the last call: 0 where every channel does something."""
        idle, self._idle = self._idle, []
        return self.weight * torch.stack(idle).sum() if idle else torch.zeros(())

    def _look(self, module: nn.Module, given: tuple[Tensor, ...]) -> None:
        deviation, mean = torch.std_mean(given[0][:, :, ::STEP, ::STEP], (0, 2, 3))
        dark, bright = (LEAST - mean - deviation).relu(), (mean - deviation - MOST).relu()
        self._idle.append((dark + bright).sum())
