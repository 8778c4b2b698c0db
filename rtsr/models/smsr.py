"""SMSR: learns where and in which channels a picture is worth the full computation, and skips the rest.

Source: "Exploring Sparsity in Image Super-Resolution for Efficient Inference", sections 4.1 (masks, equations 1 to 4)
and 4.2 (sparse mask convolution), figures 4 and 5, and the authors' x2 checkpoint, whose names these are.
"""

from fractions import Fraction
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rtsr.errors import UsageError
from rtsr.models.rlfn import WHOLE_FRAME

CHANNELS = 64
MODULES = 5
LAYERS = 4
"""Sparse mask convolutions in a module."""
SCALES = (Fraction(2), Fraction(3), Fraction(4))
DIV2K_MEAN = (0.4488, 0.4371, 0.4040)
"""Of the training pictures, RGB in [0, 1]."""


class SparseConvolutions(nn.Module):
    """Sparse mask convolutions, each on the one before, and a 1x1 convolution over all their outputs (figure 5).

    `ch_mask` holds, for each output channel of each layer, the scores of computing it everywhere (0) and of computing
    it at important places only (1): S of equation 2, drawn from N(0, 1).
    """

    def __init__(self) -> None:
        super().__init__()
        self.ch_mask = nn.Parameter(torch.randn(1, CHANNELS, LAYERS, 2))
        self.body = nn.ModuleList(nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False) for _ in range(LAYERS))
        self.collect = nn.Conv2d(CHANNELS * LAYERS, CHANNELS, 1)

    def forward(self, x: Tensor, important: Tensor, everywhere: Tensor) -> Tensor:
        """Features (N, C, H, W) to the same shape, by masks in [0, 1]: (N, 1, H, W) of places, (L, C) of channels."""
        outputs = []
        for layer, (conv, dense) in enumerate(zip(self.body, everywhere[..., None, None], strict=True)):
            computed = dense + (1 - dense) * important  # equation 3
            if layer == 0:
                x = conv(x) * computed
            else:
                before = everywhere[layer - 1, :, None, None]
                x = conv(x * before) * computed + conv(x * (1 - before)) * important
            x = x.relu()
            outputs.append(x)
        return self.collect(torch.cat(outputs, 1))

    def unmasked(self, x: Tensor) -> Tensor:
        """What `forward` gives where everything is computed: all masks 1."""
        outputs = []
        for conv in self.body:
            x = conv(x).relu()
            outputs.append(x)
        return self.collect(torch.cat(outputs, 1))


