"""Distances between upscaled pictures and the truth, on batches (N, 3, H, W) of RGB in [0, 1]."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rtsr.quality.metrics import LUMA
from rtsr.train.recipe import Recipe

LUMA_WEIGHTS = torch.tensor(LUMA, dtype=torch.float32).reshape(1, 3, 1, 1)
EASIEST = 2e-5
"""Added to a picture's bicubic error (47 dB), so that flat pictures do not rule the relative loss."""
BEST = 50.0
"""PSNR, in dB, that counts as perfect: an eighth of a level on average, which 8 bits do not show."""
FEATURES = 64
"""Channels of the random features that the contrastive loss compares; the paper does not say how many."""
TINY = 1e-7


def fidelity(result: Tensor, truth: Tensor, errors: Tensor, recipe: Recipe) -> Tensor:
    """The recipe's loss between two batches; `result` before its clamp.

    `errors` (N,) are the mean squared errors of the crops' pictures under bicubic upscaling.

    Colour and luma are weighed as the recipe says: the figures of merit look at luma only, and so do eyes.
    """
    error = result - truth
    luma = luma_of(error)
    if recipe.loss == "l1":
        return (1 - recipe.luma) * error.abs().mean() + recipe.luma * luma.abs().mean()
    squared = (1 - recipe.luma) * error.square().mean((1, 2, 3)) + recipe.luma * luma.square().mean((1, 2))
    return (squared / (errors + EASIEST)).mean()


def luma_of(error: Tensor) -> Tensor:
    """Luma, as `rtsr.quality.metrics` weighs it, of a difference between two batches: (N, H, W)."""
    return (error * LUMA_WEIGHTS.to(error.device)).sum(1)


def decibels(result: Tensor, truth: Tensor) -> Tensor:
    """PSNR of each picture of a batch on luma, in dB, at most `BEST`: (N,)."""
    squared = luma_of(result.clamp(0, 1) - truth).square().mean((1, 2))
    return -10 * squared.clamp(min=10 ** (-BEST / 10)).log10()


class RandomFeatures(nn.Module):
    """conv3x3, Tanh, conv3x3 with random weights that are never trained: (N, 3, H, W) to (N, 64, H, W).

    Source: "Residual Local Feature Network for Efficient Super-Resolution", section 3.2: shallow features keep the
    details that PSNR looks at, and Tanh, unlike ReLU, loses nothing. The same weights in every process.
    """

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.layers = nn.Sequential(
                nn.Conv2d(3, FEATURES, 3, padding=1), nn.Tanh(), nn.Conv2d(FEATURES, FEATURES, 3, padding=1)
            )
        self.requires_grad_(False)

    def forward(self, image: Tensor) -> Tensor:
        return self.layers(image)


def contrast(features: nn.Module, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """How far `anchor` is from `positive`, over how far it is from `negative`, in L1 distance of `features`.

    Equation 8 of RLFN's paper with one layer of features and weight 1; a gradient flows through `anchor` only.
    """
    mine = features(anchor)
    near, far = ((mine - features(other.detach())).abs().mean() for other in (positive, negative))
    return near / (far + TINY)


def bicubic(low: Tensor, size: tuple[int, int]) -> Tensor:
    """`low` at `size` (height, width), as PyTorch interpolates (a = -0.75), not clamped: ENAF's exit 0."""
    return F.interpolate(low, size, mode="bicubic", align_corners=False)
