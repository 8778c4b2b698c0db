"""Exits of several networks as those of one engine.

Every tile goes to its exit in one run, from its pixels on (docs/decisions/0013-one-run-for-an-exit.md), so that exits
need not share layers: a network of the family that costs as much as an exit and reaches more takes its place, and one
that lies between two is an exit more (docs/decisions/0017-exits-of-several-networks.md).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import pairwise
from math import inf, lcm
from statistics import fmean
from typing import Self, cast

import numpy as np
from numpy.typing import NDArray

from rtsr.card import Card, Exit, card_in_8_bits
from rtsr.engine.base import Engine, ExitsEngine, PlaneEngine
from rtsr.engine.choice import Means, Size, Tell, runtime_of
from rtsr.engine.int8 import trial
from rtsr.errors import EngineError
from rtsr.pacing.budget import exit_costs
from rtsr.preset import NVIDIA
from rtsr.processor import cores
from rtsr.resources import Network, networks

Array = NDArray[np.float32]
TURNS = {2: 0.02, 4: 0.03, 8: 0.035}
"""How many turned and mirrored copies of a tile are averaged, and what that gains at least, as a part of the network's
gain over bicubic: 0.021 to 0.024, 0.031 to 0.056 and 0.036 to 0.067 as measured over BSD100 and unseen pairs
(`python -m benchmarks.ways`). "Geometric self-ensemble" in Lim et al., "Enhanced Deep Residual Networks for Single
Image Super-Resolution", section 3.4."""

IN_8_BITS = " in 8 bits"
"""Behind the names of networks that are run so, for people."""
NOISE = 0.19 / 255**2
"""Mean squared error of luma that 8 bits add where there is much to see, white being 1, as a part of what RGB of
made-up pictures differs by (`rtsr.card.Int8.noise`, squared levels of 255). To smooth tiles they add less, see
`rtsr.pacing.judge` (docs/decisions/0021-eight-bits-on-the-processor.md)."""
MARGIN = 1.3
"""How much dearer than another a way in the other form has to be to be known as dearer: shares are of one picture."""
AS_ASKED = 0.5
"""Time in 8 bits over time in floats where they were asked for, quicker or not."""
LEFT = {1: 1.0, 2: 0.65, 4: 0.5, 8: 0.45}
"""By turned copies, the part of what 8 bits lose that their mean loses, too: as measured on frames of three games, 0.53
to 0.70, 0.43 to 0.59 and 0.39 to 0.54."""
Opened = Mapping[tuple[str, bool], Engine]
"""Engines by `Way.form`."""
Copy = tuple[bool, int, int]
"""Whether rows and columns change places, and then the steps along both: -1 is backwards."""
COPIES: dict[int, list[Copy]] = {
    2: [(False, 1, 1), (False, -1, -1)],
    4: [(False, 1, 1), (False, -1, -1), (True, 1, -1), (True, -1, 1)],
    8: [(transposed, down, across) for transposed in (False, True) for down in (1, -1) for across in (1, -1)],
}
"""By number: by half a turn, by quarter turns, and these mirrored."""


