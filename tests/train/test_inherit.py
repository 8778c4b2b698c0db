"""Networks start from the weights of others."""

from fractions import Fraction

import pytest
import torch
from torch import nn

from rtsr.errors import TrainError
from rtsr.models import build
from rtsr.models.quicksrnet import QuickSRNet
from rtsr.train.inherit import inherit


def shaken(arch: str, scale: Fraction) -> nn.Module:
    """A network some way from its initialisation."""
    model = build(arch, scale)
    with torch.no_grad():
        for weights in model.parameters():
            weights += 0.02 * torch.randn(weights.shape, generator=torch.Generator().manual_seed(1))
    return model.eval()


@pytest.mark.parametrize("scale", [Fraction(3, 2), Fraction(2)])
@pytest.mark.parametrize(
    ("smaller", "larger"),
    [
        ("quicksrnet-small", "quicksrnet-medium"),
        ("quicksrnet-medium", "quicksrnet-f32-m11"),
        ("quicksrnet-medium", "quicksrnet-large"),
    ],
)
def test_a_larger_network_starts_at_the_quality_of_the_smaller(smaller: str, larger: str, scale: Fraction) -> None:
    small, large = shaken(smaller, scale), build(larger, scale).eval()
    inherit(large, small.state_dict())
    image = torch.rand(1, 3, 20, 24)
    torch.testing.assert_close(large(image), small(image), rtol=0, atol=1e-5)


def test_channels_that_are_added_learn_at_once() -> None:
    medium, large = shaken("quicksrnet-medium", Fraction(2)), build("quicksrnet-large", Fraction(2))
    inherit(large, medium.state_dict())
    large(torch.rand(1, 3, 20, 24)).square().mean().backward()
    assert isinstance(large, QuickSRNet)
    unseen = large.conv_last.weight.grad
    assert unseen is not None
    assert (unseen[:, 32:].abs().amax((0, 2, 3)) > 0).all()


@pytest.mark.parametrize(
    ("arch", "plain", "scale"),
    [
        ("enaf-quicksrnet-medium", "quicksrnet-medium", Fraction(3, 2)),
        ("enaf-quicksrnet-large", "quicksrnet-large", Fraction(2)),
        ("enaf-rlfn-s", "rlfn-s", Fraction(2)),
    ],
)
def test_a_network_with_exits_starts_as_the_plain_one(arch: str, plain: str, scale: Fraction) -> None:
    whole, exits = shaken(plain, scale), build(arch, scale).eval()
    image = torch.rand(1, 3, 32, 40)
    assert not torch.allclose(exits(image), whole(image), atol=1e-4)
    inherit(exits, whole.state_dict())
    # RLFN with exits has aligned attention, which differs a little.
    torch.testing.assert_close(exits(image), whole(image), rtol=0, atol=1e-2 if plain == "rlfn-s" else 1e-6)


@pytest.mark.parametrize("arch", ["quicksrnet-small", "rlfn-s", "smsr"])
def test_another_scale_takes_all_but_the_head(arch: str) -> None:
    double, other = shaken(arch, Fraction(2)), build(arch, Fraction(4))
    fresh = {name: value.clone() for name, value in other.state_dict().items()}
    inherit(other, double.state_dict())
    kept = double.state_dict()
    for name, value in other.state_dict().items():
        if kept[name].shape == value.shape:
            assert torch.equal(value, kept[name])
        else:
            assert torch.equal(value, fresh[name])


@pytest.mark.parametrize(("arch", "other"), [("quicksrnet-small", "quicksrnet-large"), ("rlfn-s", "rlfn")])
def test_weights_of_another_architecture_are_refused(arch: str, other: str) -> None:
    with pytest.raises(TrainError, match=r"another architecture: [0-9]+% of them fit"):
        inherit(build(arch, Fraction(2)), build(other, Fraction(2)).state_dict())
