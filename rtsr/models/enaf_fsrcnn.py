"""ENAF over FSRCNN: few channels, a transposed convolution at the end, two exits before it.

Source: "ENAF: A Multi-Exit Network with an Adaptive Patch Fusion for Large Image Super Resolution", sections 3.1.1
and 4.1.1; layers, taps and names from the authors' checkpoint (`enaf_fsrcnn_x4`).
The paper's costs (31 %, 67 % and 100 %) count transposed convolutions as if they ran at the output's resolution; by
multiply-adds that are made, the exits cost 54 %, 93 % and 100 %.
"""

from fractions import Fraction

from torch import Tensor, nn

from rtsr.errors import UsageError
from rtsr.models.multi_exit import Estimator, MultiExit

WIDE, NARROW = 56, 12
"""Channels at both ends of the body, and inside it."""


class EnafFsrcnn(MultiExit):
    """Upscales RGB in [0, 1], (N, 3, H, W) of any size, by 4, to RGB in [0, 1].

    Exit 1 taps the body after two of its four 3x3 convolutions, exit 2 after all; exit 3 is FSRCNN itself.
    Raises UsageError for another scale.
    """

    exits = 3

    def __init__(self, scale: Fraction) -> None:
        super().__init__()
        if scale != 4:
            raise UsageError(f"ENAF-FSRCNN upscales by 4, not by {float(scale):g}")
        self.scale = Fraction(scale)
        self.head_conv = nn.Sequential(nn.Conv2d(3, WIDE, 5, padding=2), nn.PReLU())
        self.body_conv = nn.Sequential(
            nn.Sequential(nn.Conv2d(WIDE, NARROW, 1), nn.PReLU()),
            *(nn.Conv2d(NARROW, NARROW, 3, padding=1) for _ in range(4)),
            nn.PReLU(),
            nn.Sequential(nn.Conv2d(NARROW, WIDE, 1), nn.PReLU()),
        )
        self.tail_conv = upscaling(WIDE)
        self.predictors = nn.ModuleList(early_exit(channels) for channels in (16, 36))
        self.estimator = Estimator(self.exits + 1)

    def stage(self, k: int, *features: Tensor) -> tuple[Tensor, ...]:
        (x,) = features
        if k == 1:
            return (self.body_conv[:3](self.head_conv(x)),)
        return (self.body_conv[3:6](x) if k == 2 else self.body_conv[6](x),)

    def head(self, k: int, *features: Tensor) -> Tensor:
        (x,) = features
        return self.tail_conv(x) if k == self.exits else self.predictors[k - 1](x)


def early_exit(channels: int) -> nn.Sequential:
    """The head of an early exit: features (N, 12, H, W) to an image (N, 3, 4 H, 4 W)."""
    return nn.Sequential(nn.Conv2d(NARROW, channels, 3, padding=1), nn.LeakyReLU(0.1), upscaling(channels))


def upscaling(channels: int) -> nn.ConvTranspose2d:
    """Features (N, channels, H, W) to an image (N, 3, 4 H, 4 W)."""
    return nn.ConvTranspose2d(channels, 3, 9, stride=4, padding=3, output_padding=1)