@dataclass(frozen=True, slots=True)
class Way:
    """Something to do with a tile: run a network with one exit, or one with several up to an exit, once or turned."""

    network: Network
    k: int
    """The exit, counted from 1; 0 where the network has but one."""
    macs: float
    """Multiply-adds per input pixel."""
    gain: float
    """PSNR over bicubic interpolation in dB; 0 where it is not known."""
    turns: int = 1
    """Copies of the tile, turned and mirrored, whose results are averaged."""
    int8: bool = False
    """Whether the network is run in 8 bits."""
    share: float = 1.0
    """Time of a multiply-add in that form over that of one in floats."""
    lost: float = 0.0
    """What of the gain in floats 8 bits cost, in dB, on the pictures that it was measured on."""

    @property
    def name(self) -> str:
        arch = self.network.card.arch
        once = f"{arch} exit {self.k}" if self.k else f"{arch}{IN_8_BITS}" if self.int8 else arch
        return once if self.turns == 1 else f"{self.turns} turns of {once}"

    @property
    def radius(self) -> int:
        """How far an output pixel looks, in input pixels."""
        card = self.network.card
        return card.exits[self.k - 1].radius if self.k else card.radius

    @property
    def form(self) -> tuple[str, bool]:
        """Which engine runs it: the network's name, and whether in 8 bits."""
        return self.network.card.name, self.int8

    @property
    def cost(self) -> float:
        """What it costs beside others, in multiply-adds in floats."""
        return self.macs * self.share

    @property
    def noise(self) -> float:
        """Mean squared error that 8 bits add at most to what would be reached in floats, white being 1."""
        whole = self.network.card.int8
        return LEFT[self.turns] * NOISE * whole.noise if self.int8 and whole else 0.0

    @property
    def gain_in_floats(self) -> float:
        """As `gain`, but for what 8 bits cost, which is no part of what there is to gain: it is `noise`."""
        return self.gain + self.lost

    def beats(self, other: "Way", first: bool) -> bool:
        """Whether this surely costs no more than `other` and gains no less; of equals, the `first` does."""
        if self.int8 != other.int8:  # 8 bits that seem to lose nothing do lose something where there is little to see.
            better = self.gain > other.gain if self.int8 else self.gain >= other.gain
            return better and MARGIN * self.cost <= other.cost
        equal = self.cost == other.cost and self.gain == other.gain
        return self.cost <= other.cost and self.gain >= other.gain and (first or not equal)

    def turned(self, turns: int) -> "Way":
        """The mean of so many turned copies' results."""
        gain, lost = self.gain_in_floats * (1 + TURNS[turns]), self.lost * LEFT[turns]
        return replace(self, turns=turns, macs=turns * self.macs, gain=gain - lost, lost=lost)


def find_ways(
    network: Network,
    most: float = inf,
    turned: bool = True,
    known: Iterable[Network] | None = None,
    forms: Callable[[Network], Mapping[bool, float]] = lambda _: {False: 1.0},
) -> list[Way]:
    """What tiles may get where `network`, of several exits, was named: what nothing surely beats, by multiply-adds.

    Those are its exits, networks of its family, scale and flavour among `known` with all of theirs, and, if `turned`,
    those that cost as much as `network` or more turned, in each form, where they have at most `most` multiply-adds per
    input pixel, and cost no more than `network` turned as often as can be: what is dearer takes long to open and to
    time. By default the shipped ones are known, if `network` is one of them. Which reaches more was measured: exits
    have gains, networks with one exit are compared with the last of `network` on the data sets that both have. Where
    gains were not measured, there are its own exits alone. `forms` says of networks with one exit whether they are run
    in floats (False), in 8 bits (True) or both, and what time that takes, over the time in floats.
    """
    own = exits_of(network)
    if not own[-1].gain:
        return own
    dearest = max(TURNS) * network.card.macs_per_pixel
    if known is None:
        known = networks().values()
        known = known if network.card_path.resolve() in (n.card_path.resolve() for n in known) else ()
    kin = (other for other in known if other.card != network.card and _kin(other.card) == _kin(network.card))
    found = [*own, *(way for other in kin for way in exits_of(other) or _plain(other, own[-1], forms(other)))]
    once = _best(way for way in found if way.macs <= most * (1 + 1e-9) and way.cost <= dearest)
    large = [way for way in once if way.macs >= min(network.card.macs_per_pixel, once[-1].macs)]
    copies = [copy for way in large for copy in _turned(way)] if turned else []
    return _best([*once, *(copy for copy in copies if copy.macs <= most and copy.cost <= dearest)])


def _best(ways: Iterable[Way]) -> list[Way]:
    """Those of `ways` that no other surely beats, in the order of their multiply-adds.

    Forms whose costs may be either way round are both there: which is better is seen where their time is measured.
    """
    order = sorted(ways, key=lambda way: (way.macs, way.cost, -way.gain))
    best: list[Way] = []
    for place, way in enumerate(order):
        others = enumerate(order)
        if not any(other.beats(way, place > before) for before, other in others if before != place):
            best.append(way)
    return best


def exits_of(network: Network) -> list[Way]:
    """The exits of `network`; none where it has but one."""
    card = network.card
    costs = exit_costs(card)[1:].tolist()
    return [Way(network, k, macs, exit.gain) for k, (macs, exit) in enumerate(zip(costs, card.exits, strict=True), 1)]


