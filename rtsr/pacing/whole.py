"""Networks with one exit at a pace: whole frames by the best that fits, down to interpolation."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from math import inf
from statistics import fmean

import numpy as np

from rtsr.card import Quality, card_in_8_bits
from rtsr.cubic import enlarge
from rtsr.engine.choice import Means, Tell
from rtsr.engine.int8 import NoForm, trial
from rtsr.engine.onnx import OnnxEngine
from rtsr.frame import Frame
from rtsr.pacing.anytime import Spent
from rtsr.pacing.calibration import calibrate_whole
from rtsr.pacing.deadline import CostModel, Ladder, Rate
from rtsr.pacing.mixed import IN_8_BITS, on_processor
from rtsr.resources import Network, networks
from rtsr.upscaler import Upscaler, fitted

PIXELS = 480 * 270
"""Of a frame by which rungs are compared where its size is not known."""
LONGER = 1.15
"""Of the time of a better rung: what takes longer is left out."""


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


@dataclass(frozen=True, slots=True, eq=False)
class Rung:
    """A network as it is run."""

    network: Network
    upscaler: Upscaler

    @property
    def whole(self) -> bool:
        """Whether it is run in the form in 8 bits for processors."""
        form = self.network.card.int8
        return form is not None and self.upscaler.engine.card.sha256 == form.sha256

    @property
    def name(self) -> str:
        return self.network.card.name + IN_8_BITS * self.whole

    @property
    def quality(self) -> dict[str, Quality]:
        """What it reaches, by data set."""
        card = self.network.card
        return card_in_8_bits(card).quality if self.whole else card.quality

    @property
    def cost(self) -> float:
        """What it costs beside others, before it is timed: in 8 bits half of it."""
        return self.network.card.macs_per_pixel / (2 if self.whole else 1)


@dataclass
class WholeFrames:
    """`network`, which has one exit, and those that cost less, from the worst to the best; rung 0 is interpolation.

    On a processor that is quicker in 8 bits, each is there in both forms, unless a precision says otherwise. What takes
    clearly longer than something better is left out.
    """

    network: Network
    means: Means
    tell: Tell | None
    size: tuple[int, int] | None
    clock: Callable[[], float]
    ladder: Ladder = field(default_factory=Ladder)

    def __post_init__(self) -> None:
        self.scale, asked = self.network.card.scale, self.means.precision
        with ExitStack() as stack:
            named = stack.enter_context(self._open(self.network, asked))
            family = [*smaller_networks(self.network), self.network]
            forms = [(network, precision) for network in family for precision in self._precisions(named, network)]
            others = [stack.enter_context(self._open(*form)) for form in forms[:-1]]
            rungs = [Rung(network, opened) for (network, _), opened in zip(forms, [*others, named], strict=True)]
            if asked == "int8" and isinstance(named.engine, OnnxEngine) and not any(rung.whole for rung in rungs):
                stack.enter_context(self.means.open(self.network, self.tell, self.size))  # Says why not.
            rungs[:-1] = sorted(rungs[:-1], key=_place(rungs))  # What was named is the last, whatever it reaches.
            costs = calibrate_whole([rung.upscaler.engine for rung in rungs])
            kept = _steps(costs, len(rungs), PIXELS if self.size is None else self.size[0] * self.size[1])
            stack.pop_all()
        for i in set(range(len(rungs))) - kept.keys():
            rungs[i].upscaler.close()
        self.rungs = [rungs[i].upscaler for i in kept]
        self.costs = replace(costs, rates={f"rung {j}": rate for j, rate in enumerate(kept.values())})
        self.engine = self.rungs[-1].engine
        self.exits = ("bicubic", *(rungs[i].name for i in kept))

    def _precisions(self, named: Upscaler, network: Network) -> list[str | None]:
        """What `network` is run in, beside `named`: what was asked for last."""
        asked = self.means.precision
        both = asked is None and on_processor(named.engine, network) and trial(network, self.means.threads).pays
        return ["int8", asked] if both else [asked]

    def _open(self, network: Network, precision: str | None) -> Upscaler:
        """`network`; in floats where others are run in 8 bits on the processor, and it has no such form."""
        wish = {**asdict(self.means), "model": network.card_path, "tell": self.tell, "size": self.size}
        try:
            return Upscaler(self.scale, **{**wish, "precision": precision})
        except NoForm:
            return Upscaler(self.scale, **{**wish, "precision": None})

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


def _place(rungs: list[Rung]) -> Callable[[Rung], tuple[float, ...]]:
    """Where a rung stands among `rungs`: by its card's scores where all have one in common, else by its cost.

    Where 8 bits happen to score above floats, these come behind them all the same: they are what the network is.
    """
    common = set.intersection(*(set(scores) for rung in rungs for scores in (rung.quality, rung.network.card.quality)))

    def place(rung: Rung) -> tuple[float, ...]:
        scores = (rung.quality, rung.network.card.quality)
        reached = min(fmean(each[name].psnr for name in common) for each in scores) if common else 0.0
        return reached, float(not rung.whole) if common else 0.0, rung.cost

    return place


def _steps(costs: CostModel, count: int, pixels: int) -> dict[int, Rate]:
    """By number, those of `count` rungs that pay; with rates such that none takes longer over `pixels` than the next.

    One that seems to take a little longer than a better one may have met a stall, and counts as quick as that; the
    first one always does.
    """
    kept: dict[int, Rate] = {}
    least = Rate(inf, 0.0)
    for i in reversed(range(count)):
        rate = costs.rates[f"rung {i}"]
        if rate.cost_ns(pixels) < LONGER * least.cost_ns(pixels) or i == 0:
            least = min(rate, least, key=lambda each: each.cost_ns(pixels))
            kept = {i: least, **kept}
    return kept
