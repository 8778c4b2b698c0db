"""RLFN: residual blocks of plain convolutions, each with a light spatial attention.

Source: "Residual Local Feature Network for Efficient Super-Resolution", section 3.1 (equations 1 to 3, 6 and 7,
figure 3), section 4.4 for the NTIRE variant, and the authors' checkpoints, whose names and value range these are.
The x1.5 head is QuickSRNet's ("QuickSRNet: Plain Single-Image Super-Resolution Architecture ...", section 5).
"""

from fractions import Fraction
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rtsr.errors import UsageError

THREE_HALVES = Fraction(3, 2)
SCALES = (Fraction(2), Fraction(3), Fraction(4), THREE_HALVES)
SLOPE = 0.05
"""Of the leaky ReLUs; the paper calls them ReLU, the checkpoints fit this."""
ATTENTION_CHANNELS = 16
ATTENTION_VIEW = 15
"""Side in pixels that one value of the attention's coarse map is computed from: 7 of the stride-2 convolution's."""
ATTENTION_STEP = 6
"""Pixels between neighbours on the coarse map."""
ALIGNED_RADIUS = 36
"""Measured on game renders with all released weights, x2 and x4: at most 0.4 levels (`python -m benchmarks.halo`)."""
WHOLE_FRAME = 1 << 14
"""A radius for networks that look at all of a frame, however large."""


class ESA(nn.Module):
    """Enhanced spatial attention: weighs features (N, channels, H, W) by a mask in [0, 1] that sees far.

    Figure 3c. The mask is computed at about a sixth of the resolution and resized to H x W. So stretched, it
    depends on where the features' borders are, and tiles differ from the whole frame whatever context they are
    given. `aligned` enlarges it by exactly six instead, each value to where it was computed: the same weights, hardly
    another result (docs/decisions/0005-attention-in-tiles.md), and tiles agree that start at multiples of six.

    Features of less than 15 pixels a side, which the paper's layers cannot take, are seen with their last row and
    column repeated.
    """

    def __init__(self, channels: int, aligned: bool = False) -> None:
        super().__init__()
        self.aligned = aligned
        inner = ATTENTION_CHANNELS
        self.conv1 = nn.Conv2d(channels, inner, 1)
        self.conv_f = nn.Conv2d(inner, inner, 1)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride=2)
        self.conv3 = nn.Conv2d(inner, inner, 3, padding=1)
        self.conv4 = nn.Conv2d(inner, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        near = self.conv1(features)
        far = self.conv2(_at_least(near, ATTENTION_VIEW))
        far = self.conv3(F.max_pool2d(far, 7, 3))
        far = self._enlarge(far, near.shape[2], near.shape[3])
        return features * self.conv4(far + self.conv_f(near)).sigmoid()

    def _enlarge(self, coarse: Tensor, height: int, width: int) -> Tensor:
        if not self.aligned:
            return F.interpolate(coarse, (height, width), mode="bilinear", align_corners=False)
        # Value i was computed around pixel 6 i + 7; with one before the first it comes to lie at 6 i + 7.5. Two more
        # at the end cover the at most 14 pixels behind the last.
        extended = F.pad(coarse, (1, 2, 1, 2), mode="replicate")
        fine = F.interpolate(extended, scale_factor=ATTENTION_STEP, mode="bilinear", align_corners=False)
        return fine[..., 1 : 1 + height, 1 : 1 + width]


class RLFB(nn.Module):
    """Residual local feature block, equations 6 and 7: features (N, channels, H, W) to the same shape."""

    def __init__(self, channels: int, inner: int, aligned: bool = False) -> None:
        super().__init__()
        self.c1_r = nn.Conv2d(channels, inner, 3, padding=1)
        self.c2_r = nn.Conv2d(inner, inner, 3, padding=1)
        self.c3_r = nn.Conv2d(inner, channels, 3, padding=1)
        self.c5 = nn.Conv2d(channels, channels, 1)
        self.esa = ESA(channels, aligned)

    def forward(self, features: Tensor) -> Tensor:
        x = features
        for conv in (self.c1_r, self.c2_r, self.c3_r):
            x = F.leaky_relu(conv(x), SLOPE)
        return self.esa(self.c5(x + features))


def upsampler(channels: int, scale: Fraction) -> nn.Sequential:
    """Features (N, channels, H, W) to RGB (N, 3, H * scale, W * scale).

    At 3/2 the convolution is 2x2 with stride 2, which is space-to-depth(2) and a 1x1 convolution in one; H and W
    must be even.
    """
    block = scale.numerator
    if scale == THREE_HALVES:
        return nn.Sequential(nn.Conv2d(channels, 3 * block**2, 2, stride=2), nn.PixelShuffle(block))
    return nn.Sequential(nn.Conv2d(channels, 3 * block**2, 3, padding=1), nn.PixelShuffle(block))


class RLFN(nn.Module):
    """Upscales RGB in [0, 1], shape (N, 3, H, W), by `scale`, to RGB in [0, 1].

    `channels` and `blocks` as in the paper: RLFN 52 and 6, RLFN-S 48 and 6, NTIRE 46 and 4 with `inner` = 48
    channels inside the blocks. `scale` is 2, 3, 4 or 3/2; at 3/2 height and width must be even. Weights work on
    [0, 255], as the released ones do. `aligned`: see ESA. Raises UsageError for other scales.
    """

    def __init__(
        self, scale: Fraction, channels: int, blocks: int, inner: int | None = None, aligned: bool = False
    ) -> None:
        super().__init__()
        if scale not in SCALES:
            raise UsageError(f"RLFN upscales by 1.5, 2, 3 or 4, not by {float(scale):g}; choose one of these")
        self.scale = Fraction(scale)
        self.aligned = aligned
        self.conv_1 = nn.Conv2d(3, channels, 3, padding=1)
        self._names = [f"block_{k}" for k in range(1, blocks + 1)]
        for name in self._names:
            self.add_module(name, RLFB(channels, inner or channels, aligned))
        self.conv_2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.upsampler = upsampler(channels, self.scale)

    @property
    def blocks(self) -> list[nn.Module]:
        """The residual blocks in order: features to features."""
        return [self.get_submodule(name) for name in self._names]

    @property
    def good_radius(self) -> int:
        """Input pixels of context that bring a tile within one of 255 levels of the whole frame.

        36 with aligned attention, where tiles and their context start at multiples of six; without, nothing short of
        the whole frame will do.
        """
        return ALIGNED_RADIUS if self.aligned else WHOLE_FRAME

    def features(self, image: Tensor) -> Tensor:
        """What the first block sees, equation 1: (N, channels, H, W)."""
        return self.conv_1(image * 255)

    def reconstruct(self, deep: Tensor, shallow: Tensor) -> Tensor:
        """The unclamped image of the last block's features and the first block's input, equation 3."""
        return self.upsampler(self.conv_2(deep) + shallow) / 255

    def forward(self, image: Tensor) -> Tensor:
        """The upscaled image; while training it is not clamped."""
        shallow = deep = self.features(image)
        for block in self.blocks:
            deep = block(deep)
        upscaled = self.reconstruct(deep, shallow)
        return upscaled if self.training else upscaled.clamp(0, 1)


def _at_least(features: Tensor, side: int) -> Tensor:
    """`features` with the last row and column repeated until height and width reach `side`.

    Without a branch, so that one exported graph serves all sizes.
    """
    below, beside = (cast(int, torch.sym_max(side - length, 0)) for length in features.shape[2:])
    return F.pad(features, (0, beside, 0, below), mode="replicate")
