"""ENAF over the mobile CARN: cascading residual blocks with grouped convolutions and shared weights.

Source: "ENAF: A Multi-Exit Network with an Adaptive Patch Fusion for Large Image Super Resolution", sections 3.1.1
and 4.1.1; layers, taps and names from the authors' checkpoint (`enaf_carn_x4`).
"""

from collections.abc import Iterable
from fractions import Fraction

import torch
from torch import Tensor, nn

from rtsr.errors import UsageError
from rtsr.models.multi_exit import Estimator, MultiExit

CHANNELS, GROUPS = 64, 4
MEAN = (0.4488, 0.4371, 0.4040)
"""Mean colour of DIV2K, RGB in [0, 1]."""


class EnafCarn(MultiExit):
    """Upscales RGB in [0, 1], (N, 3, H, W) of any size, by 4, to RGB in [0, 1].

    All exits tap the same features and differ in the width of their upsampler: 16, 32 and 64 channels; exit 3 is
    CARN itself. So stages 2 and 3 do nothing. Raises UsageError for another scale.
    """

    exits = 3

    def __init__(self, scale: Fraction) -> None:
        super().__init__()
        if scale != 4:
            raise UsageError(f"ENAF-CARN upscales by 4, not by {float(scale):g}")
        self.scale = Fraction(scale)
        self.sub_mean = MeanShift(-1)
        self.add_mean = MeanShift(1)
        self.entry = nn.Conv2d(3, CHANNELS, 3, padding=1)
        self.b1, self.b2, self.b3 = (CascadingBlock() for _ in range(3))
        self.c1, self.c2, self.c3 = (fusion(count) for count in (2, 3, 4))
        self.upsample = Upsampler()
        self.exit = nn.Conv2d(CHANNELS, 3, 3, padding=1)
        self.predictors = nn.ModuleList(early_exit(channels) for channels in (16, 32))
        self.estimator = Estimator(self.exits + 1)

    def stage(self, k: int, *features: Tensor) -> tuple[Tensor, ...]:
        if k > 1:
            return features
        (image,) = features
        x = self.entry(self.sub_mean(image))
        return (cascade(x, (self.b1, self.b2, self.b3), (self.c1, self.c2, self.c3)),)

    def head(self, k: int, *features: Tensor) -> Tensor:
        (x,) = features
        return self.add_mean(self.exit(self.upsample(x)) if k == self.exits else self.predictors[k - 1](x))


class CascadingBlock(nn.Module):
    """One residual block used three times, its results fused with all before: (N, 64, H, W) to the same shape."""

    def __init__(self) -> None:
        super().__init__()
        self.b1 = ResidualBlock()
        self.c1, self.c2, self.c3 = (fusion(count) for count in (2, 3, 4))

    def forward(self, x: Tensor) -> Tensor:
        return cascade(x, (self.b1, self.b1, self.b1), (self.c1, self.c2, self.c3))


class ResidualBlock(nn.Module):
    """Two grouped 3x3 convolutions and a 1x1 one around a skip: (N, 64, H, W) to the same shape."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, groups=GROUPS),
            nn.ReLU(),
            nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, groups=GROUPS),
            nn.ReLU(),
            nn.Conv2d(CHANNELS, CHANNELS, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return (self.body(x) + x).relu()


class Upsampler(nn.Module):
    """Features (N, 64, H, W) to (N, 64, 4 H, 4 W); two levels of names, as in the checkpoint."""

    def __init__(self) -> None:
        super().__init__()
        body = nn.Sequential(*doubling(CHANNELS, CHANNELS, nn.ReLU()), *doubling(CHANNELS, CHANNELS, nn.ReLU()))
        self.up = nn.ModuleDict({"body": body})

    def forward(self, x: Tensor) -> Tensor:
        return self.up["body"](x)


class MeanShift(nn.Conv2d):
    """Adds `sign` times the mean colour to an image; a fixed 1x1 convolution, as in the checkpoint."""

    def __init__(self, sign: int) -> None:
        super().__init__(3, 3, 1)
        self.weight.data = torch.eye(3).reshape(3, 3, 1, 1)
        self.bias = nn.Parameter(sign * torch.tensor(MEAN))
        self.requires_grad_(False)


def cascade(x: Tensor, blocks: Iterable[nn.Module], fusions: Iterable[nn.Module]) -> Tensor:
    """`x` through `blocks`, each result joined with all before and fused to 64 channels again."""
    joined = x
    for block, fuse in zip(blocks, fusions, strict=True):
        joined = torch.cat([joined, block(x)], 1)
        x = fuse(joined)
    return x


def fusion(count: int) -> nn.Sequential:
    """From the channels of `count` feature maps to those of one."""
    return nn.Sequential(nn.Conv2d(count * CHANNELS, CHANNELS, 1), nn.ReLU())


def early_exit(channels: int) -> nn.Sequential:
    """The head of an early exit: features (N, 64, H, W) to an image (N, 3, 4 H, 4 W), its mean subtracted."""
    slope = nn.LeakyReLU(0.1)
    return nn.Sequential(
        *doubling(CHANNELS, channels, slope),
        *doubling(channels, channels, slope),
        nn.Conv2d(channels, 3, 3, padding=1),
    )


def doubling(channels_in: int, channels_out: int, activation: nn.Module) -> tuple[nn.Module, ...]:
    """Layers that double height and width."""
    return nn.Conv2d(channels_in, 4 * channels_out, 3, padding=1, groups=GROUPS), activation, nn.PixelShuffle(2)
