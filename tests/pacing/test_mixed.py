"""Exits of several networks as those of one engine."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from itertools import pairwise
from math import inf
from pathlib import Path

import numpy as np
import pytest

import rtsr
from rtsr.card import Card, Exit, Int8, Quality
from rtsr.engine.choice import Means
from rtsr.engine.fake import FakeEngine, FakeStagedEngine
from rtsr.engine.int8 import trial
from rtsr.engine.providers import CPU
from rtsr.errors import EngineError, UsageError
from rtsr.frame import Colour, Frame
from rtsr.pacing.anytime import Refiner
from rtsr.pacing.budget import exit_costs
from rtsr.pacing.deadline import CostModel, Rate
from rtsr.pacing.judge import by_likeness
from rtsr.pacing.mixed import NOISE, MixedExits, Way, exits_of, find_ways, open_ways
from rtsr.pacing.paced import Pace, PacedUpscaler
from rtsr.regions import Grid
from rtsr.resources import Network, networks
from rtsr.upscaler import Upscaler
from tests.media import make_video

X2 = Fraction(2)
SET = "Set5"
BOTH = {False: 1.0, True: 0.5}
"""Forms, and their times."""
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
    assert told(find_ways(network, 300, known=())) == own
    assert told(find_ways(network, 300, known=[plain("p", 300, 33.1)])) == [*own[:2], ("p", 0, 300.0, 3.1)]
    assert told(find_ways(network, 300, known=[plain("p", 300, 32.9)])) == own
    assert told(find_ways(network, 300, known=[plain("p", 150, 32.5)])) == [own[0], ("p", 0, 150.0, 2.5), own[2]]
    assert told(find_ways(network, 300, known=[plain("p", 250, 32.5)])) == [*own[:2], ("p", 0, 250.0, 2.5), own[2]]
    assert told(find_ways(network, 170, known=[plain("p", 90, 34.0)])) == [("p", 0, 90.0, 4.0)]


@pytest.mark.parametrize(
    "other",
    [
        {"macs_per_pixel": 301.0},
        {"scale": Fraction(3)},
        {"flavour": "capture"},
        {"arch": "another-plain"},
        {"alignment": 4},
        {"quality": {"Set14": Quality(99, 1, 14)}},
    ],
)
def test_networks_of_another_kind_are_left_out(other: dict) -> None:
    assert find_ways(staged(), 300, known=[plain("p", 300, 99, **other)]) == find_ways(staged(), 300, known=())


def test_a_time_may_be_spent_on_larger_networks_a_share_not() -> None:
    larger = [plain("p", 900, 34), staged((3.5, 4.5))]
    larger[1] = Network(replace(larger[1].card, name="more", macs_per_pixel=1800.0), Path("more.toml"))
    network = staged()
    assert told(find_ways(network, 300, known=larger)) == [("more", 1, 100.0, 3.5), ("more", 2, 200.0, 4.5)]
    assert told(find_ways(network, 300, known=larger[:1])) == told(exits_of(network))
    assert ("p", 0, 900.0, 4.0) in told(find_ways(network, known=larger[:1]))


def test_what_is_best_is_turned_where_its_time_is_there() -> None:
    network = staged()
    for most, turns in ((599, []), (600, [2]), (1200, [2, 4]), (inf, [2, 4, 8])):
        ways = find_ways(network, most, known=())
        assert ways[:3] == exits_of(network) and [way.turns for way in ways[3:]] == turns
        assert all((way.k, way.macs) == (3, 300 * way.turns) for way in ways[3:])
        assert all(less.gain < more.gain for less, more in pairwise(ways))
        assert find_ways(network, most, turned=False, known=()) == ways[:3]
    aligned = replace(network, card=replace(network.card, alignment=4))
    assert find_ways(aligned, known=()) == exits_of(aligned)


def test_a_larger_network_stands_among_turned_copies_of_what_was_named() -> None:
    network = staged()
    larger = plain("p", 1000, 33.1)  # Gains 0.1 dB more; two copies gain 0.06, four 0.09, eight 0.105.
    ways = [(way.macs, way.turns) for way in find_ways(network, known=[larger])]
    assert ways[3:] == [(600, 2), (1000, 1), (2000, 2)], "eight copies of what was named cost 2400"
    little = plain("p", 2300, 33.08)  # Four copies of what was named reach more, for less.
    ways = [(way.macs, way.turns) for way in find_ways(network, known=[little])]
    assert ways[3:] == [(600, 2), (1200, 4), (2400, 8)]
    assert told(find_ways(network, known=[plain("p", 2401, 40)])) == told(find_ways(network, known=()))


@pytest.mark.parametrize("turns", [2, 4, 8])
def test_turned_copies_are_turned_back(turns: int) -> None:
    random = np.random.default_rng(0)
    tiles = random.random((2, 3, 8, 12), np.float32)
    network, seen = staged((1.0,)), []

    class Brighter(FakeStagedEngine):
        """Repeats pixels, and adds to what is at the upper left, which every copy has at another corner, or turned."""

        def exit(self, k: int, tiles: np.ndarray) -> np.ndarray:
            seen.append(tiles)
            made = self.infer(tiles)
            made[:, :, 0, 2] += 1
            return made

    ways = [replace(exits_of(network)[0], turns=turns)]
    made = MixedExits(network.card, ways, {("staged", False): Brighter(X2)}).exit(1, tiles)
    added = made - FakeEngine(X2).infer(tiles)
    corners = {(0, 2), (2, 0), (0, 21), (2, 23), (13, 0), (15, 2), (13, 23), (15, 21)}
    found = {(y, x): value for y, x in corners if (value := added[0, 0, y, x].round(5))}
    assert len(seen) == turns == len(found) and set(found.values()) == {np.float32(1 / turns)}
    np.testing.assert_allclose(added.sum(axis=(2, 3)), 1, rtol=1e-4)
    assert made.shape == (2, 3, 16, 24) and made.flags.c_contiguous


def test_exits_that_were_not_measured_stay_as_they_are() -> None:
    network = staged((0.0, 0.0))
    assert [way.k for way in find_ways(network, known=[plain("p", 100, 99)])] == [1, 2]


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_networks_know_their_kin(name: str) -> None:
    network = networks()[name]
    ways, within = find_ways(network), find_ways(network, network.card.macs_per_pixel)
    assert all(cheap.macs < dear.macs and cheap.gain < dear.gain for cheap, dear in pairwise(ways))
    assert within == [way for way in ways if way.macs <= network.card.macs_per_pixel]
    assert within[-1].gain >= network.card.exits[-1].gain
    assert any(way.network.card.arch == "quicksrnet-small" for way in ways)
    elsewhere = replace(network, card_path=Path("elsewhere") / network.card_path.name)
    assert find_ways(elsewhere, network.card.macs_per_pixel) == exits_of(elsewhere)


def test_a_form_in_8_bits_costs_half_and_keeps_its_place() -> None:
    """Small and large, each with a form that loses a little; these take the places of exits.

    Small stays in floats, too: large may cost more in 8 bits.
    """
    known = [
        plain(name, macs, psnr, int8=Int8("", 1.0, {SET: Quality(psnr - 0.1, 0.9, 5)}))
        for name, macs, psnr in (("small", 150, 32.2), ("large", 300, 33.1))
    ]
    ways = find_ways(staged((0.5, 2.0, 3.0)), known=known, turned=False, forms=lambda _: BOTH)
    assert [(way.name, round(way.gain, 6)) for way in ways] == [
        ("net-plain in 8 bits", 2.1), ("net-plain", 2.2), ("net-plain in 8 bits", 3.0), ("net-plain", 3.1)
    ]  # fmt: skip
    assert [way.form for way in ways] == [("small", True), ("small", False), ("large", True), ("large", False)]
    only = find_ways(staged(), known=known, turned=False, forms=lambda _: {True: 0.5})
    assert [way.form for way in only if way.int8] == [("small", True), ("large", True)]
    assert not any(way.int8 for way in find_ways(staged(), known=known))


def test_what_costs_more_than_eight_runs_is_left_out() -> None:
    """A network of nine times the multiply-adds does, and costs half as much in 8 bits."""
    dear = plain("p", 2700, 33.4, int8=Int8("", 1.0, {SET: Quality(33.4, 0.9, 5)}))
    ways = find_ways(staged(), known=[dear], forms=lambda _: BOTH)
    assert [(way.turns, way.int8) for way in ways if way.network.card.name == "p"] == [(1, True)]
    assert not any(way.int8 for way in find_ways(staged(), 2400, known=[dear], forms=lambda _: BOTH))


def test_both_forms_of_what_is_best_are_turned_and_copies_in_8_bits_lose_less() -> None:
    """What costs as much in either form is there in both: where its time is measured shows which is better."""
    quality = {"int8": Int8("", 1.0, {SET: Quality(33.05, 0.9, 5)})}
    ways = find_ways(staged(), known=[plain("p", 300, 33.1, **quality)], forms=lambda _: BOTH)
    found = [(way.turns, way.int8, way.macs, round(way.gain, 4)) for way in ways if way.network.card.name == "p"]
    assert found == [
        (1, True, 300, 3.05),
        (1, False, 300, 3.1),
        (2, True, 600, 3.1295),
        (2, False, 600, 3.162),
        (4, True, 1200, 3.168),
        (4, False, 1200, 3.193),
        (8, True, 2400, 3.186),
        (8, False, 2400, 3.2085),
    ]  # fmt: skip
    lossy = find_ways(staged(), known=[plain("p", 300, 33.1, int8=Int8("", 1.0, {SET: Quality(32.8, 0.9, 5)}))],
                      forms=lambda _: BOTH)  # fmt: skip
    assert [way.turns for way in lossy if way.int8] == [1, 2], "four copies gain less than one in floats, for more"
    unscored = plain("p", 300, 33.1, int8=Int8("", 1.0, {}))
    assert not any(way.int8 for way in find_ways(staged(), known=[unscored], forms=lambda _: BOTH))
    noise = [way.noise for way in ways if way.int8]
    assert noise == sorted(noise, reverse=True) and noise[0] > 1.9 * noise[-1] > 0
    assert all(cheap.macs <= dear.macs and cheap.cost <= dear.cost for cheap, dear in pairwise(ways))


def test_8_bits_that_happen_to_score_above_floats_are_thought_equal() -> None:
    lucky = plain("p", 300, 33.1, int8=Int8("", 1.0, {SET: Quality(33.2, 0.9, 5)}))
    ways = find_ways(staged(), known=[lucky], forms=lambda _: BOTH)
    assert [(way.turns, way.int8) for way in ways if way.network.card.name == "p"] == [
        (turns, int8) for turns in (1, 2, 4, 8) for int8 in (True, False)
    ]
    assert all(way.lost == 0 for way in ways)


def test_forms_are_compared_by_the_time_they_were_seen_to_take() -> None:
    small = plain("s", 160, 32.2, int8=Int8("", 1.0, {SET: Quality(32.0, 0.9, 5)}))
    large = plain("l", 300, 33.1, int8=Int8("", 1.0, {SET: Quality(33.0, 0.9, 5)}))
    for share, both in ((0.3, False), (0.5, True)):
        ways = find_ways(staged(), known=[small, large], turned=False, forms=lambda _, s=share: {False: 1.0, True: s})
        assert (("s", False) in [way.form for way in ways]) == both
        assert ("l", True) in [way.form for way in ways]


def test_8_bits_gain_nothing_where_there_is_little_to_see() -> None:
    network = staged((0.5, 2.0, 3.0))
    ways = find_ways(network, known=[plain("p", 300, 33.1, int8=Int8("", 2.5, {SET: Quality(33.1, 0.9, 5)}))],
                     turned=False, forms=lambda _: {True: 0.5})  # fmt: skip
    engine = MixedExits(network.card, ways, {way.form: FakeStagedEngine(X2) for way in ways})
    assert [exit.noise > 0 for exit in engine.card.exits] == [way.int8 for way in ways] and ways[-1].int8
    assert engine.card.exits[-1].noise == 2.5 * NOISE, "as much as its card says"
    lossy = replace(ways[-1], gain=3.0, lost=0.1)
    (only,) = MixedExits(network.card, [lossy], {lossy.form: FakeStagedEngine(X2)}).card.exits
    assert only.gain == pytest.approx(3.1), "what 8 bits lose is noise, and no smaller gain"
    detail = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    for luma, gains in ((detail, True), (np.full((64, 64), 90, np.uint8), False)):
        errors = by_likeness(luma, Grid(64, 64, 64), engine.card)[0, 0]
        assert (errors[-1] < errors[0]) == gains


def test_8_bits_that_nothing_has_are_an_error(tmp_path: Path) -> None:
    for name in ("enaf-quicksrnet-medium-x2-photo", "rlfn-s-x2-photo"):
        network = networks()[name]
        card = tmp_path / network.card_path.name
        shutil.copy(network.card_path, card)
        (shutil.copytree if network.card.exits else shutil.copy)(network.path, tmp_path / network.path.name)
        for pace in (Pace(deadline=10), *([Pace(quality=0.5)] if network.card.exits else [])):
            # A copy of one with exits has no kin; below RLFN-S are Small, Medium and Large, which have the form.
            if network.card.exits:
                with pytest.raises(UsageError, match="has no form in 8 bits"):
                    PacedUpscaler(2, pace, model=card, engine="onnx", precision="int8", threads=1)
            elif trial(networks()["quicksrnet-small-x2-photo"], 1).right:
                with PacedUpscaler(2, pace, model=card, engine="onnx", precision="int8", threads=1) as paced:
                    assert [" in 8 bits" in name for name in paced.exits] == [False, True, True, True, False]


@pytest.mark.parametrize("precision", [None, "fp32", "int8"])
def test_what_runs_in_8_bits(precision: str | None) -> None:
    network = networks()["enaf-quicksrnet-medium-x2-capture"]
    small = networks()["quicksrnet-small-x2-capture"]
    if precision == "int8" and not trial(small, 1).right:
        with pytest.raises(EngineError, match="overflow on this processor"):
            PacedUpscaler(2, Pace(deadline=0.01), precision=precision, threads=1)
        return
    with PacedUpscaler(2, Pace(deadline=0.01), precision=precision, threads=1) as paced:
        whole = [name for name in paced.exits if "in 8 bits" in name]
        assert bool(whole) == (precision == "int8" or (precision is None and trial(small, 1).pays))
        assert paced.engine.card.name == network.card.name
    with PacedUpscaler(2, Pace(quality=0.5), precision=precision, threads=1) as paced:  # Of multiply-adds, not of time.
        assert any("in 8 bits" in name for name in paced.exits) == (precision == "int8")


def test_there_are_shipped_networks_with_exits() -> None:
    assert len(SHIPPED) >= 4


def test_each_exit_is_its_network() -> None:
    network = networks()["enaf-quicksrnet-medium-x1.5-photo"]
    ways, means = find_ways(network), Means("onnx", threads=1, precision="fp32")
    tiles = np.random.default_rng(0).random((2, 3, 20, 30), np.float32)
    with open_ways(network, inf, means, turned=True) as engine:
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
        run = partial(one.exit, way.k) if way.k else one.infer  # type: ignore[union-attr]
        np.testing.assert_allclose(result, turned(run, tiles, way.turns), atol=1e-6)
    assert [way.turns for way in ways[-3:]] == [2, 4, 8]


def turned(run: Callable[[np.ndarray], np.ndarray], tiles: np.ndarray, turns: int) -> np.ndarray:
    """The mean over quarter turns, or half ones for 2, and for 8 over the mirror images' as well."""
    if turns == 8:
        mirrored = turned(lambda image: run(image[..., ::-1].copy())[..., ::-1], tiles, 4)
        return (turned(run, tiles, 4) + mirrored) / 2
    quarters = {1: [0], 2: [0, 2], 4: [0, 1, 2, 3]}[turns]
    made = [np.rot90(run(np.rot90(tiles, n, (2, 3)).copy()), -n, (2, 3)) for n in quarters]
    return np.mean(made, axis=0)


