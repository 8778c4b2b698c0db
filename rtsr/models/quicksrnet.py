"""QuickSRNet: a plain stack of 3x3 convolutions that starts as nearest-neighbour resampling.

Source: "QuickSRNet: Plain Single-Image Super-Resolution Architecture for Faster Inference on Mobile
Platforms", sections 3.2 (architecture, initialisation, ReLU1) and 5 (the x1.5 head).
"""

from fractions import Fraction

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rtsr.errors import UsageError

THREE_HALVES = Fraction(3, 2)
EDGES, STRAY = 3.0, 0.1
"""Parts of PyTorch's random weights that kernels of the first convolution and of the middle layers start with."""


class ReLU1(nn.Module):
    """The identity between 0 and 1, flat beyond: a channel that lies beyond for every picture learns nothing more.

    See `rtsr.train.alive` for what keeps them from it.
    """

    def forward(self, x: Tensor) -> Tensor:
        return x.clamp(0, 1)


class QuickSRNet(nn.Module):
    """Upscales RGB in [0, 1], shape (N, 3, H, W), by `scale`, to RGB in [0, 1].

    `channels` (f) and `blocks` (m) as in the paper: Small f32 m2, Medium f32 m5, Large f64 m11.
    `scale` is 2, 3, 4 or 3/2. At 3/2 height and width must be even: the features are rearranged to half
    the resolution, mapped to 27 channels and rearranged to three times that.
    """

    def __init__(self, scale: Fraction, channels: int, blocks: int) -> None:
        super().__init__()
        if scale not in (Fraction(2), Fraction(3), Fraction(4), THREE_HALVES):
            raise UsageError(f"QuickSRNet upscales by 1.5, 2, 3 or 4, not by {float(scale):g}; choose one of these")
        self.scale = Fraction(scale)
        self.shuffle = self.scale.numerator
        self.conv_first = nn.Conv2d(3, channels, 3, padding=1)
        self.conv_mid = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(blocks))
        self.conv_last = last_convolution(self.scale, channels)
        self.activation = ReLU1()
        self._start_as_nearest()

    def features(self, image: Tensor) -> Tensor:
        """What the last convolution sees: (N, channels, H, W) in [0, 1]."""
        x = self.activation(self.conv_first(image))
        for conv in self.conv_mid:
            x = self.activation(conv(x))
        return x

    def head(self, features: Tensor) -> Tensor:
        """The unclamped image: last convolution and depth-to-space."""
        return to_image(self.conv_last, features, self.scale)

    def forward(self, image: Tensor) -> Tensor:
        """The upscaled image; while training it is not clamped, so that what lies beyond white still learns."""
        image = self.head(self.features(image))
        return image if self.training else image.clamp(0, 1)

    @torch.no_grad()
    def _start_as_nearest(self) -> None:
        """Identity initialisation, section 3.2, equations 1 to 3.

        The paper adds identities to small random weights. Here the three channels that carry the image
        start as the exact identity and the last convolution reads only them (`last_convolution`), so that the
        network starts as nearest-neighbour resampling to the letter. All other channels begin with the edges and
        colours that random kernels without a mean find, and pass through the middle layers nearly as they are: with
        larger random weights they would stray towards the limits of ReLU1, layer by layer
        (docs/decisions/0023-how-deep-plain-networks-start.md).
        """
        self.conv_first.weight -= self.conv_first.weight.mean((1, 2, 3), keepdim=True)
        for conv in [self.conv_first, *self.conv_mid]:
            conv.weight *= EDGES if conv is self.conv_first else STRAY
            conv.bias.zero_()
            conv.weight[:3] = 0
            for i in range(conv.in_channels):
                conv.weight[i, i, 1, 1] += 1


@torch.no_grad()
def last_convolution(scale: Fraction, channels: int) -> nn.Conv2d:
    """The convolution that `to_image` takes, starting as nearest-neighbour resampling of the first three channels."""
    shuffle = scale.numerator
    if scale == THREE_HALVES:
        conv = nn.Conv2d(4 * channels, 3 * shuffle**2, 1)
    else:
        conv = nn.Conv2d(channels, 3 * shuffle**2, 3, padding=1)
    assert conv.bias is not None
    conv.weight.zero_()
    conv.bias.zero_()
    for i in range(conv.out_channels):
        colour, place = divmod(i, shuffle**2)
        if scale == THREE_HALVES:
            row, column = divmod(place, 3)
            nearest = 2 * (row * 2 // 3) + column * 2 // 3
            conv.weight[i, 4 * colour + nearest, 0, 0] = 1
        else:
            conv.weight[i, colour, 1, 1] = 1
    return conv


def to_image(conv: nn.Conv2d, features: Tensor, scale: Fraction) -> Tensor:
    """Features (N, C, H, W) through a last convolution and depth-to-space: (N, 3, H * scale, W * scale)."""
    if scale == THREE_HALVES:
        # Space-to-depth(2) followed by a 1x1 convolution is a 2x2 convolution with stride 2 and the
        # same weights: the channel order (c, dy, dx) of the one is the memory order of the other.
        weight = conv.weight
        folded = weight.reshape(weight.shape[0], -1, 2, 2)
        x = F.conv2d(features, folded, conv.bias, stride=2)
    else:
        x = conv(features)
    return F.pixel_shuffle(x, scale.numerator)
