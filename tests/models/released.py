"""Weights that authors released, and what they reach: shared by the tests of the networks that load them."""

from fractions import Fraction
from pathlib import Path

import torch
from torch import nn

from rtsr.models import build
from rtsr.quality.datasets import pictures
from rtsr.quality.metrics import border, compare
from rtsr.train.loop import score


def released(shared: Path, arch: str, scale: int, file: str) -> nn.Module:
    """The network with the weights in `shared`/checkpoints/`file`, every one of them used."""
    model = build(arch, Fraction(scale))
    weights = torch.load(shared / "checkpoints" / file, weights_only=True, map_location="cpu")
    model.load_state_dict(weights, strict=True)
    return model.eval()


def psnr(shared: Path, model: nn.Module, scale: int, dataset: str = "Set5") -> float:
    """Mean PSNR-Y in dB over a benchmark's images."""
    folder = shared / "data" / "benchmarks" / dataset
    images = [(low, high) for _, low, high in pictures(folder, Fraction(scale))]
    crop = border(Fraction(scale))
    return score(model, images, lambda result, truth: compare(result, truth, crop)[0])[-1]