def test_the_card_is_of_the_exits_that_run() -> None:
    network = staged()
    ways = find_ways(network, 300, known=[plain("p", 150, 32.5, radius=9)])
    opened = {("staged", False): FakeStagedEngine(X2), ("p", False): FakeEngine(X2)}
    engine = MixedExits(network.card, ways, opened)
    assert [(exit.stage_macs, exit.head_macs, exit.radius, exit.gain) for exit in engine.card.exits] == [
        (100, 0, 1, 1.0), (50, 0, 9, 2.5), (150, 0, 3, 3.0)
    ]  # fmt: skip
    assert (engine.card.name, engine.card.macs_per_pixel, engine.card.estimator) == ("staged", 300, None)
    assert engine.exits == ("enaf-net-any exit 1", "net-plain", "enaf-net-any exit 3")


@dataclass(frozen=True)
class Counting(Means):
    """Opens stand-ins for networks, but not `broken`; `log` has what was opened and closed."""

    broken: str = ""
    log: list[str] = field(default_factory=list)

    def open(self, network: Network, *rest: object, strict: bool = True):  # type: ignore[override]
        name, log = network.card.name, self.log
        if name == self.broken:
            raise EngineError(f"{name} is broken")

        class Closing(FakeStagedEngine):
            provider = CPU

            def __exit__(self, *exc: object) -> None:
                log.append(f"close {name}")

        log.append(f"open {name}")
        return Closing(X2)


