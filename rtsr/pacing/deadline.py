"""Decisions in time: what may still start, which rung of a ladder to stand on, what to do with a late frame.

Pure: the clock is an argument everywhere, in nanoseconds of any one clock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from rtsr.errors import UsageError

TOLERANCE_NS = 1_000_000
"""A frame later than its budget by more than this is a miss."""
LONGEST_WAIT_NS = 4_000_000
"""Longer waits for a core are stalls: too rare to leave time for them in every frame."""


@dataclass(frozen=True, slots=True)
class Rate:
    """What a piece of work, an exit or a whole network, costs on a quiet machine."""

    fixed_ns: float
    per_pixel_ns: float
    """For every input pixel."""

    def cost_ns(self, pixels: int) -> float:
        return self.fixed_ns + self.per_pixel_ns * pixels


@dataclass(slots=True)
class CostModel:
    """Time that pieces of work take: measured rates times how slow the machine is just now.

    Slowness is a running mean of measured over predicted time with a running mean deviation, as in the
    retransmission timer of TCP (RFC 6298); a promise is kept by counting on the mean and some deviations. Beside
    these, which grow with a piece, stand waits for a core that another process has: as long as a scheduler's slice,
    however short the piece.
    """

    rates: Mapping[str, Rate]
    caution: float = 3.0
    """Deviations above the mean that a pessimistic cost counts with."""
    slowness: float = 1.0
    deviation: float = 0.1
    worst: float = field(default=2.0, repr=False)
    """A measurement counts as at most so many times slowness: one stall says nothing about the next piece, and a core
    shared with one other process no more than doubles it."""
    wait_ns: float = 0.0
    """How much longer than expected a piece took of late, at its worst; what is more than `LONGEST_WAIT_NS` is not
    waited for."""

    def expected_ns(self, work: str, pixels: int) -> float:
        """Most likely time of `work` over `pixels` input pixels."""
        return self.slowness * self.rates[work].cost_ns(pixels)

    def cautious_ns(self, work: str, pixels: int) -> float:
        """Time that `work` will rarely exceed."""
        return (self.slowness + self.caution * self.deviation) * self.rates[work].cost_ns(pixels)

    @property
    def reserve_ns(self) -> float:
        """Time to leave before a frame is due, for waits that the tolerance does not cover."""
        return max(self.wait_ns - TOLERANCE_NS / 2, 0.0)

    def observe(self, work: str, pixels: int, took_ns: float) -> None:
        """Learn from a piece that ran; long ones count for more than short, noisy ones."""
        predicted = self.rates[work].cost_ns(pixels)
        over = took_ns - self.slowness * predicted
        if self.wait_ns < over <= LONGEST_WAIT_NS:
            self.wait_ns += 0.5 * (over - self.wait_ns)
        else:
            self.wait_ns *= 0.995
        found = min(took_ns / predicted, self.worst * self.slowness)
        weight = min(1.0, predicted / 2e6)
        off = abs(found - self.slowness)
        # Faster to believe in trouble than in its end.
        self.deviation += weight * (0.25 if off > self.deviation else 0.06) * (off - self.deviation)
        self.slowness += weight * (0.25 if found > self.slowness else 0.1) * (found - self.slowness)

    def relax(self) -> None:
        """Nothing ran, for want of time: believe a little more in a quiet machine, so that it is tried again."""
        self.slowness += 0.01 * (min(self.slowness, 1.0) - self.slowness)
        self.deviation *= 0.99
        self.wait_ns *= 0.98


def fit_rate(pixels: Sequence[int], took_ns: Sequence[float]) -> Rate:
    """The line through the cheapest measurement of a few pixels and that of many."""
    few, many = min(pixels), max(pixels)
    if few == many:
        raise ValueError("a rate needs measurements of two sizes")
    cheap, dear = (min(t for p, t in zip(pixels, took_ns, strict=True) if p == size) for size in (few, many))
    per_pixel = max(dear - cheap, 0.05 * dear) / (many - few)
    return Rate(max(cheap - per_pixel * few, 0.0), per_pixel)


@dataclass(frozen=True, slots=True)
class Ladder:
    """The rung that whole frames are upscaled on, 0 the cheapest; climbs slowly and steps down at once."""

    rung: int = -1
    """-1 before the first frame, which takes the highest that fits."""
    patience: int = 8
    """Frames in a row that the next rung must have fitted before it is taken."""
    spare: float = 0.85
    """Share of the budget that a higher rung may need; the lowest above interpolation may need all of it."""
    waited: int = 0

    def next(self, costs_ns: Sequence[float], budget_ns: float) -> "Ladder":
        """Where to stand for the next frame, given what every rung costs now; costs grow with the rung."""
        fitting, roomy = _highest(costs_ns, budget_ns), _highest(costs_ns, self.spare * budget_ns)
        able = max(roomy, min(fitting, 1))
        if self.rung < 0:
            return replace(self, rung=able)
        if fitting < self.rung:
            return replace(self, rung=fitting, waited=0)
        if self.rung >= able:
            return replace(self, waited=0)
        if self.waited + 1 < self.patience:
            return replace(self, waited=self.waited + 1)
        return replace(self, rung=self.rung + 1, waited=0)


def _highest(costs_ns: Sequence[float], budget_ns: float) -> int:
    return max((i for i, cost in enumerate(costs_ns) if cost <= budget_ns), default=0)


class Late(StrEnum):
    """What to do with a frame that cannot be made in time."""

    DEGRADE = "degrade"
    """Interpolate it; where there is no time for that either, repeat."""
    REPEAT = "repeat"
    """Show the last output again, under the late frame's timestamp."""
    DROP = "drop"
    """Leave it out."""


def as_late(name: str) -> Late:
    """The policy `name`; raises UsageError."""
    try:
        return Late(name)
    except ValueError as cause:
        raise UsageError(f"unknown policy {name!r} for late frames; known: {', '.join(Late)}") from cause


class Treatment(StrEnum):
    """How a frame is made."""

    REFINE = "refine"
    INTERPOLATE = "interpolate"
    REPEAT = "repeat"
    DROP = "drop"


def treat(late: Late, now_ns: float, due_ns: float, least_ns: float, hopeless_ns: float = float("inf")) -> Treatment:
    """How to make a frame that is due at `due_ns`, where refining takes `least_ns` before it refines anything.

    A frame is degraded only while it is not overdue, so that one is never later than an interpolation takes. One that
    is overdue by more than `hopeless_ns` is dropped under every policy: to repeat it still takes an encoder's time.
    """
    left = due_ns - now_ns
    if left >= least_ns:
        return Treatment.REFINE
    if late is Late.DROP or left < -hopeless_ns:
        return Treatment.DROP
    return Treatment.INTERPOLATE if late is Late.DEGRADE and left > 0 else Treatment.REPEAT


@dataclass(slots=True)
class Least:
    """What a piece of work takes at least, in nanoseconds, as measured of late; e.g. what comes before refining."""

    ns: float = 0.0
    sure: bool = False
    """Whether it was measured more than once: the first time may have been a stall."""

    def observe(self, took_ns: float) -> None:
        """Learn from a frame; faster to believe in more than in less, but one stall says little of the next frame."""
        if not self.ns:
            self.ns = took_ns
            return
        found = min(took_ns, 2 * self.ns)
        weight = 0.5 if found > self.ns else 0.2 if self.sure else 1.0
        self.ns += weight * (found - self.ns)
        self.sure = True

    def fade(self) -> None:
        """A frame was not refined: expect a little less, or one stall would end refining for good."""
        self.ns *= 0.95 if self.sure else 0.5
