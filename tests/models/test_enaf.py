"""Networks with several exits against their definitions and what the paper says they cost."""

from fractions import Fraction
from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from rtsr.errors import UsageError
from rtsr.models import build
from rtsr.models.cost import macs
from rtsr.models.enaf_quicksrnet import EnafQuickSRNet
from rtsr.models.enaf_rlfn import EnafRLFN
from rtsr.models.multi_exit import MultiExit
from rtsr.models.quicksrnet import QuickSRNet
from rtsr.models.rlfn import RLFN

X2, X4, X1_5 = Fraction(2), Fraction(4), Fraction(3, 2)
NETWORKS = [
    ("enaf-fsrcnn", X4),
    ("enaf-carn", X4),
    ("enaf-srresnet", X4),
    ("enaf-quicksrnet-medium", X2),
    ("enaf-quicksrnet-medium", X1_5),
    ("enaf-quicksrnet-large", X2),
    ("enaf-quicksrnet-large", X1_5),
    ("enaf-rlfn-s", X2),
    ("enaf-rlfn-s", X1_5),
]
OVER_QUICKSRNET = [(arch, scale) for arch, scale in NETWORKS if "quicksrnet" in arch]
OVER_PLAIN = [(arch, scale) for arch, scale in NETWORKS if scale != X4]