def test_every_network_is_opened_once_and_closed() -> None:
    means = Counting(precision="fp32")
    with open_ways(networks()["enaf-quicksrnet-medium-x2-photo"], inf, means) as engine:
        opened = list(means.log)
        assert len(engine.card.exits) > len(opened) > 1 and len(set(opened)) == len(opened)
    assert sorted(means.log[len(opened) :]) == sorted(line.replace("open", "close") for line in opened)


def test_what_was_opened_is_closed_where_another_network_cannot_be() -> None:
    means = Counting(broken="quicksrnet-medium-x2-photo")
    with pytest.raises(EngineError, match="is broken"):
        open_ways(networks()["enaf-quicksrnet-medium-x2-photo"], inf, means)
    assert {line for line in means.log if line.startswith("close")} == {
        line.replace("open", "close") for line in means.log if line.startswith("open")
    }
    assert means.log


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


def test_full_compute_is_that_of_the_network_that_was_named() -> None:
    network = networks()["enaf-quicksrnet-medium-x2-photo"]
    with open_ways(network, inf, Counting(), turned=True) as engine:
        assert engine.card.macs_per_pixel == network.card.macs_per_pixel < exit_costs(engine.card)[-1]


class Ticking(FakeStagedEngine):
    """Has the exits of `card`, which take a nanosecond for `speed` multiply-adds."""

    def __init__(self, card: Card, speed: float) -> None:
        super().__init__(card.scale)
        self.card, self.speed, self.now = card, speed, 0.0
        macs = exit_costs(card)
        self.rates = {f"exit {k}": Rate(0, macs[k] / speed) for k in range(1, len(macs))}

    def exit(self, k: int, tiles: np.ndarray) -> np.ndarray:
        self.now += self.rates[f"exit {k}"].cost_ns(tiles.shape[-1] * tiles.shape[-2])
        return self.infer(tiles)