class ChannelAttention(nn.Module):
    """Squeeze and excitation: weighs features (N, C, H, W) by what their means say. Figure 4."""

    def __init__(self, reduction: int = 16) -> None:
        super().__init__()
        self.conv_du = nn.Sequential(
            nn.Conv2d(CHANNELS, CHANNELS // reduction, 1),
            nn.ReLU(),
            nn.Conv2d(CHANNELS // reduction, CHANNELS, 1),
            nn.Sigmoid(),
        )

    def forward(self, features: Tensor) -> Tensor:
        return features * self.conv_du(features.mean((2, 3), keepdim=True))


class SparseMaskModule(nn.Module):
    """Masks, the convolutions that they thin out, and attention over the channels; with a skip (figure 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.spa_mask = nn.Sequential(
            _conv3x3(CHANNELS, 16),
            nn.ReLU(),
            nn.AvgPool2d(2, ceil_mode=True),
            _conv3x3(16, 16),
            nn.ReLU(),
            nn.ConvTranspose2d(16, 2, 3, stride=2, padding=1, output_padding=1),
        )
        self.body = SparseConvolutions()
        self.ca = ChannelAttention()

    def masks(self, x: Tensor, tau: float) -> tuple[Tensor, Tensor]:
        """Importance of places (N, 1, H, W), and of computing channels everywhere (L, C).

        In training equations 1 and 2 at temperature `tau`, else 0 or 1.
        """
        places = self.spa_mask(x)[..., : x.shape[2], : x.shape[3]]
        channels = self.body.ch_mask[0].transpose(0, 1)
        if self.training:
            return F.gumbel_softmax(places, tau, dim=1)[:, 1:], F.gumbel_softmax(channels, tau, dim=2)[..., 0]
        return (places[:, 1:] > places[:, :1]).to(x.dtype), (channels[..., 0] > channels[..., 1]).to(x.dtype)

    def forward(self, x: Tensor, tau: float) -> tuple[Tensor, Tensor]:
        """Features (N, C, H, W), and the share of each layer's outputs that is computed, (N, L): equation 3."""
        important, everywhere = self.masks(x, tau)
        share = everywhere.mean(1) + (1 - everywhere.mean(1)) * important.mean((1, 2, 3))[:, None]
        return self.ca(self.body(x, important, everywhere)) + x, share

    def unmasked(self, x: Tensor) -> Tensor:
        """Features (N, C, H, W) to the same shape where everything is computed."""
        return self.ca(self.body.unmasked(x)) + x


class MeanShift(nn.Module):
    """Adds `sign` times the mean of the training pictures to RGB in [0, 255], (N, 3, H, W)."""

    weight: Tensor
    bias: Tensor

    def __init__(self, sign: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.eye(3)[..., None, None])
        self.register_buffer("bias", sign * 255 * torch.tensor(DIV2K_MEAN))

    def forward(self, image: Tensor) -> Tensor:
        # By hand: a convolution would round to 16 bits where the others run in these, which is up to a level of 255.
        return image * self.weight.diagonal()[0, 0, :, None, None] + self.bias[:, None, None]


class SMSR(nn.Module):
    """Upscales RGB in [0, 1], shape (N, 3, H, W), by `scale`, to RGB in [0, 1].

    `scale` is 2, 3 or 4. Weights work on [0, 255], as the released ones do. While training, masks are soft and random
    at temperature `tau`; else they are 0 or 1, and everything is computed all the same and masked: what really skips is
    `rtsr.models.smsr_inference`. Channel attention looks at the whole image, so tiles differ from whole frames, and
    `good_radius` is that of a whole frame. Odd sides, which the paper's masks cannot take, are pooled to half rounded
    up, and the mask cut to size. Raises UsageError for other scales.
    """

    good_radius = WHOLE_FRAME

    def __init__(self, scale: Fraction) -> None:
        super().__init__()
        if scale not in SCALES:
            raise UsageError(f"SMSR upscales by 2, 3 or 4, not by {float(scale):g}; choose one of these")
        self.scale = Fraction(scale)
        self.tau = 1.0
        block = self.scale.numerator
        self.sub_mean = MeanShift(-1)
        self.add_mean = MeanShift(1)
        self.head = nn.Sequential(_conv3x3(3, CHANNELS), nn.ReLU(), _conv3x3(CHANNELS, CHANNELS))
        self.body = nn.ModuleList(SparseMaskModule() for _ in range(MODULES))
        self.collect = nn.Sequential(
            nn.Conv2d(CHANNELS * MODULES, CHANNELS, 1), nn.ReLU(), _conv3x3(CHANNELS, CHANNELS)
        )
        self.tail = nn.Sequential(_conv3x3(CHANNELS, 3 * block**2), nn.PixelShuffle(block))

    def forward(self, image: Tensor) -> Tensor:
        """The upscaled image; while training it is not clamped."""
        return self.forward_with_kept(image)[0]

    def forward_with_kept(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The upscaled image, and per image (N,) the share of the sparse convolutions' outputs that is computed.

        The share is eta of equation 3, averaged over layers and modules; 1 - share is what tables 1 and 2 call
        sparsity. Its mean over the batch is, while training, the loss that favours sparsity, equation 4.
        """
        low = self.sub_mean(image * 255)
        shallow = x = self.head(low)
        outputs, shares = [], []
        for module in self.body:
            x, share = module(x, self.tau)
            outputs.append(x)
            shares.append(share)
        return self._image(low, shallow, outputs), torch.cat(shares, 1).mean(1)

    def unmasked(self, image: Tensor) -> Tensor:
        """The upscaled image where everything is computed, for half of the work of `forward`."""
        low = self.sub_mean(image * 255)
        shallow = x = self.head(low)
        outputs = [x := cast(SparseMaskModule, module).unmasked(x) for module in self.body]
        return self._image(low, shallow, outputs)

    def _image(self, low: Tensor, shallow: Tensor, outputs: list[Tensor]) -> Tensor:
        """What all modules' outputs make of the picture `low`, RGB in [0, 255] less its mean."""
        upscaled = self.tail(self.collect(torch.cat(outputs, 1)) + shallow)
        upscaled = upscaled + F.interpolate(low, scale_factor=float(self.scale), mode="bicubic", align_corners=False)
        upscaled = self.add_mean(upscaled) / 255
        return upscaled if self.training else upscaled.clamp(0, 1)

    def kept(self, image: Tensor) -> Tensor:
        """The share of `forward_with_kept` alone, (N,)."""
        return self.forward_with_kept(image)[1]

    def macs_per_pixel(self, kept: float = 1.0) -> float:
        """Multiply-adds per input pixel where `kept` of the sparse convolutions' outputs are computed.

        As tables 1, 2 and 4 count them: sparse convolutions and their fusion in proportion to `kept`, all else in
        full, the attention over channels (one pixel a frame) not at all.
        """
        modules = [cast(SparseMaskModule, module) for module in self.body]
        sparse = sum(_weights(module.body.body, module.body.collect) for module in modules)
        masks = sum(_weights(module.spa_mask[0]) + _weights(module.spa_mask[3:]) / 4 for module in modules)
        return kept * sparse + masks + _weights(self.head, self.collect, self.tail)


class Unmasked(nn.Module):
    """`SMSR.unmasked` as a network of its own, with the weights of `model`."""

    def __init__(self, model: SMSR) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> Tensor:
        return self.model.unmasked(image)


def _conv3x3(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def _weights(*parts: nn.Module) -> int:
    """How many weights, biases aside, the convolutions in `parts` have."""
    convolutions = [
        each for part in parts for each in part.modules() if isinstance(each, nn.Conv2d | nn.ConvTranspose2d)
    ]
    return sum(convolution.weight.numel() for convolution in convolutions)
