"""Blank patches and equation 9, on values that can be worked out by hand."""

from fractions import Fraction

import numpy as np
import pytest

from rtsr.card import Card, Exit
from rtsr.pacing.budget import blank, choose_exits, edge_scores, exit_costs

COSTS = [0, 2, 6, 8]
NONE = np.zeros(1, bool)


def test_a_single_bright_pixel_scores_as_the_kernel_says():
    patch = np.zeros((1, 32, 32, 3), np.uint8)
    patch[0, 10, 10] = 10
    assert edge_scores(patch) == pytest.approx((4 * 20 + 80) / 32**2)


def test_every_pixel_saturates_at_255():
    patch = np.zeros((1, 32, 32, 3), np.uint8)
    patch[0, 10, 10] = 200
    assert edge_scores(patch) == pytest.approx(5 * 255 / 32**2)


def test_slopes_are_blank_and_noise_is_not():
    slope = np.arange(32, dtype=np.uint8)[None, :, None].repeat(32, 0).repeat(3, 2)
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    np.testing.assert_array_equal(blank(np.stack([slope, noise, noise // 200])), [True, False, True])


def test_colours_weigh_as_in_bt601():
    patches = np.zeros((3, 32, 32, 3), np.uint8)
    for colour in range(3):
        patches[colour, ::2, :, colour] = 30
    red, green, blue = edge_scores(patches)
    assert green > red > blue > 0


def test_a_score_of_ten_is_blank_still():
    patch = np.zeros((1, 16, 16, 3), np.uint8)
    for place in range(8):  # a lonely pixel of 20 gives 16 * 20 in all
        patch[0, 3 + 4 * (place // 3), 3 + 4 * (place % 3)] = 20
    assert edge_scores(patch) == 10 and blank(patch)
    patch[0, 3, 3] = 21
    assert edge_scores(patch) > 10 and not blank(patch)


def test_costs_add_up_stages_and_take_one_head():
    card = Card("n", "n", Fraction(2), "photo", exits=(Exit(100, 20, 1), Exit(0, 50, 1), Exit(300, 30, 2)))
    np.testing.assert_array_equal(exit_costs(card), [0, 120, 150, 430])


@pytest.mark.parametrize(
    ("eta", "chosen"),
    [(0, 3), (0.7, 3), (0.9, 1), (7.9, 1), (8.1, 0)],
)
def test_dearer_exits_must_gain_more_as_eta_grows(eta, chosen):
    estimates = np.array([[28.0, 30.0, 30.2, 30.6]])  # 3 is worth 0.6 over 1 up to eta = 0.8, 1 is worth 2 up to 8
    assert choose_exits(estimates, NONE, COSTS, 1.0, eta) == chosen


def test_blank_patches_favour_bicubic_by_gamma():
    estimates = np.array([[29.5, 30, 30, 30], [29.5, 30, 30, 30]])
    for gamma, chosen in ((1.0, [0, 1]), (0.4, [1, 1])):
        np.testing.assert_array_equal(choose_exits(estimates, np.array([True, False]), COSTS, gamma), chosen)


def test_a_negative_sign_takes_the_lowest():
    estimates = np.random.default_rng(0).normal(30, 3, (50, 4)).astype(np.float32)
    flat = np.arange(50) % 2 == 0
    expected = choose_exits(estimates, flat, COSTS, 1.5, 0.4)
    np.testing.assert_array_equal(choose_exits(-estimates, flat, COSTS, 1.5, 0.4, sign=-1), expected)
    written_out = (-estimates + 0.4 * np.array(COSTS) / 8 - 1.5 * np.outer(flat, [1, 0, 0, 0])).argmin(1)
    np.testing.assert_array_equal(expected, written_out)


def test_the_unit_of_costs_does_not_matter_nor_are_estimates_changed():
    estimates = np.random.default_rng(1).normal(30, 1, (50, 4))
    before = estimates.copy()
    one, other = (choose_exits(estimates, np.ones(50, bool), np.array(COSTS) * unit, 1, 1) for unit in (1, 1e6))
    np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(estimates, before)


def test_what_does_not_fit():
    with pytest.raises(ValueError, match="3 costs"):
        choose_exits(np.zeros((1, 4)), NONE, [0, 1, 2])
    with pytest.raises(ValueError, match="2 patches"):
        choose_exits(np.zeros((1, 4)), np.zeros(2, bool), COSTS)
    with pytest.raises(ValueError, match="costs something"):
        choose_exits(np.zeros((1, 2)), NONE, [0, 0])
