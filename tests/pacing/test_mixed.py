"""Exits of several networks as those of one engine."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import rtsr
from rtsr.card import Card, Exit, Quality
from rtsr.engine.choice import Means
from rtsr.engine.fake import FakeEngine, FakeStagedEngine
from rtsr.errors import EngineError
from rtsr.frame import Colour, Frame
from rtsr.pacing.mixed import MixedExits, Way, find_ways, open_ways
from rtsr.pacing.paced import Pace, PacedUpscaler
from rtsr.resources import Network, find_network, networks
from rtsr.upscaler import Upscaler
from tests.media import make_video

X2 = Fraction(2)
SET = "Set5"
SHIPPED = [name for name, network in networks().items() if network.card.exits]


def plain(name: str, macs: float, psnr: float, **other) -> Network:
    quality = {SET: Quality(psnr, 0.9, 5)}
    card = Card(name, "net-plain", X2, "photo", macs_per_pixel=macs, radius=3, quality=quality)
    return Network(replace(card, **other), Path(f"{name}.toml"))


def staged(gains: tuple[float, ...] = (1.0, 2.0, 3.0)) -> Network:
    """Costs 100, 200, ... multiply-adds by exit, and reaches 30 dB and its gain."""
    exits = tuple(Exit(100, 0, 1 + k, gain, {SET: Quality(30 + gain, 0.9, 5)}) for k, gain in enumerate(gains))
    card = Card("staged", "enaf-net-any", X2, "photo", macs_per_pixel=100.0 * len(gains), exits=exits)
    return Network(card, Path("staged.toml"))


def told(ways: list[Way]) -> list[tuple[str, int, float, float]]:
    return [(way.network.card.name, way.k, way.macs, round(way.gain, 6)) for way in ways]


def test_a_better_network_of_the_same_cost_takes_an_exits_place() -> None:
    network = staged()
    own = [("staged", 1, 100.0, 1.0), ("staged", 2, 200.0, 2.0), ("staged", 3, 300.0, 3.0)]
    assert told(find_ways(network, ())) == own
    assert told(find_ways(network, [plain("p", 300, 33.1)])) == [*own[:2], ("p", 0, 300.0, 3.1)]
    assert told(find_ways(network, [plain("p", 300, 32.9)])) == own
    assert told(find_ways(network, [plain("p", 150, 32.5)])) == [own[0], ("p", 0, 150.0, 2.5), own[2]]
    assert told(find_ways(network, [plain("p", 250, 32.5)])) == [*own[:2], ("p", 0, 250.0, 2.5), own[2]]
    assert told(find_ways(network, [plain("p", 90, 34.0)])) == [("p", 0, 90.0, 4.0)]


@pytest.mark.parametrize(
    "other",
    [
        {"macs_per_pixel": 301.0},
        {"scale": Fraction(3)},
        {"flavour": "capture"},
        {"arch": "another-plain"},
        {"quality": {"Set14": Quality(99, 1, 14)}},
    ],
)
def test_networks_of_another_kind_are_left_out(other: dict) -> None:
    assert find_ways(staged(), [plain("p", 300, 99, **other)]) == find_ways(staged(), ())


def test_a_network_with_one_exit_is_the_most_that_tiles_get() -> None:
    small = plain("small", 150, 31.5)
    assert told(find_ways(small, [staged()])) == [("staged", 1, 100.0, 1.0), ("small", 0, 150.0, 1.5)]
    assert find_ways(small, [plain("other", 100, 31)]) == [], "nobody knows what exits gain"
    assert find_ways(small, [staged((0.0, 0.0))]) == []


def test_exits_that_were_not_measured_stay_as_they_are() -> None:
    network = staged((0.0, 0.0))
    assert [way.k for way in find_ways(network, [plain("p", 100, 99)])] == [1, 2]


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_networks_know_their_kin(name: str) -> None:
    network = networks()[name]
    ways = find_ways(network)
    assert all(cheap.macs < dear.macs and cheap.gain < dear.gain for cheap, dear in pairwise(ways))
    assert ways[-1].macs <= network.card.macs_per_pixel and ways[-1].gain >= network.card.exits[-1].gain
    assert any(way.network.card.arch == "quicksrnet-small" for way in ways)
    elsewhere = replace(network, card_path=Path("elsewhere") / network.card_path.name)
    assert {way.network.card.name for way in find_ways(elsewhere)} == {name}
    small = find_network(f"quicksrnet-small-{network.card.flavour}", network.card.scale)
    assert find_ways(small) == [way for way in ways if way.macs <= small.card.macs_per_pixel]


def test_each_exit_is_its_network() -> None:
    network = networks()["enaf-quicksrnet-medium-x1.5-photo"]
    ways, means = find_ways(network), Means("onnx", threads=1)
    tiles = np.random.default_rng(0).random((2, 3, 20, 30), np.float32)
    with open_ways(ways, network, means) as engine:
        found = [engine.exit(k, tiles) for k in range(1, len(ways) + 1)]
        np.testing.assert_array_equal(engine.infer(tiles), found[-1])
        for k in (0, len(ways) + 1):
            with pytest.raises(EngineError, match=f"has exits 1 to {len(ways)} here, not {k}"):
                engine.exit(k, tiles)
        with pytest.raises(EngineError, match="its estimator does not know"):
            engine.estimate(tiles)
    assert len({way.network.card.name for way in ways}) > 1
    for way, result in zip(ways, found, strict=True):
        one = means.open(way.network)
        np.testing.assert_array_equal(result, one.exit(way.k, tiles) if way.k else one.infer(tiles))  # type: ignore[union-attr]


def test_the_card_is_of_the_exits_that_run() -> None:
    network = staged()
    ways = find_ways(network, [plain("p", 150, 32.5, radius=9)])
    opened = {"staged": FakeStagedEngine(X2), "p": FakeEngine(X2)}
    engine = MixedExits(network.card, ways, opened)
    assert [(exit.stage_macs, exit.head_macs, exit.radius, exit.gain) for exit in engine.card.exits] == [
        (100, 0, 1, 1.0), (50, 0, 9, 2.5), (150, 0, 3, 3.0)
    ]  # fmt: skip
    assert (engine.card.name, engine.card.macs_per_pixel, engine.card.estimator) == ("staged", 300, None)
    assert engine.exits == ("enaf-net-any exit 1", "net-plain", "enaf-net-any exit 3")


def test_every_engine_is_closed() -> None:
    closed = []

    class Closing(FakeStagedEngine):
        def __exit__(self, *exc: object) -> None:
            closed.append(self)

    network = staged()
    opened = {name: Closing(X2) for name in ("staged", "p")}
    with MixedExits(network.card, find_ways(network, [plain("p", 300, 34)]), opened):
        assert not closed
    assert closed == list(opened.values())


def test_all_of_the_compute_is_the_best_network_on_whole_frames() -> None:
    random = np.random.default_rng(0)
    shapes = ((90, 160), (45, 80), (45, 80))
    frame = Frame(*(random.integers(16, 236, shape, np.uint8) for shape in shapes), Colour("bt709"))
    with PacedUpscaler(2, Pace(quality=1), model="enaf-quicksrnet-medium-photo", threads=1) as paced:
        made, spent = paced.frame(frame, 320, 180)
        assert paced.exits[-1] == "quicksrnet-medium" and spent.tiles[:-1].sum() == 0
    with Upscaler(2, model="quicksrnet-medium-photo", threads=1) as upscaler:
        whole = upscaler.frame(frame, 320, 180)
    for one, other in zip((made.y, made.u, made.v), (whole.y, whole.u, whole.v), strict=True):
        assert np.abs(one.astype(int) - other).max() <= 1


def test_a_report_names_the_exits(tmp_path: Path) -> None:
    clip = make_video(tmp_path / "in.mp4", frames=2, size=(160, 96))
    report = rtsr.upscale(clip, tmp_path / "out.mp4", scale=2, model="quicksrnet-small", quality=0.5, threads=1)
    assert report.spending is not None
    names, tiles = report.spending["exits"], report.spending["tiles_per_exit"]
    assert isinstance(names, list) and isinstance(tiles, list)
    assert (names[0], names[-1]) == ("bicubic", "quicksrnet-small") and len(names) == len(tiles)
    assert report.engine.startswith("quicksrnet-small-x2-capture, tile by tile")
