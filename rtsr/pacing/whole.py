"""Networks with one exit at a pace: whole frames by the best that fits, down to interpolation."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from math import inf

import numpy as np

from rtsr.cubic import enlarge
from rtsr.engine.base import Engine
from rtsr.engine.choice import Means, Tell
from rtsr.frame import Frame
from rtsr.pacing.anytime import Spent
from rtsr.pacing.calibration import calibrate_whole
from rtsr.pacing.deadline import CostModel, Ladder
from rtsr.pacing.mixed import IN_8_BITS, forms_here
from rtsr.resources import Network, networks
from rtsr.upscaler import Upscaler, fitted

PIXELS = 480 * 270
"""Of a frame by which rungs are compared where its size is not known."""


@dataclass(frozen=True, slots=True)
class Minimum:
    """The least that a frame takes on this machine just now, in nanoseconds."""

    begin_ns: float
    """Interpolating, and planning what a network is to do."""
    network_ns: float
    """The smallest piece of work that a network can do, on top."""

    @property
    def seconds(self) -> float:
        return (self.begin_ns + self.network_ns) / 1e9


@dataclass
class WholeFrames:
    """`network`, which has one exit, and those that cost less; rung 0 is interpolation.

    On a processor that is quicker in 8 bits, each is there in both forms, unless a precision says otherwise; what
    takes no less time than something better is left out.
    """

    network: Network
    means: Means
    tell: Tell | None
    size: tuple[int, int] | None
    clock: Callable[[], float]
    ladder: Ladder = field(default_factory=Ladder)

    def __post_init__(self) -> None:
        self.scale = self.network.card.scale
        asked = self.means.precision == "int8"
        with ExitStack() as stack:
            named = stack.enter_context(self._open(self.network, asked and self.network.card.int8 is not None))
            smaller = [(n, int8) for n in smaller_networks(self.network) for int8 in self._forms(named.engine, n)]
            own = [(self.network, int8) for int8 in self._forms(named.engine, self.network)]
            found = sorted([*smaller, *own], key=_cost)
            if asked and not any(int8 for _, int8 in found):
                self.means.open(self.network, self.tell, self.size)  # Says why not.
            opened = [named if form == own[-1] else stack.enter_context(self._open(*form)) for form in found]
            costs = calibrate_whole([rung.engine for rung in opened])
            kept = _steps(costs, len(opened), PIXELS if self.size is None else self.size[0] * self.size[1])
            stack.pop_all()
        for i in set(range(len(opened))) - set(kept):
            opened[i].close()
        self.rungs = [opened[i] for i in kept]
        self.costs = replace(costs, rates={f"rung {j}": costs.rates[f"rung {i}"] for j, i in enumerate(kept)})
        self.engine = self.rungs[-1].engine
        self.exits = ("bicubic", *(found[i][0].card.name + IN_8_BITS * found[i][1] for i in kept))

    def _forms(self, own: Engine, network: Network) -> list[bool]:
        """Whether `network` is run in floats, in 8 bits or both; in that of `own` last."""
        return sorted(forms_here(self.means, own, False, network), reverse=True)

    def _open(self, network: Network, int8: bool) -> Upscaler:
        precision = "int8" if int8 else None if self.means.precision == "int8" else self.means.precision
        means = asdict(replace(self.means, precision=precision))
        return Upscaler(self.scale, model=network.card_path, tell=self.tell, size=self.size, **means)

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(note for rung in self.rungs for note in rung.notes))

    def frame(self, frame: Frame, width: int, height: int, due_ns: float) -> tuple[Frame, Spent]:
        pixels, began = frame.width * frame.height, self.clock()
        needed = [0.0, *(self.costs.cautious_ns(f"rung {i}", pixels) for i in range(len(self.rungs)))]
        self.ladder = self.ladder.next(needed, due_ns - began)
        rung, spent = self.ladder.rung, self.untouched(frame)
        if rung == 0:
            self.costs.relax()
            large = interpolated(frame, self.scale, width, height)
            spent.begin_ns = self.clock() - began
            return large, spent
        large = self.rungs[rung - 1].frame(frame, width, height)
        self.costs.observe(f"rung {rung - 1}", pixels, self.clock() - began)
        spent.tiles = np.roll(spent.tiles, rung)
        spent.macs = pixels * self.rungs[rung - 1].engine.card.macs_per_pixel
        return large, spent

    def untouched(self, frame: Frame) -> Spent:
        full = frame.width * frame.height * self.rungs[-1].engine.card.macs_per_pixel
        return Spent(np.eye(1, len(self.rungs) + 1, dtype=np.intp)[0], full_macs=full)

    def minimum(self, noise: Frame, width: int, height: int) -> Minimum:
        began, pixels = self.clock(), noise.width * noise.height
        interpolated(noise, self.scale, width, height)
        enlarged = self.clock()
        self.rungs[0].frame(noise, width, height)
        self.costs.observe("rung 0", pixels, self.clock() - enlarged)
        return Minimum(enlarged - began, self.costs.cautious_ns("rung 0", pixels))

    def close(self) -> None:
        for rung in self.rungs:
            rung.close()


def smaller_networks(network: Network) -> list[Network]:
    """The shipped networks with one exit, of the scale and flavour of `network`, that cost less; cheapest first."""
    card = network.card
    return [
        n
        for n in networks().values()
        if (n.card.scale, n.card.flavour) == (card.scale, card.flavour)
        and not n.card.exits
        and n.card.macs_per_pixel < card.macs_per_pixel
    ]


def interpolated(frame: Frame, scale: Fraction, width: int, height: int) -> Frame:
    """`frame` at `width` x `height` without any network."""
    planes = enlarge((frame.y, frame.u, frame.v), scale, frame.colour.chroma_left)
    return fitted(left(frame), planes, width, height)


def left(frame: Frame) -> Frame:
    """What is written is sited as every player assumes it to be."""
    return replace(frame, colour=replace(frame.colour, chroma_left=True))


def _cost(form: tuple[Network, bool]) -> float:
    """What a network costs beside others, which goes with what it reaches: multiply-adds in 8 bits count for half."""
    network, int8 = form
    return network.card.macs_per_pixel / (2 if int8 else 1)


def _steps(costs: CostModel, count: int, pixels: int) -> list[int]:
    """Those of `count` rungs, ever better ones, that take less time over `pixels` than all better ones."""
    kept, least = [], inf
    for i in reversed(range(count)):
        time = costs.expected_ns(f"rung {i}", pixels)
        if time < least:
            kept, least = [i, *kept], time
    return kept
