"""ENAF over SRResNet without batch normalisation: residual blocks at the input's resolution, a costly tail.

Source: "ENAF: A Multi-Exit Network with an Adaptive Patch Fusion for Large Image Super Resolution", sections 3.1.1
and 4.1.1. It gives the exits' costs only: 2046.98, 3662.64 and 5194 million operations for a patch of 32x32. Sixteen
blocks, two steps of upsampling and a further convolution at the output's resolution cost 5194 to the digit, so
that is the backbone. An early exit has the same tail without the further convolution, and narrower: 20 channels
after 12 blocks cost 2045.5, 64 after 14 cost 3684.0. Of the forms that fit the costs these tap the deepest features.
"""

from fractions import Fraction

from torch import Tensor, nn
from torch.nn import functional as F

from rtsr.errors import UsageError
from rtsr.models.multi_exit import Estimator, MultiExit

CHANNELS = 64
TAPS = (12, 14, 16)
"""Residual blocks before each exit."""
SLOPE = 0.1


class EnafSrresnet(MultiExit):
    """Upscales RGB in [0, 1], (N, 3, H, W) of any size, by 4, to RGB in [0, 1].

    The features of a stage are (N, 64, H, W) and the image itself: each exit learns what the bicubic upscale of the
    image lacks. Raises UsageError for another scale.
    """

    exits = len(TAPS)

    def __init__(self, scale: Fraction) -> None:
        super().__init__()
        if scale != 4:
            raise UsageError(f"ENAF-SRResNet upscales by 4, not by {float(scale):g}")
        self.scale = Fraction(scale)
        self.conv_first = nn.Conv2d(3, CHANNELS, 3, padding=1)
        self.blocks = nn.ModuleList(ResidualBlock() for _ in range(TAPS[-1]))
        self.tail = nn.Sequential(
            *upsampling(CHANNELS),
            nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(CHANNELS, 3, 3, padding=1),
        )
        self.predictors = nn.ModuleList(
            nn.Sequential(*upsampling(channels), nn.Conv2d(channels, 3, 3, padding=1)) for channels in (20, 64)
        )
        self.estimator = Estimator(self.exits + 1)

    def stage(self, k: int, *features: Tensor) -> tuple[Tensor, ...]:
        if k == 1:
            (image,) = features
            x, first = F.leaky_relu(self.conv_first(image), SLOPE), 0
        else:
            (x, image), first = features, TAPS[k - 2]
        for block in self.blocks[first : TAPS[k - 1]]:
            x = block(x)
        return x, image

    def head(self, k: int, *features: Tensor) -> Tensor:
        x, image = features
        details = self.tail(x) if k == self.exits else self.predictors[k - 1](x)
        return details + F.interpolate(image, scale_factor=4, mode="bicubic", align_corners=False)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a skip: (N, 64, H, W) to the same shape."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        self.conv2 = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(self.conv1(x).relu())


def upsampling(channels: int) -> tuple[nn.Module, ...]:
    """Layers from features (N, 64, H, W) to (N, channels, 4 H, 4 W), in two steps."""
    slope, double = nn.LeakyReLU(SLOPE), nn.PixelShuffle(2)
    return (
        *(nn.Conv2d(CHANNELS, 4 * channels, 3, padding=1), double, slope),
        *(nn.Conv2d(channels, 4 * channels, 3, padding=1), double, slope),
    )
