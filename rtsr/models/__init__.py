"""Network definitions in PyTorch, one file a family, and the list of those that can be built by name."""

from collections.abc import Callable
from fractions import Fraction
from functools import partial

from torch import nn

from rtsr.errors import UsageError
from rtsr.models.enaf_carn import EnafCarn
from rtsr.models.enaf_fsrcnn import EnafFsrcnn
from rtsr.models.enaf_quicksrnet import EnafQuickSRNet
from rtsr.models.enaf_rlfn import EnafRLFN
from rtsr.models.enaf_srresnet import EnafSrresnet
from rtsr.models.quicksrnet import QuickSRNet
from rtsr.models.rlfn import RLFN
from rtsr.models.smsr import SMSR

MODELS: dict[str, Callable[[Fraction], nn.Module]] = {
    "quicksrnet-small": partial(QuickSRNet, channels=32, blocks=2),
    "quicksrnet-medium": partial(QuickSRNet, channels=32, blocks=5),
    "quicksrnet-f32-m11": partial(QuickSRNet, channels=32, blocks=11),
    "quicksrnet-large": partial(QuickSRNet, channels=64, blocks=11),
    "enaf-fsrcnn": EnafFsrcnn,
    "enaf-carn": EnafCarn,
    "enaf-srresnet": EnafSrresnet,
    "enaf-quicksrnet-medium": partial(EnafQuickSRNet, channels=32, taps=(0, 1, 5)),
    "enaf-quicksrnet-large": partial(EnafQuickSRNet, channels=64, taps=(1, 4, 11)),
    "enaf-rlfn-s": partial(EnafRLFN, channels=48, taps=(2, 4, 6)),
    "rlfn": partial(RLFN, channels=52, blocks=6),
    "rlfn-s": partial(RLFN, channels=48, blocks=6),
    "rlfn-ntire": partial(RLFN, channels=46, blocks=4, inner=48),
    "smsr": SMSR,
}


def build(arch: str, scale: Fraction) -> nn.Module:
    """A network of architecture `arch` at `scale`, freshly initialised."""
    if arch not in MODELS:
        raise UsageError(f"unknown architecture {arch!r}; known: {', '.join(MODELS)}")
    return MODELS[arch](scale)
