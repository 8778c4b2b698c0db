"""ENAF over RLFN: exits after some of the residual blocks, each with a reconstruction of its own.

Source: "ENAF: A Multi-Exit Network with an Adaptive Patch Fusion for Large Image Super Resolution", section 3.1.1,
applied to RLFN (see `rtsr.models.rlfn`), which ENAF's authors did not do.
"""

from fractions import Fraction
from itertools import pairwise

from torch import Tensor, nn

from rtsr.models.multi_exit import Estimator, MultiExit
from rtsr.models.rlfn import ATTENTION_STEP, RLFN, upsampler


class EnafRLFN(MultiExit):
    """Upscales RGB in [0, 1], (N, 3, H, W), by `scale`, to RGB in [0, 1]; sides and scales as `RLFN` takes.

    `taps` are the residual blocks before each exit; the last is the number of blocks. The features of a stage are
    those of its last block and those of the first convolution. The backbone has RLFN's names, and its weights make
    exit `exits` equal it. Attention is aligned (see `rtsr.models.rlfn.ESA`), so that tiles that start at multiples of
    `alignment`, with `good_radius` around them, equal the whole frame. Raises ValueError where taps do not rise.
    """

    def __init__(self, scale: Fraction, channels: int, taps: tuple[int, ...]) -> None:
        super().__init__()
        if not taps or taps[0] < 1 or any(low >= high for low, high in pairwise(taps)):
            raise ValueError(f"taps rise from 1 or more, not {taps}")
        plain = RLFN(scale, channels, blocks=taps[-1], aligned=True)
        self.scale, self.taps, self.exits = plain.scale, taps, len(taps)
        self.good_radius, self.alignment = plain.good_radius, ATTENTION_STEP
        self.conv_1, self.conv_2, self.upsampler = plain.conv_1, plain.conv_2, plain.upsampler
        for k, block in enumerate(plain.blocks, 1):
            self.add_module(f"block_{k}", block)
        self.predictors = nn.ModuleList(Reconstruction(channels, self.scale) for _ in taps[:-1])
        self.estimator = Estimator(self.exits + 1)

    def stage(self, k: int, *features: Tensor) -> tuple[Tensor, ...]:
        if k == 1:
            (image,) = features
            deep = shallow = self.conv_1(image * 255)
            done = 0
        else:
            (deep, shallow), done = features, self.taps[k - 2]
        for block in range(done + 1, self.taps[k - 1] + 1):
            deep = self.get_submodule(f"block_{block}")(deep)
        return deep, shallow

    def head(self, k: int, *features: Tensor) -> Tensor:
        deep, shallow = features
        if k < self.exits:
            return self.predictors[k - 1](deep, shallow) / 255
        return self.upsampler(self.conv_2(deep) + shallow) / 255


class Reconstruction(nn.Module):
    """RLFN's equation 3: features (N, channels, H, W) of a block and of the first convolution to RGB in [0, 255]."""

    def __init__(self, channels: int, scale: Fraction) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.upsampler = upsampler(channels, scale)

    def forward(self, deep: Tensor, shallow: Tensor) -> Tensor:
        return self.upsampler(self.conv(deep) + shallow)