def image(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


def random_network(arch: str, scale: Fraction) -> MultiExit:
    """The same network at every call, none of its weights as the initialisation made them."""
    torch.manual_seed(2)
    model = build(arch, scale)
    assert isinstance(model, MultiExit)
    for weights in model.parameters():
        weights.data += 0.03 * torch.randn(weights.shape)
    return model.eval()


@pytest.mark.parametrize(("arch", "scale"), NETWORKS)
@torch.no_grad()
def test_stages_and_heads_make_every_exit(arch, scale):
    model = random_network(arch, scale)
    low = image(2, 3, 12, 18)
    features, unclamped = (low,), model.every_exit(low)
    for k in range(1, model.exits + 1):
        features = model.stage(k, *features)
        chained = model.head(k, *features)
        assert chained.shape == (2, 3, 12 * scale, 18 * scale)
        assert torch.equal(chained, unclamped[k - 1])
        assert torch.equal(chained.clamp(0, 1), model(low, exit=k))
        assert torch.equal(chained, model.train()(low, exit=k))
        model.eval()
    assert torch.equal(model(low), model(low, exit=model.exits))
    assert all((a - b).abs().max() > 1e-3 for a, b in pairwise(unclamped))


@pytest.mark.parametrize(("arch", "scale"), [n for n in NETWORKS if n[1] != X1_5])
@torch.no_grad()
def test_odd_sizes(arch, scale):
    for upscaled in random_network(arch, scale).every_exit(image(1, 3, 19, 17)):
        assert upscaled.shape == (1, 3, 19 * scale, 17 * scale)


@pytest.mark.parametrize(("arch", "scale"), NETWORKS)
@torch.no_grad()
def test_the_estimator_gives_one_figure_an_exit_and_bicubic(arch, scale):
    model = random_network(arch, scale)
    assert model.estimator(image(5, 3, 32, 32)).shape == (5, model.exits + 1)
    assert model.estimator_sign == 1


def test_exits_that_are_not_there_and_scales_are_refused():
    model = build("enaf-quicksrnet-medium", X2)
    for k in (-1, 0, 4):
        with pytest.raises(ValueError, match="1 to 3"):
            model(image(1, 3, 8, 8), exit=k)
    for arch in ("enaf-fsrcnn", "enaf-carn", "enaf-srresnet"):
        with pytest.raises(UsageError, match=r"by 4, not by 1\.5"):
            build(arch, X1_5)
    for taps in ((), (-1, 2), (2, 2), (3, 2)):
        with pytest.raises(ValueError, match="taps rise"):
            EnafQuickSRNet(X2, 8, taps)
        with pytest.raises(ValueError, match="taps rise"):
            EnafRLFN(X2, 8, taps)


def operations(model: nn.Module, k: int) -> float:
    """Millions of operations of exit `k` for a patch of 32x32, as the paper counts them.

    Two for each multiply-add; a transposed convolution is counted as if it ran at the output's resolution, 16 times
    what it takes.
    """
    used: list[int] = []
    for part in model.modules():
        if isinstance(part, nn.ConvTranspose2d):
            part.register_forward_hook(lambda part, *_: used.append(part.weight.numel() * 32 * 32))
    counted = macs(partial(model, exit=k), torch.empty(1, 3, 32, 32, device="meta"))
    return 2 * (counted + 15 * sum(used)) / 1e6


@pytest.mark.parametrize(
    ("arch", "expected"),
    [
        ("enaf-fsrcnn", (146.42, 315.45, 468.2)),
        ("enaf-carn", (778.55, 868.86, 1161.72)),
        ("enaf-srresnet", (2046.98, 3662.64, 5194)),
    ],
)
def test_exits_cost_what_the_paper_says(arch, expected):
    with torch.device("meta"):
        exits = [operations(build(arch, X4), k) for k in (1, 2, 3)]
    assert exits == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(
    ("arch", "scale", "expected"),
    [
        ("enaf-quicksrnet-medium", X2, (4320, 13536, 50400)),
        ("enaf-quicksrnet-medium", X1_5, (1728, 10944, 47808)),
        ("enaf-quicksrnet-large", X2, (45504, 156096, 414144)),
        ("enaf-quicksrnet-large", X1_5, (40320, 150912, 408960)),
        ("enaf-rlfn-s", X2, (160877, 294538, 428199)),
        ("enaf-rlfn-s", X1_5, (156989, 290650, 424311)),
    ],
)
def test_multiply_adds_an_input_pixel(arch, scale, expected):
    with torch.device("meta"):
        model = build(arch, scale)
    patch = torch.empty(1, 3, 32, 32, device="meta")
    assert tuple(macs(partial(model, exit=k), patch) / 1024 for k in (1, 2, 3)) == expected


def test_carn_has_one_stage_that_computes():
    with torch.device("meta"):
        model = build("enaf-carn", X4)
        features = torch.empty(1, 64, 32, 32)
    assert macs(partial(model.stage, 2), features) == macs(partial(model.stage, 3), features) == 0


@pytest.mark.parametrize(
    ("arch", "scale", "backbone", "heads"),
    [
        ("enaf-fsrcnn", X4, 24_515, 5635 + 12_675),
        ("enaf-carn", X4, 294_147, 12_083 + 28_771),
        ("enaf-srresnet", X4, 1_517_571, 61_183 + 297_155),
        ("enaf-quicksrnet-medium", X2, 50_604, 2 * 3468),
        ("enaf-quicksrnet-medium", X1_5, 50_619, 2 * 3483),
        ("enaf-quicksrnet-large", X2, 414_924, 2 * 6924),
        ("enaf-rlfn-s", X2, 454_620, 2 * 25_980),
    ],
)
def test_parameters(arch, scale, backbone, heads):
    counts = {"backbone": 0, "predictors": 0, "estimator": 0}
    for name, weights in build(arch, scale).named_parameters():
        part = name.split(".")[0]
        counts[part if part in counts else "backbone"] += weights.numel() * weights.requires_grad
    judging = 5_924 if "quicksrnet" in arch else 60_068
    assert counts == {"backbone": backbone, "predictors": heads, "estimator": judging}


@torch.no_grad()
def test_srresnet_adds_to_bicubic_upscaling():
    model = random_network("enaf-srresnet", X4)
    for last in (model.tail[-1], model.predictors[0][-1], model.predictors[1][-1]):
        last.weight.zero_()
        last.bias.fill_(0.25)
    low = image(1, 3, 10, 9)
    expected = F.interpolate(low, scale_factor=4, mode="bicubic") + 0.25
    for upscaled in model.every_exit(low):
        torch.testing.assert_close(upscaled, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("arch", "scale"), OVER_QUICKSRNET)
@torch.no_grad()
def test_exits_over_quicksrnet_start_as_nearest_neighbour(arch, scale):
    low = image(1, 3, 12, 10)
    expected = F.interpolate(low, scale_factor=float(scale), mode="nearest")
    for upscaled in build(arch, scale).every_exit(low):
        torch.testing.assert_close(upscaled, expected, rtol=0, atol=0)


@pytest.mark.parametrize(("arch", "scale"), OVER_PLAIN)
@torch.no_grad()
def test_the_last_exit_equals_the_plain_network_of_the_same_weights(arch, scale):
    torch.manual_seed(3)
    # RLFN's own attention depends on the frame's borders: with exits, chosen tile by tile, it is the aligned one.
    plain = RLFN(scale, 48, 6, aligned=True) if "rlfn" in arch else build(arch.removeprefix("enaf-"), scale)
    plain, model = plain.eval(), random_network(arch, scale)
    for weights in plain.parameters():
        weights += 0.03 * torch.randn(weights.shape)
    loaded = model.load_state_dict(plain.state_dict(), strict=False)
    assert not loaded.unexpected_keys
    assert {name.split(".")[0] for name in loaded.missing_keys} == {"predictors", "estimator"}
    low = image(2, 3, 12, 14)
    assert torch.equal(model(low), plain(low))


@pytest.mark.parametrize("scale", [X2, X1_5])
@torch.no_grad()
def test_an_early_exit_equals_a_shallower_plain_network(scale):
    model = random_network("enaf-quicksrnet-medium", scale)
    for k, blocks in ((1, 0), (2, 1)):
        plain = QuickSRNet(scale, channels=32, blocks=blocks).eval()
        head = model.get_submodule(f"predictors.{k - 1}").state_dict()
        weights = {**model.state_dict(), **{f"conv_last.{name}": value for name, value in head.items()}}
        plain.load_state_dict({name: weights[name] for name in plain.state_dict()})
        low = image(1, 3, 12, 14)
        assert torch.equal(model(low, exit=k), plain(low))
