"""What shipped networks must not add to a picture; and that what measures it finds what was planted."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from benchmarks.artifacts import (
    COLOURS,
    GREYS,
    checkerboard_flat,
    checkerboard_gradient,
    drift_flat,
    drift_natural,
    engines,
    flicker,
    natural,
    noise,
    overshoot,
    tables,
)
from rtsr.engine.base import Engine
from rtsr.engine.resample import bicubic, lanczos

LEVELS = 0.2
"""How far a mean may move, in levels of 255."""
SHOWN = 0.5
"""Levels that 8 bits show."""


class Spoilt:
    """Bicubic interpolation with something done to its results."""

    def __init__(self, scale: Fraction, spoil) -> None:
        self._engine, self._spoil = bicubic(scale), spoil
        self.card = replace(self._engine.card)

    def __enter__(self):
        return self

    def infer(self, tiles):
        return self._spoil(self._engine.infer(tiles).copy())

    def __exit__(self, *exc: object) -> None: ...


def checkered(upscaled: np.ndarray) -> np.ndarray:
    upscaled[:, 1, ::2, 1::2] += 2 / 255
    return upscaled


@pytest.fixture(params=[Fraction(3, 2), Fraction(2)], ids=["x1.5", "x2"])
def scale(request: pytest.FixtureRequest) -> Fraction:
    return request.param


def shipped(flavour: str, scale: Fraction) -> dict[str, Engine]:
    return {name: engine for name, engine in engines(scale) if f"-{flavour}" in name}


def test_bicubic_is_free_of_all_that_it_is_the_measure_of(scale: Fraction) -> None:
    plain = bicubic(scale)
    clips = list(noise([np.full((48, 48, 3), 90, np.uint8)], 2.0))
    assert checkerboard_flat(plain, GREYS + COLOURS) < 1e-3 and checkerboard_gradient(plain) < 1e-3
    assert np.abs(drift_flat(plain, GREYS + COLOURS)).max() < 1e-3
    assert flicker(plain, iter(clips)) == pytest.approx(1)
    assert 5 < overshoot(plain, "edge") < overshoot(lanczos(scale), "edge")


def test_planted_faults_are_found() -> None:
    board, two = Spoilt(Fraction(2), checkered), Fraction(2)
    # One of four places of one channel is 2 levels brighter.
    assert checkerboard_flat(board, GREYS) == pytest.approx(np.std([2, 0, 0, 0]), abs=1e-3)
    assert checkerboard_gradient(board) == pytest.approx(np.std([2, 0, 0, 0]), abs=1e-3)
    assert drift_flat(board, GREYS).max() == pytest.approx(0.5, abs=1e-3)
    assert drift_natural(board, [np.full((48, 48, 3), 90, np.uint8)]) == pytest.approx((0.5 / 3, 0.5), abs=1e-3)
    sharp = Spoilt(two, lambda upscaled: 0.5 + 1.5 * (upscaled - 0.5))
    clips = list(noise([np.full((48, 48, 3), 128, np.uint8)], 2.0))
    assert flicker(sharp, iter(clips)) == pytest.approx(1.5, abs=0.01)


def test_greys_stay_what_they_are_with_networks_for_photographs(scale: Fraction) -> None:
    for name, engine in shipped("photo", scale).items():
        assert np.abs(drift_flat(engine, GREYS)).max() < LEVELS, name


def test_pictures_keep_their_mean_with_networks_for_photographs(scale: Fraction, shared: Path) -> None:
    stills = natural(shared / "data", scale)
    for name, engine in shipped("photo", scale).items():
        assert abs(drift_natural(engine, stills)[0]) < LEVELS, name


def test_colours_stay_and_show_no_pattern_with_networks_for_captures(scale: Fraction) -> None:
    for name, engine in shipped("capture", scale).items():
        assert np.abs(drift_flat(engine, GREYS + COLOURS)).max() < SHOWN, name
        assert checkerboard_flat(engine, GREYS + COLOURS) < SHOWN, name


def test_colours_stay_with_networks_for_photographs(scale: Fraction) -> None:
    for name, engine in shipped("photo", scale).items():
        assert np.abs(drift_flat(engine, COLOURS)).max() < SHOWN, name


def test_networks_for_captures_ring_hardly_more_than_bicubic_beside_edges(scale: Fraction) -> None:
    plain = overshoot(bicubic(scale), "edge")
    for name, engine in shipped("capture", scale).items():
        assert overshoot(engine, "edge") < overshoot(lanczos(scale), "edge") + 1 < 2 * plain, name


def test_tables_have_a_row_for_each_engine() -> None:
    row = {
        "engine": "net", "scale": "2", "checkerboard_grey": 0.1, "checkerboard_colour": 0.2,
        "checkerboard_gradient": 0.3, "drift_grey": 0.4, "drift_colour": 0.5, "drift_natural": [-0.06, 0.7],
        "ringing_edge": 8.0, "ringing_line": 9.0, "flicker_noise": {"1": 1.1, "2": 1.2, "3": 1.3}, "flicker_video": 1.4,
    }  # fmt: skip
    shown = tables({"engines": [row, {"engine": "net", "scale": "2", "seams": 1.05}]})
    assert (
        "| net | 0.10 | 0.20 | 0.30 | 0.40 | 0.50 | -0.060, 0.70 | 8.0 % | 9.0 % | 1.10, 1.20, 1.30 | 1.40 |"
        in shown[2]
    )
    assert shown[3] == "Seams at x2: net 1.050."
