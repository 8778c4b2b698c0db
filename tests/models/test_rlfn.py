"""RLFN against the paper and the authors' weights."""

from fractions import Fraction

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from rtsr.errors import UsageError
from rtsr.models import build
from rtsr.models.cost import macs
from rtsr.models.rlfn import ESA, RLFN, SLOPE, WHOLE_FRAME
from tests.models.released import psnr, released

X1_5 = Fraction(3, 2)
SCALES = [Fraction(2), Fraction(3), Fraction(4), X1_5]


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


def network(arch: str, scale: Fraction) -> RLFN:
    torch.manual_seed(2)
    model = build(arch, scale)
    assert isinstance(model, RLFN)
    return model.eval()


@pytest.mark.parametrize(
    ("arch", "scale", "file", "expected"),
    [
        ("rlfn", 2, "rlfn_x2.pth", 38.07),
        ("rlfn", 4, "rlfn_x4.pth", 32.24),
        ("rlfn-s", 2, "rlfn_s_x2.pth", 38.05),
        ("rlfn-s", 4, "rlfn_s_x4.pth", 32.24),
        ("rlfn-ntire", 4, "rlfn_ntire_x4.pth", 32.10),
    ],
)
def test_released_weights_reach_what_the_paper_says(shared, arch, scale, file, expected):
    """Table 1 where the paper has the network; all as measured with the authors' code."""
    assert psnr(shared, released(shared, arch, scale, file), scale) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(
    ("arch", "scale", "thousands"),
    [("rlfn", 2, 527), ("rlfn", 4, 543), ("rlfn-s", 2, 454), ("rlfn-s", 4, 470), ("rlfn-ntire", 4, 317)],
)
def test_parameters_are_those_of_tables_1_and_7(arch, scale, thousands):
    """Some of which are rounded, others cut to thousands."""
    parameters = sum(weights.numel() for weights in build(arch, Fraction(scale)).parameters())
    assert parameters == pytest.approx(1000 * thousands, abs=999)


def test_multiply_adds_are_those_of_table_7():
    """The challenge counts at 256x256 input pixels and calls multiply-adds FLOPs."""
    with torch.device("meta"):
        model = build("rlfn-ntire", Fraction(4))
    assert macs(model, torch.empty(1, 3, 256, 256, device="meta")) == pytest.approx(19.7e9, rel=0.005)


@torch.no_grad()
def test_a_block_is_equations_6_and_7_and_the_attention_figure_3c():
    """Written out once more, layer by layer, as the paper draws them."""
    block, x = network("rlfn-s", Fraction(2)).blocks[0], noise(2, 48, 20, 33)
    refined = x
    for conv in (block.c1_r, block.c2_r, block.c3_r):
        refined = F.leaky_relu(conv(refined), SLOPE)
    reduced = block.c5(refined + x)
    esa = block.esa
    near = esa.conv1(reduced)
    groups = esa.conv3(F.max_pool2d(esa.conv2(near), kernel_size=7, stride=3))
    resized = F.interpolate(groups, (20, 33), mode="bilinear", align_corners=False)
    expected = reduced * torch.sigmoid(esa.conv4(resized + esa.conv_f(near)))
    assert expected.std() > 0.01
    torch.testing.assert_close(block(x), expected)


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("scale", SCALES)
@torch.no_grad()
def test_scales_height_and_width_of_any_size(scale, aligned):
    model = RLFN(scale, channels=8, blocks=2, aligned=aligned).eval()
    for height, width in [(1, 1), (2, 5), (7, 30), (14, 14), (15, 16), (21, 17)]:
        height, width = height * scale.denominator, width * scale.denominator
        upscaled = model(noise(2, 3, height, width))
        assert upscaled.shape == (2, 3, height * scale, width * scale)
        assert upscaled.isfinite().all() and upscaled.min() >= 0 and upscaled.max() <= 1


@torch.no_grad()
def test_small_features_are_seen_with_their_border_repeated():
    esa, features = ESA(8), noise(1, 8, 6, 20)
    expected = F.pad(features, (0, 0, 0, 9), mode="replicate")
    coarse = esa.conv3(F.max_pool2d(esa.conv2(esa.conv1(expected)), 7, 3))
    mask = F.interpolate(coarse, (6, 20), mode="bilinear") + esa.conv_f(esa.conv1(features))
    torch.testing.assert_close(esa(features), features * esa.conv4(mask).sigmoid())


def test_aligned_attention_reaches_the_same(shared):
    model = released(shared, "rlfn-s", 2, "rlfn_s_x2.pth")
    aligned = RLFN(Fraction(2), channels=48, blocks=6, aligned=True).eval()
    aligned.load_state_dict(model.state_dict())
    assert psnr(shared, aligned, 2) == pytest.approx(38.05, abs=0.01)
    assert (aligned.good_radius, model.good_radius) == (36, WHOLE_FRAME)


@torch.no_grad()
def test_tiles_equal_the_whole_frame_with_aligned_attention_only():
    """54 pixels are more than two blocks see; multiples of six, since the attention's map has one value in six."""
    torch.manual_seed(2)
    model, image = RLFN(Fraction(2), channels=8, blocks=2, aligned=True).eval(), noise(1, 3, 150, 156)
    paper = RLFN(Fraction(2), channels=8, blocks=2).eval()
    paper.load_state_dict(model.state_dict())
    farther, nearer = (
        (each(image)[..., 120:156, 132:168] - each(image[..., 6:132, 12:138])[..., 108:144, 108:144]).abs().max()
        for each in (paper, model)
    )
    assert nearer < 1e-6
    assert farther > 1e-4


@torch.no_grad()
def test_the_head_at_3_halves_is_space_to_depth_a_1x1_convolution_and_depth_to_space():
    model, features = network("rlfn-s", X1_5), noise(1, 48, 10, 14)
    conv = model.upsampler[0]
    assert isinstance(conv, nn.Conv2d)
    mapped = F.conv2d(F.pixel_unshuffle(features, 2), conv.weight.reshape(27, 4 * 48, 1, 1), conv.bias)
    torch.testing.assert_close(model.upsampler(features), F.pixel_shuffle(mapped, 3))


@torch.no_grad()
def test_the_parts_make_the_whole():
    model, image = network("rlfn-ntire", Fraction(3)), noise(1, 3, 18, 16)
    shallow = deep = model.features(image)
    assert len(model.blocks) == 4
    for block in model.blocks:
        deep = block(deep)
    torch.testing.assert_close(model(image), model.reconstruct(deep, shallow).clamp(0, 1), rtol=0, atol=0)


def test_training_is_not_clamped_and_reaches_every_weight():
    model = network("rlfn-ntire", Fraction(2)).train()
    result = model(noise(1, 3, 24, 24))
    assert result.min() < 0
    result.abs().mean().backward()
    assert all(weights.grad is not None and weights.grad.abs().sum() > 0 for weights in model.parameters())


def test_other_scales_are_refused():
    with pytest.raises(UsageError, match=r"1\.5, 2, 3 or 4, not by 2\.5"):
        build("rlfn", Fraction(5, 2))
