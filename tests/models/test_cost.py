"""Multiply-adds as they are worked out by hand."""

from fractions import Fraction

import pytest
import torch
from torch import nn

from rtsr.models import build
from rtsr.models.cost import macs


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (nn.Conv2d(8, 12, 3, padding=1), 12 * 8 * 9 * 35),
        (nn.Conv2d(8, 12, 3, padding=1, groups=4), 12 * 2 * 9 * 35),
        (nn.Conv2d(8, 8, 3, padding=1, groups=8), 8 * 9 * 35),
        (nn.Conv2d(8, 12, 3, stride=2), 12 * 8 * 9 * 2 * 3),
        (nn.Conv2d(8, 12, 1, bias=False), 12 * 8 * 35),
        (nn.ConvTranspose2d(8, 4, 9, stride=4, padding=3, output_padding=1), 8 * 4 * 81 * 35),
        (nn.ConvTranspose2d(8, 4, 3, stride=2, groups=2), 8 * 2 * 9 * 35),
        (nn.Sequential(nn.Flatten(), nn.Linear(280, 6)), 280 * 6),
        (nn.PixelShuffle(2), 0),
    ],
)
def test_layers(layer, expected):
    assert macs(layer, torch.zeros(1, 8, 5, 7)) == expected
    assert macs(layer, torch.zeros(3, 8, 5, 7)) == 3 * expected


def test_a_network_counts_as_its_card_says_without_computing():
    with torch.device("meta"):
        model = build("quicksrnet-large", Fraction(2))
    assert macs(model, torch.empty(1, 3, 540, 960, device="meta")) == 414144 * 540 * 960


def test_functions_of_several_tensors():
    assert macs(torch.matmul, torch.zeros(2, 3, 5), torch.zeros(5, 7)) == 2 * 3 * 5 * 7
