"""SMSR against the paper and the authors' weights; its two forms for inference against its definition."""

from fractions import Fraction

import pytest
import torch
from torch.nn import functional as F

from rtsr.errors import UsageError
from rtsr.models import build
from rtsr.models.cost import macs
from rtsr.models.smsr import SMSR, SparseConvolutions, SparseMaskModule
from rtsr.models.smsr_inference import masked_inference, sparse_inference
from tests.models.released import psnr, released

FORMS = [sparse_inference, masked_inference]
SIZES = [(1, 3, 1, 1), (1, 3, 5, 7), (2, 3, 33, 48), (1, 3, 64, 51)]


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


def smooth(*shape: int) -> torch.Tensor:
    """Pictures with flat and busy places."""
    coarse = F.interpolate(noise(shape[0], 3, 6, 6), shape[2:], mode="bicubic", align_corners=False)
    busy = torch.arange(shape[3]) >= shape[3] // 2
    return (coarse + 0.3 * busy * (noise(*shape) - 0.5)).clamp(0, 1)


def network(scale: int = 2, seed: int = 2) -> SMSR:
    torch.manual_seed(seed)
    model = build("smsr", Fraction(scale))
    assert isinstance(model, SMSR)
    return model.eval()


def trained(shared) -> SMSR:
    model = released(shared, "smsr", 2, "smsr_x2.pt")
    assert isinstance(model, SMSR)
    return model


def modules(model: SMSR) -> list[SparseMaskModule]:
    return [module for module in model.body if isinstance(module, SparseMaskModule)]


@torch.no_grad()
def compare(form, model: SMSR, image: torch.Tensor) -> torch.Tensor:
    """The share that is kept; the form's picture and share must be the definition's."""
    expected, kept = model.forward_with_kept(image)
    got, same = form(model).forward_with_kept(image)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(same, kept)
    return kept


def test_released_weights_reach_what_the_paper_says(shared):
    """Table 4 has 38.00; the authors' code gives this."""
    assert psnr(shared, masked_inference(trained(shared)), 2) == pytest.approx(37.99, abs=0.01)


@pytest.mark.parametrize(
    ("scale", "thousands", "kept", "full", "thinned"),
    [(2, 985, 0.51, 224.1, 131.6), (3, 993, 0.61, 100.5, 67.8), (4, 1006, 0.67, 57.2, 41.6)],
)
def test_costs_are_those_of_table_4(scale, thousands, kept, full, thinned):
    """For 1280x720 output pixels, in billions; the scores of channels do not count as parameters."""
    model, pixels = network(scale), 1280 * 720 / scale**2
    parameters = sum(weights.numel() for name, weights in model.named_parameters() if not name.endswith("ch_mask"))
    assert parameters == pytest.approx(1000 * thousands, abs=500)
    assert model.macs_per_pixel() * pixels / 1e9 == pytest.approx(full, rel=0.005)
    assert model.macs_per_pixel(kept) * pixels / 1e9 == pytest.approx(thinned, rel=0.005)


@pytest.mark.parametrize(("sparsity", "flops"), [(0.46, 0.61), (0.64, 0.46), (0.73, 0.38)])
def test_savings_are_those_of_table_2(sparsity, flops):
    model = network()
    assert model.macs_per_pixel(1 - sparsity) / model.macs_per_pixel() == pytest.approx(flops, abs=0.01)


def test_the_count_is_what_runs():
    """Where no channel is computed everywhere. Beside: once a frame, the attention."""
    model = network(3)
    for module in modules(model):
        module.body.ch_mask.data[..., 0] = -100
    counted = macs(masked_inference(model), noise(1, 3, 16, 20))
    assert counted == 16 * 20 * model.macs_per_pixel() + 5 * 2 * 64 * 4


@torch.no_grad()
def test_a_sparse_convolution_is_figure_5d():
    """Four convolutions, each from and to its own channels; outside the important places only D2D."""
    torch.manual_seed(3)
    convolutions, x = SparseConvolutions(), noise(1, 64, 9, 11)
    important = (noise(1, 1, 9, 11) > 0.6).float()
    everywhere = (torch.rand(4, 64) > 0.5).float()
    outputs, before = [], torch.ones(64)
    for conv, now in zip(convolutions.body, everywhere, strict=True):
        d2d, d2s, s2d, s2s = (
            F.conv2d(x * source[:, None, None], conv.weight * target[:, None, None, None], padding=1)
            for source in (before, 1 - before)
            for target in (now, 1 - now)
        )
        x, before = (d2d + important * (d2s + s2d + s2s)).relu(), now
        outputs.append(x)
    expected = convolutions.collect(torch.cat(outputs, 1))
    torch.testing.assert_close(convolutions(noise(1, 64, 9, 11), important, everywhere), expected)


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("form", FORMS)
def test_forms_for_inference_equal_the_definition_with_random_masks(form, shape):
    compare(form, network(), smooth(*shape))


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("form", FORMS)
def test_forms_for_inference_equal_the_definition_with_trained_masks(shared, form, shape):
    compare(form, trained(shared), smooth(*shape))


