"""What a network with several exits is, and the estimator that chooses between them.

Source: "ENAF: A Multi-Exit Network with an Adaptive Patch Fusion for Large Image Super Resolution", section 3.1
(equations 2 and 3) and the authors' checkpoints. Exit 0 is bicubic interpolation and no part of the network.
"""

from abc import ABC, abstractmethod
from fractions import Fraction

from torch import Tensor, nn

ESTIMATED_PATCH = 32
"""Side, in input pixels, of the patches that the estimator was made for."""
RELEASED_SIGN = -1
"""Sign of the estimates of the authors' checkpoints: the lower, the better."""


class MultiExit(nn.Module, ABC):
    """A chain of `exits` stages with a head behind each, so that work can stop after any of them.

    Stage 1 takes the image, RGB in [0, 1], (N, 3, H, W); stage k the features that stage k - 1 gave. Head k makes
    the upscaled image of the features of stage k. Heads and stages are counted from 1.
    """

    scale: Fraction
    exits: int
    estimator: nn.Module
    """Patches (N, 3, 32, 32) in [0, 1] to (N, exits + 1): what each exit, bicubic included, is thought to reach."""
    estimator_sign: int = 1
    """1: estimates are PSNR in dB, as trained by equation 7. Set it to -1 for weights that give its negative."""

    @abstractmethod
    def stage(self, k: int, *features: Tensor) -> tuple[Tensor, ...]:
        """Features of stage `k` from those of the stage before, or from the image where `k` is 1."""

    @abstractmethod
    def head(self, k: int, *features: Tensor) -> Tensor:
        """The image of exit `k`, not clamped: (N, 3, H * scale, W * scale)."""

    def every_exit(self, image: Tensor) -> list[Tensor]:
        """The images of exits 1, 2, ..., not clamped; no stage runs twice."""
        features, images = (image,), []
        for k in range(1, self.exits + 1):
            features = self.stage(k, *features)
            images.append(self.head(k, *features))
        return images

    def forward(self, image: Tensor, exit: int | None = None) -> Tensor:
        """The image of `exit`, by default the last; clamped to [0, 1] unless training.

        Raises ValueError where the network has no such exit.
        """
        features = (image,)
        last = self.exits if exit is None else exit
        if not 1 <= last <= self.exits:
            raise ValueError(f"exits are 1 to {self.exits}, not {last}; 0 is bicubic interpolation")
        for k in range(1, last + 1):
            features = self.stage(k, *features)
        upscaled = self.head(last, *features)
        return upscaled if self.training else upscaled.clamp(0, 1)


class Estimator(nn.Module):
    """Estimates for a patch, (N, 3, 32, 32) in [0, 1], what each of `outputs` exits reaches: (N, outputs).

    Section 3.1.2; layers and names as in the authors' checkpoints (`CondNet`, `lastOut`). Theirs give the negative of
    PSNR on luma in dB, off by 2.8 to 2.9 dB on average over patches of Set14 and BSD100 (`RELEASED_SIGN`). `channels`
    is 128 in the paper, 3.7 kMACs an input pixel.
    """

    def __init__(self, outputs: int, channels: int = 128) -> None:
        super().__init__()
        slope = 0.1
        self.CondNet = nn.Sequential(
            nn.Conv2d(3, channels, 4, 4),
            nn.LeakyReLU(slope),
            nn.Conv2d(channels, channels, 1),
            nn.LeakyReLU(slope),
            nn.Conv2d(channels, channels, 1),
            nn.LeakyReLU(slope),
            nn.Conv2d(channels, channels, 1),
            nn.LeakyReLU(slope),
            nn.Conv2d(channels, 32, 1),
        )
        self.lastOut = nn.Linear(32, outputs)

    def forward(self, patches: Tensor) -> Tensor:
        return self.lastOut(self.CondNet(patches).mean((2, 3)))
