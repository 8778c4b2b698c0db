"""Networks with random weights, in PyTorch and exported, for the tests of what runs them."""

from fractions import Fraction
from pathlib import Path

import pytest

from rtsr.card import read_card
from rtsr.resources import Network


def random_network(arch: str, scale: Fraction):
    """The same network at every call, each weight moved a little from its initialisation."""
    import torch

    from rtsr.models import build

    torch.manual_seed(2)
    model = build(arch, scale)
    for weights in model.parameters():
        weights.data += 0.5 * torch.randn(weights.shape) / max(weights[0].numel(), 1) ** 0.5
    return model.eval()


def exported(arch: str, scale: Fraction, folder: Path) -> Network:
    """The network with random weights in `folder`, where it is exported once, whichever processes share that.

    The test is skipped without torch.
    """
    pytest.importorskip("torch")
    from filelock import FileLock

    from rtsr.export import export

    name = f"{arch}-x{float(scale):g}"
    path = folder / f"{name}.toml"
    with FileLock(folder / f"{name}.lock"):
        if not path.exists():
            export(random_network(arch, scale), name, arch, "photo", folder)
    return Network(read_card(path), path)
