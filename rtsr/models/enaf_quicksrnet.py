"""ENAF over QuickSRNet: exits after some of the middle layers, each with a last convolution of its own.

Source: "ENAF: A Multi-Exit Network with an Adaptive Patch Fusion for Large Image Super Resolution", section 3.1.1,
applied to QuickSRNet (see `rtsr.models.quicksrnet`), which ENAF's authors did not do.

Where Medium's exits are was measured. A last convolution fitted by least squares behind 0, 1, 2, 3, 4 and 5 middle
layers of shipped `photo` weights, features untouched, over every third image of BSD100, lies 0.82, 1.20, 1.61, 1.78,
1.88 and 2.00 dB above bicubic at x2, and 0.75, 1.17, 1.71, 2.02, 2.41 and 2.69 at x1.5. Trained, exits behind 0, 1 and
5 are at least 0.3 dB apart on BSD100; those behind 2 and 5 are not (0.18 dB at x2, 0.24 at x1.5). They cost 9 %, 27 %
and 100 % at x2, and 4 %, 23 % and 100 % at x1.5. Large has them at 1, 4 and 11.
"""

from fractions import Fraction
from itertools import pairwise

from torch import Tensor, nn

from rtsr.models.multi_exit import Estimator, MultiExit
from rtsr.models.quicksrnet import QuickSRNet, last_convolution, to_image

JUDGING = 32
"""Channels of the estimator: the paper's 128 would cost as much as Medium's first exit."""


class EnafQuickSRNet(MultiExit):
    """Upscales RGB in [0, 1], (N, 3, H, W), by `scale`, to RGB in [0, 1]; sides and scales as `QuickSRNet` takes.

    `taps` are the middle layers before each exit, 0 being right behind the first convolution; the last tap is the
    number of middle layers. The backbone has QuickSRNet's names, and its weights make exit `exits` equal it. All
    exits start as nearest-neighbour resampling. Raises ValueError where taps do not rise.
    """

    def __init__(self, scale: Fraction, channels: int, taps: tuple[int, ...]) -> None:
        super().__init__()
        if not taps or taps[0] < 0 or any(low >= high for low, high in pairwise(taps)):
            raise ValueError(f"taps rise from 0 or more, not {taps}")
        plain = QuickSRNet(scale, channels, blocks=taps[-1])
        self.scale, self.taps, self.exits = plain.scale, taps, len(taps)
        self.conv_first, self.conv_mid, self.conv_last = plain.conv_first, plain.conv_mid, plain.conv_last
        self.activation = plain.activation
        self.predictors = nn.ModuleList(last_convolution(self.scale, channels) for _ in taps[:-1])
        self.estimator = Estimator(self.exits + 1, JUDGING)

    def stage(self, k: int, *features: Tensor) -> tuple[Tensor, ...]:
        (x,) = features
        if k == 1:
            x = self.activation(self.conv_first(x))
        for conv in self.conv_mid[self.taps[k - 2] if k > 1 else 0 : self.taps[k - 1]]:
            x = self.activation(conv(x))
        return (x,)

    def head(self, k: int, *features: Tensor) -> Tensor:
        (x,) = features
        conv = self.conv_last if k == self.exits else self.predictors[k - 1]
        assert isinstance(conv, nn.Conv2d)
        return to_image(conv, x, self.scale)
