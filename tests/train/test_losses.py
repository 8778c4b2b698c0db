"""Losses have their papers' form."""

from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest
import torch

from rtsr.quality.metrics import luma, psnr
from rtsr.train.losses import BEST, RandomFeatures, bicubic, contrast, decibels, fidelity
from rtsr.train.recipe import Recipe

RECIPE = Recipe("r", "quicksrnet-small", Fraction(2), "photo", ("photos",))


def noise(seed: int) -> torch.Tensor:
    return torch.rand(2, 3, 12, 10, generator=torch.Generator().manual_seed(seed))


def test_the_losses_vanish_only_at_the_truth() -> None:
    truth = noise(0)
    for loss in ("l1", "relative"):
        recipe = replace(RECIPE, loss=loss)
        losses = [fidelity(truth + off, truth, torch.tensor([0.01, 0.02]), recipe) for off in (0, 0.01, 0.1)]
        assert losses[0] == 0 and losses[0] < losses[1] < losses[2]


def test_the_relative_loss_weighs_a_picture_by_how_easy_it_is() -> None:
    truth = noise(0)[:1]
    recipe = replace(RECIPE, loss="relative")
    easy, hard = (float(fidelity(truth + 0.01, truth, torch.tensor([error]), recipe)) for error in (1e-3, 1e-2))
    assert easy == pytest.approx(10 * hard, rel=0.02)


def test_contrast_is_a_ratio_of_l1_distances_of_features() -> None:
    features = RandomFeatures()
    anchor, positive, negative = noise(1), noise(2), noise(3)
    first, _, last = features.layers
    maps = [
        torch.conv2d(torch.conv2d(x, first.weight, first.bias, padding=1).tanh(), last.weight, last.bias, padding=1)
        for x in (anchor, positive, negative)
    ]
    ratio = (maps[0] - maps[1]).abs().mean() / (maps[0] - maps[2]).abs().mean()
    torch.testing.assert_close(contrast(features, anchor, positive, negative), ratio)
    assert contrast(features, positive, positive, negative) == 0
    assert contrast(features, negative, positive, negative) > 1e3


def test_contrast_draws_the_anchor_to_the_positive_and_from_the_negative() -> None:
    anchor = noise(1).requires_grad_()
    positive, negative = noise(2).requires_grad_(), noise(3).requires_grad_()
    features = RandomFeatures()
    before = contrast(features, anchor, positive, negative)
    before.backward()
    assert positive.grad is None and negative.grad is None and anchor.grad is not None
    assert all(weights.grad is None for weights in features.parameters())
    moved = anchor.detach() - 0.1 * anchor.grad / anchor.grad.abs().max()
    assert contrast(features, moved, positive, negative) < before


def test_random_features_are_the_same_in_every_process_and_leave_chance_alone() -> None:
    torch.manual_seed(5)
    want = torch.rand(3)
    torch.manual_seed(5)
    ours = RandomFeatures()
    assert torch.equal(torch.rand(3), want)
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), RandomFeatures().parameters(), strict=True))


def test_decibels_are_psnr_on_luma_of_clamped_results() -> None:
    result, truth = noise(1) * 1.4 - 0.2, noise(2)
    levels = ([luma(255 * x.permute(1, 2, 0).numpy()) for x in batch] for batch in (result.clamp(0, 1), truth))
    want = [psnr(a, b) for a, b in zip(*levels, strict=True)]
    assert decibels(result, truth).tolist() == pytest.approx(want, abs=1e-4)
    assert decibels(truth, truth).tolist() == pytest.approx([BEST, BEST])


def test_bicubic_is_that_of_opencv() -> None:
    low = noise(1)
    large = cv2.resize(low[0].permute(1, 2, 0).numpy(), (15, 18), interpolation=cv2.INTER_CUBIC)
    assert np.abs(bicubic(low, (18, 15))[0].permute(1, 2, 0).numpy() - large).max() < 1e-5
