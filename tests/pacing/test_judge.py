"""Tiles with detail are expected to lose more, as they do."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from rtsr.card import Estimation, Exit
from rtsr.engine.fake import FakeStagedEngine
from rtsr.pacing.judge import JUDGED, by_estimator, by_likeness
from rtsr.pacing.plan import SIDE
from rtsr.quality.datasets import pictures
from rtsr.quality.metrics import luma
from rtsr.regions import Grid, window

CARD = replace(
    FakeStagedEngine(Fraction(2)).card, exits=tuple(Exit(100, 20, radius=0, gain=gain) for gain in (1.0, 2.0, 2.5))
)


def test_what_halving_loses_tells_what_bicubic_will_lose(shared: Path) -> None:
    expected, found = [], []
    for _, low, high in list(pictures(shared / "data" / "benchmarks" / "BSD100", Fraction(2)))[:12]:
        small, truth = (np.round(luma(picture)).astype(np.uint8) for picture in (low, high))
        grid = Grid(small.shape[1] // SIDE * SIDE, small.shape[0] // SIDE * SIDE, SIDE)
        large = cv2.resize(small, truth.shape[::-1], interpolation=cv2.INTER_CUBIC)
        squared = (large.astype(float) - truth)[: 2 * grid.height, : 2 * grid.width] ** 2 / 255**2
        tiles = squared.reshape(grid.rows, 2 * SIDE, grid.columns, 2 * SIDE).mean(axis=(1, 3))
        found.append(tiles.ravel())
        errors = by_likeness(small[: grid.height, : grid.width], grid, CARD)
        expected.append(errors[..., 0].ravel())
        np.testing.assert_allclose(errors[..., 2] / errors[..., 0], 10**-0.2)
    logs = [np.log10(np.concatenate(errors) + 1e-6) for errors in (expected, found)]
    assert np.corrcoef(*logs)[0, 1] > 0.85
    assert abs(np.mean(logs[0] - logs[1])) < 0.15, "off by more than 1.5 dB on average"


def test_8_bits_add_less_to_smooth_tiles() -> None:
    exits = (Exit(100, 20, radius=0, gain=1.0), Exit(100, 20, radius=0, gain=1.0, noise=1e-5))
    card, random = replace(CARD, exits=exits), np.random.default_rng(1)
    added = []
    for contrast in (0, 2, 8, 200):
        luma = (20 + contrast * random.random((SIDE, SIDE))).astype(np.uint8)
        _, plain, rounded = by_likeness(luma, Grid(SIDE, SIDE, SIDE), card)[0, 0]
        added.append(rounded - plain)
    assert added == sorted(added) and added[0] > 0
    np.testing.assert_allclose([added[0], added[-1]], [0.05e-5, 1e-5], rtol=0.06)


def test_tiles_of_any_size_get_a_figure() -> None:
    random = np.random.default_rng(3)
    for width, height in ((1, 1), (7, 70), (64, 64), (130, 65)):
        grid = Grid(width, height, SIDE)
        errors = by_likeness(random.integers(0, 256, (height, width), np.uint8), grid, CARD)
        assert errors.shape == (grid.rows, grid.columns, 4) and (errors > 0).all()


def test_parts_of_a_picture_are_judged_as_in_the_whole() -> None:
    picture = np.random.default_rng(5).integers(0, 256, (131, 263), np.uint8)
    grid = Grid(263, 131, SIDE)
    whole = by_likeness(picture, grid, CARD)
    for row, column in np.ndindex(grid.rows, grid.columns):
        rect = grid.rect(row, column)
        seen = window(rect, JUDGED, grid, 2)
        part = by_likeness(picture[seen.pixels], Grid(rect.w, rect.h, SIDE), CARD, rect.x - seen.x, rect.y - seen.y)
        assert (part[0, 0] == whole[row, column]).all()


def test_a_tile_is_as_good_as_its_patches_on_average() -> None:
    grid, judging = Grid(128, 96, SIDE), Estimation(patch=32, macs=1, sign=-1)
    rgb = np.random.default_rng(4).random((3, 96, 128), np.float32)
    noise = (rgb[1] * 255).astype(np.uint8)
    seen = []

    def estimate(patches: np.ndarray) -> np.ndarray:
        seen.append(patches)
        return -np.stack([np.full(len(patches), 20.0), 20 + 10 * (np.arange(len(patches)) % 2)], axis=1)

    errors = by_estimator(rgb, noise, grid, judging, estimate)
    assert seen[0].shape == (12, 3, 32, 32) and (seen[0][5] == rgb[:, 32:64, 32:64]).all()
    np.testing.assert_allclose(errors[..., 0], 0.01)
    # Half of the patches at 20 dB, half at 30.
    np.testing.assert_allclose(errors[..., 1], 0.0055)


def test_blank_patches_are_left_to_bicubic_more_easily() -> None:
    grid, judging = Grid(64, 64, SIDE), Estimation(patch=32, macs=1, sign=1)
    flat = np.full((64, 64), 90, np.uint8)
    rgb = np.repeat(flat[None] / np.float32(255), 3, axis=0)
    errors = by_estimator(rgb, flat, grid, judging, lambda patches: np.full((len(patches), 2), 30.0))
    np.testing.assert_allclose(errors[0, 0], [10**-3.1, 10**-3.0])
