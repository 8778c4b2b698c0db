"""The curve as a picture."""

import sys
from dataclasses import replace
from fractions import Fraction

import cv2
import pytest

from rtsr.errors import MissingDependency, SinkError, UsageError
from rtsr.quality.plot import plot_tradeoff
from rtsr.quality.tradeoff import PatchScore, Point, Tradeoff

COSTS = (0.0, 2.0, 8.0)


@pytest.fixture
def curve():
    points = [Point(eta, COSTS, (PatchScore("a", 30 - eta, (k, 1, 2 - k)),)) for k, eta in enumerate((0.0, 0.5, 1.0))]
    return Tradeoff("n", "Set5", Fraction(2), 1.0, 3, COSTS, 5.0, (28.0, 29.0, 30.0), (1.0, 1.0, 1.0), tuple(points))


@pytest.mark.parametrize("fixed", [(28.0, 29.0, 30.0), (28.0, float("inf"), float("inf"))])
def test_draws_the_curve_and_each_exit(curve, fixed, tmp_path):
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    drawn = []
    for name, points in (("all", curve.points), ("one", curve.points[:1])):
        plot_tradeoff(replace(curve, fixed=fixed, points=points), tmp_path / f"{name}.png")
        drawn.append(cv2.imread(str(tmp_path / f"{name}.png")))
    assert drawn[0].shape == (576, 768, 3)
    assert (drawn[0] != drawn[1]).any()


def test_what_cannot_be_written(curve, tmp_path):
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    with pytest.raises(UsageError, match=r"as \.pdf, \.png, \.svg, not a\.txt"):
        plot_tradeoff(curve, tmp_path / "a.txt")
    with pytest.raises(SinkError, match="there is no folder"):
        plot_tradeoff(curve, tmp_path / "none" / "a.png")
    (tmp_path / "a.png").mkdir()
    with pytest.raises(SinkError, match="Is a directory"):
        plot_tradeoff(curve, tmp_path / "a.png")


def test_without_matplotlib(curve, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependency, match=r"pip install 'rtsr\[plot\]'"):
        plot_tradeoff(curve, tmp_path / "a.png")