@torch.no_grad()
def test_unmasked_is_every_mask_at_one() -> None:
    torch.manual_seed(0)
    model = SMSR(Fraction(2)).eval()
    image = smooth(2, 3, 17, 24)
    masked = model(image)
    for name, weights in model.named_parameters():
        if name.endswith("ch_mask"):
            weights[..., 0], weights[..., 1] = 1, 0
    torch.testing.assert_close(model.unmasked(image), model(image), rtol=0, atol=1e-5)
    assert (model.unmasked(image) - masked).abs().max() > 1e-3


@pytest.mark.parametrize("score", [-1e6, 1e6])
@pytest.mark.parametrize("form", FORMS)
def test_nothing_or_everything_may_be_important(form, score):
    model = network()
    for module in modules(model):
        module.spa_mask[5].bias.data[1] += score
    kept = compare(form, model, smooth(1, 3, 12, 17))
    dense = [
        (module.body.ch_mask[0, ..., 0] > module.body.ch_mask[0, ..., 1]).float().mean() for module in modules(model)
    ]
    torch.testing.assert_close(kept, torch.stack(dense).mean()[None] if score < 0 else torch.ones(1))


@torch.no_grad()
def test_skipping_saves_the_multiply_adds_that_are_not_kept(shared):
    model, image = trained(shared), smooth(1, 3, 64, 96)
    kept = model.kept(image).item()
    assert 0.2 < kept < 0.8
    spent = macs(sparse_inference(model), image) / (64 * 96)
    assert spent == pytest.approx(model.macs_per_pixel(kept), rel=0.05)


@torch.no_grad()
def test_kept_is_equation_3_for_each_image():
    model = network()
    image = torch.cat((smooth(1, 3, 10, 14), noise(1, 3, 10, 14)))
    _, kept = model.forward_with_kept(image)
    for one, share in zip(image, kept, strict=True):
        torch.testing.assert_close(model.kept(one[None]), share[None])
    module, features = modules(model)[0], model.head(model.sub_mean(image * 255))
    important, everywhere = module.masks(features, tau=1)
    channel = everywhere[:, None, :, None, None]
    eta = ((1 - channel) * important + channel * torch.ones_like(important)).mean((2, 3, 4))
    torch.testing.assert_close(module(features, 1)[1], eta.T)
    assert set(important.unique().tolist()) == {0, 1}


@torch.no_grad()
def test_masks_of_odd_sides_see_the_last_row_and_column_repeated():
    module, features = modules(network())[0], noise(1, 64, 7, 10)
    narrowed = F.pad(module.spa_mask[1](module.spa_mask[0](features)), (0, 0, 0, 1), mode="replicate")
    scores = module.spa_mask[5](module.spa_mask[4](module.spa_mask[3](F.avg_pool2d(narrowed, 2))))[:, :, :7]
    important, _ = module.masks(features, tau=1)
    torch.testing.assert_close(important, (scores[:, 1:] > scores[:, :1]).float())


def test_training_reaches_the_masks_through_the_picture_and_through_sparsity():
    model = network().train()
    for term in (lambda image, kept: image.abs().mean(), lambda image, kept: kept.mean()):
        model.zero_grad()
        term(*model.forward_with_kept(smooth(2, 3, 16, 16))).backward()
        for module in modules(model):
            assert module.body.ch_mask.grad is not None and module.body.ch_mask.grad.abs().sum() > 0
            assert all(weights.grad is not None for weights in module.spa_mask.parameters())
            assert module.spa_mask[0].weight.grad.abs().sum() > 0


@torch.no_grad()
def test_training_masks_are_random_and_harden_as_tau_falls():
    module, features = modules(network().train())[0], noise(2, 64, 16, 16)

    def undecided(tau: float) -> float:
        return max((mask * (1 - mask)).mean().item() for mask in module.masks(features, tau))

    assert undecided(0.01) < 0.01 < 0.1 < undecided(1)
    first, second = (module.masks(features, 1.0)[0] for _ in range(2))
    assert not torch.equal(first, second)
    assert first.shape == (2, 1, 16, 16)


def test_other_scales_are_refused():
    with pytest.raises(UsageError, match=r"2, 3 or 4, not by 1\.5"):
        build("smsr", Fraction(3, 2))