def open_ways(
    network: Network,
    most: float,
    means: Means,
    tell: Tell | None = None,
    size: Size | None = None,
    turned: bool = False,
) -> ExitsEngine:
    """The engine, by `means`, with all that tiles may get where `network` was named; see `find_ways` and `Means.open`.

    With an NVIDIA engine that is `network` alone: its exits share the GPU's memory, and other networks would take more.
    On a processor that is quicker in 8 bits, networks with one exit are run in both forms, unless a precision or a
    quality is given: a quality is a share of multiply-adds. With the precision int8 all that have such a form are run
    in it alone, and it is an error where there are none.
    """
    with ExitStack() as stack:
        own, means = _open_own(network, means, tell, size, timed=most == inf)
        stack.push(own)
        if isinstance(own, PlaneEngine):
            stack.pop_all()
            return own
        ways = find_ways(network, most, turned, forms=partial(_forms, means, own, most < inf))
        if means.precision == "int8" and not any(way.int8 for way in ways):
            stack.enter_context(means.open(network, tell, size))  # Says why not.
        if ways == exits_of(network):
            stack.pop_all()
            return own
        opened: dict[tuple[str, bool], Engine] = {(network.card.name, False): own}
        for way in ways:
            if way.form not in opened:
                by = replace(means, precision="int8" if way.int8 else None)
                opened[way.form] = stack.enter_context(by.open(way.network, tell, size))
        stack.pop_all()
    return MixedExits(network.card, ways, opened, own.at_once)


def at_once(threads: int | None) -> int:
    """How many runs are worth making at once on so many cores of a processor, by default on all.

    Two on two cores, each on one: small pieces keep it busier than both that wait for each other in every layer. With
    more cores it was not measured (docs/decisions/0024-regions-side-by-side.md).
    """
    return 2 if (threads or cores()) == 2 else 1


def _open_own(
    network: Network, means: Means, tell: Tell | None, size: Size | None, timed: bool
) -> tuple[ExitsEngine, Means]:
    """`network` by `means`, and by which means others belong beside it."""
    runs = at_once(means.threads) if timed and means.engine not in NVIDIA else 1
    shared = means if runs == 1 else replace(means, threads=1)
    own = cast(ExitsEngine, shared.open(network, tell, size, strict=False))
    provider = getattr(own, "provider", None)
    if runs == 1 or isinstance(own, PlaneEngine):
        return own, means
    if provider is None or provider.name != "cpu":  # Threads count there, too, but runs follow each other.
        own.__exit__(None, None, None)
        return cast(ExitsEngine, means.open(network, tell, size, strict=False)), means
    own.at_once = runs
    return own, shared


class MixedExits:
    """An `ExitsEngine` whose exits are `ways`, by multiply-adds; `opened` are the engines of their networks, by form.

    Its card is `card`, of the network that was named, with these exits, no scores and no estimator.
    """

    def __init__(self, card: Card, ways: Sequence[Way], opened: "Opened", at_once: int = 1) -> None:
        self.at_once = at_once
        macs = [0.0, *(way.macs for way in ways)]
        cards = [card_in_8_bits(way.network.card) if way.int8 else way.network.card for way in ways]
        exits = tuple(
            Exit(dearer - cheaper, 0.0, way.radius, way.gain_in_floats, noise=way.noise)
            for way, (cheaper, dearer) in zip(ways, pairwise(macs), strict=True)
        )
        self.card = replace(
            card,
            sha256="+".join(dict.fromkeys(each.sha256 for each in cards)),
            size_multiple=lcm(*(each.size_multiple for each in cards)),
            alignment=lcm(*(each.alignment for each in cards)),
            radius=max(way.radius for way in ways),
            quality={},
            exits=exits,
            estimator=None,
        )
        self.exits = tuple(way.name for way in ways)
        """What each exit is, for people."""
        floats = dict.fromkeys(runtime_of(engine) for (_, int8), engine in opened.items() if not int8)
        self.runtime = ", ".join([*floats, *(["some in 8 bits"] if any(way.int8 for way in ways) else [])])
        """What runs them, for people."""
        self._opened = opened
        self._runs = [_run(opened[way.form], way) for way in ways]

    def __enter__(self) -> Self:
        return self

    @property
    def notes(self) -> tuple[str, ...]:
        """What did not go as it should, in lines for people."""
        return tuple(dict.fromkeys(note for engine in self._opened.values() for note in getattr(engine, "notes", ())))

    def infer(self, tiles: Array) -> Array:
        """(N, 3, H, W) in [0, 1] to (N, 3, H * scale, W * scale) in [0, 1], by the last exit."""
        return self.exit(len(self._runs), tiles)

    def exit(self, k: int, tiles: Array) -> Array:
        """As `infer`, but by exit `k`, counted from 1."""
        if not 1 <= k <= len(self._runs):
            raise EngineError(f"{self.card.name} has exits 1 to {len(self._runs)} here, not {k}")
        return self._runs[k - 1](tiles)

    def estimate(self, patches: Array) -> Array:
        """Raises EngineError: exits of several networks are judged by their measured gains."""
        raise EngineError(f"{self.card.name} is run with exits of other networks, which its estimator does not know")

    def __exit__(self, *exc: object) -> None:
        with ExitStack() as stack:
            for engine in self._opened.values():
                stack.push(engine)


