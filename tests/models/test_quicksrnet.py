"""QuickSRNet against its definition in the paper."""

from fractions import Fraction

import pytest
import torch
from torch.nn import functional as F

from rtsr.errors import UsageError
from rtsr.models import build
from rtsr.models.quicksrnet import QuickSRNet

SCALES = [Fraction(2), Fraction(3), Fraction(4), Fraction(3, 2)]
X1_5 = Fraction(3, 2)


def image(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


def random_network(arch: str, scale: Fraction) -> QuickSRNet:
    """The same network at every call, none of its weights as the initialisation made them."""
    torch.manual_seed(2)
    model = build(arch, scale)
    assert isinstance(model, QuickSRNet)
    for weights in model.parameters():
        weights.data += 0.1 * torch.randn(weights.shape)
    return model.eval()


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("arch", ["quicksrnet-small", "quicksrnet-medium"])
@torch.no_grad()
def test_starts_as_nearest_neighbour(arch, scale):
    low = image(2, 3, 12, 10)
    expected = F.interpolate(low, scale_factor=float(scale), mode="nearest")
    torch.testing.assert_close(build(arch, scale)(low), expected, rtol=0, atol=0)


@torch.no_grad()
def test_channels_beside_the_image_start_with_what_differs_in_it_and_keep_it():
    model = build("quicksrnet-large", Fraction(2))
    assert isinstance(model, QuickSRNet)
    grey = torch.full((1, 3, 16, 16), 0.7)
    assert model.conv_first(grey)[:, 3:, 1:-1, 1:-1].abs().max() < 1e-5
    low = image(2, 3, 48, 40)
    first, last = model.activation(model.conv_first(low))[:, 3:], model.features(low)[:, 3:]
    assert (first - last).abs().mean() < 0.5 * first.mean()
    assert ((last <= 0) | (last >= 1)).float().mean() < 0.2


@torch.no_grad()
def test_the_folded_head_equals_pixel_unshuffle_and_a_1x1_convolution():
    model = random_network("quicksrnet-small", X1_5)
    features = image(2, 32, 10, 14)
    expected = F.pixel_shuffle(model.conv_last(F.pixel_unshuffle(features, 2)), 3)
    assert expected.std() > 0.1
    torch.testing.assert_close(model.head(features), expected, rtol=0, atol=1e-5)


@torch.no_grad()
def test_features_and_result_stay_within_0_and_1_and_reach_both():
    model = random_network("quicksrnet-small", Fraction(2))
    low = 4 * image(1, 3, 16, 16) - 2
    for values in (model.features(low), model(low)):
        assert values.min() == 0
        assert values.max() == 1
    assert model.head(model.features(low)).max() > 1


@pytest.mark.parametrize("scale", SCALES)
@torch.no_grad()
def test_scales_height_and_width(scale):
    assert build("quicksrnet-small", scale)(image(1, 3, 6, 8)).shape == (1, 3, 6 * scale, 8 * scale)


def test_other_scales_and_names_are_refused():
    with pytest.raises(UsageError, match=r"1\.5, 2, 3 or 4, not by 2\.5"):
        build("quicksrnet-small", Fraction(5, 2))
    with pytest.raises(UsageError, match="quicksrnet-large"):
        build("quicksrnet-huge", Fraction(2))