@pytest.mark.parametrize("deadline_ms", [10, 17, 33, 60])
def test_a_still_picture_gets_better_until_nothing_is_left(deadline_ms: float) -> None:
    network = networks()["enaf-quicksrnet-medium-x2-photo"]
    ways = find_ways(network)
    card = MixedExits(network.card, ways, {way.form: FakeStagedEngine(X2) for way in ways}).card
    engine = Ticking(card, speed=100)
    refiner = Refiner(engine, lambda: engine.now, CostModel(engine.rates, deviation=0.05))
    random = np.random.default_rng(0)
    shapes = ((270, 480), (135, 240), (135, 240))
    frame = Frame(*(random.integers(16, 236, shape, np.uint8) for shape in shapes), Colour("bt709"))
    spent = [refiner.within(frame, engine.now + deadline_ms * 1e6)[1] for _ in range(80)]
    assert not spent[-1].macs and spent[-1].reused == spent[-1].tiles.sum()
    # The dearest of which a tile takes no more than a third of the time.
    tile_ns = [engine.rates[f"exit {k}"].cost_ns((64 + 2 * 10) ** 2) for k in range(1, len(ways) + 1)]
    best = max(k for k, ns in enumerate(tile_ns, 1) if ns <= deadline_ms * 1e6 / 3.05)
    assert spent[-1].tiles[best:].sum() == spent[-1].tiles.sum()


def test_a_report_names_the_exits(tmp_path: Path) -> None:
    clip = make_video(tmp_path / "in.mp4", frames=2, size=(160, 96))
    report = rtsr.upscale(clip, tmp_path / "out.mp4", scale=2, model="enaf-quicksrnet-medium", quality=0.5, threads=1)
    assert report.spending is not None
    names, tiles = report.spending["exits"], report.spending["tiles_per_exit"]
    assert isinstance(names, list) and isinstance(tiles, list)
    assert names[0] == "bicubic" and "quicksrnet-small" in names and len(names) == len(tiles)
    assert report.engine.startswith("enaf-quicksrnet-medium-x2-capture, tile by tile")