def exit_names(engine: ExitsEngine) -> tuple[str, ...]:
    """What a tile may get by `engine`, for people; interpolation first."""
    own = tuple(f"exit {k}" for k in range(1, len(engine.card.exits) + 1))
    return "bicubic", *(engine.exits if isinstance(engine, MixedExits) else own)


def _forms(means: Means, own: Engine, shares: bool, network: Network) -> dict[bool, float]:
    """Forms in which `network` is run beside `own`, see `find_ways`; `shares`: multiply-adds count, not time."""
    if means.precision == "int8" and network.card.int8 is not None:
        return {True: 1.0 if shares else AS_ASKED}
    if means.precision is not None or shares or not on_processor(own, network):
        return {False: 1.0}
    tried = trial(network, means.threads)
    return {False: 1.0, True: tried.share} if tried.pays else {False: 1.0}


def on_processor(own: Engine, network: Network) -> bool:
    """Whether `network` has a form in 8 bits that can run beside `own`: for a processor, and its file is there."""
    provider = getattr(own, "provider", None)
    return (
        provider is not None and provider.name == "cpu" and network.card.int8 is not None and network.int8_path.exists()
    )


def _plain(network: Network, last: Way, forms: Mapping[bool, float]) -> list[Way]:
    """`network`, which has one exit, in `forms`; none where it has no data set in common with `last`, an exit."""
    return [replace(way, share=share) for int8, share in forms.items() for way in _single(network, last, int8)]


def _single(network: Network, last: Way, int8: bool) -> list[Way]:
    card = network.card
    scores = last.network.card.exits[last.k - 1].quality
    common = scores.keys() & card.quality.keys()
    if not common:
        return []
    better = fmean(card.quality[name].psnr - scores[name].psnr for name in common)
    way = Way(network, 0, card.macs_per_pixel, last.gain + better)
    if not int8:
        return [way]
    whole = card_in_8_bits(card).quality
    if not common & whole.keys():
        return []
    lost = max(fmean(card.quality[name].psnr - whole[name].psnr for name in common & whole.keys()), 0.0)
    return [replace(way, gain=way.gain - lost, int8=True, lost=lost)]


def _kin(card: Card) -> tuple[Fraction, str, str, int]:
    """Scale, flavour, family (`quicksrnet` of `enaf-quicksrnet-medium` and of `quicksrnet-small`), and where tiles may
    start: a network that sees whole frames has no such rule, and would show joints beside one that has."""
    return card.scale, card.flavour, card.arch.removeprefix("enaf-").partition("-")[0], card.alignment


def _turned(way: Way) -> list[Way]:
    """`way` with its results over turned copies averaged; not where attention is aligned."""
    return [way.turned(turns) for turns in TURNS] if way.network.card.alignment == 1 else []


def _run(engine: Engine, way: Way) -> Callable[[Array], Array]:
    once = partial(cast(ExitsEngine, engine).exit, way.k) if way.k else engine.infer
    return once if way.turns == 1 else partial(_average, once, COPIES[way.turns])


def _average(once: Callable[[Array], Array], copies: Sequence[Copy], tiles: Array) -> Array:
    """The mean of what `once` makes of (N, 3, H, W) turned as `copies` say, turned back."""
    total: Array | None = None
    for transposed, down, across in copies:
        turned = tiles.swapaxes(2, 3) if transposed else tiles
        made = once(np.ascontiguousarray(turned[:, :, ::down, ::across]))[:, :, ::down, ::across]
        made = made.swapaxes(2, 3) if transposed else made
        total = made.copy() if total is None else np.add(total, made, out=total)
    assert total is not None
    return np.ascontiguousarray(total) / np.float32(len(copies))
