"""Over a thousand live streams on a simulated clock, each upset once: every frame is accounted for, and they recover.

Frames go from a sender through a queue to the real `Delivery`, and through another to an encoder, as in
`rtsr.flow`; a machine with scripted costs stands for the networks.
"""

import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache

import numpy as np
import pytest

from rtsr.flow import LIVE_DEPTH
from rtsr.frame import Colour, Frame, Video
from rtsr.pacing.anytime import Spent
from rtsr.pacing.deadline import Late, Treatment
from rtsr.pacing.delivery import Delivery, Live
from rtsr.pacing.spending import Spending

MS, S = 1e6, 1e9
BEGIN, PART, INTERPOLATE, ENCODE, DECODE = 0.15, 0.15, 0.1, 0.2, 0.1
"""Shares of a frame's time that work takes."""
SLOW = 12.0
PARTS = 4
"""Pieces in which a frame is refined; the clock is read before each."""
REFINED, UNTOUCHED = np.array([1, 3]), np.array([4, 0])
UPSETS = (
    "nothing",
    "jitter",
    "pause",
    "longer way",
    "hiccup",
    "read ahead",
    "stall",
    "slow for a while",
    "twice as slow",
)
BLOCKS, PER_BLOCK = 36, 28
LONG_S = 5
RECOVERED_NS = 2.2 * S


@dataclass(frozen=True, slots=True)
class Situation:
    """A stream of five seconds, and what upsets it."""

    upset: str
    at_ns: float
    long_ns: float
    """How long it lasts, or how much later frames are."""
    fps: int
    late: Late
    live: Live
    follows: bool
    jitter_ns: float
    place: str
    """What the machine is doing when it stalls: begin, refine or encode."""

    @classmethod
    def drawn(cls, upset: str, rng: random.Random) -> "Situation":
        longest = {"pause": 3, "longer way": 1, "hiccup": 1.5, "stall": 0.5, "slow for a while": 1.5}.get(upset, 0)
        live = Live(latency=rng.choice([0.1, 0.2, 0.5]))
        return cls(
            upset=upset,
            at_ns=rng.uniform(0.6, 1) * S,
            long_ns=(longest if upset == "stall" else rng.uniform(0.3, 1) * longest) * S,
            fps=rng.choice([24, 30, 50]),
            late=rng.choice(list(Late)),
            live=live,
            follows=rng.random() < 0.5 and upset != "read ahead",
            jitter_ns=rng.uniform(0, 0.3 * live.latency * S if upset == "jitter" else 5 * MS),
            place=rng.choice(["begin", "refine", "encode"]),
        )

    @property
    def frame_ns(self) -> float:
        return S / self.fps

    @property
    def later_ns(self) -> float:
        """How much later frames come for good."""
        return self.long_ns if self.upset in ("pause", "longer way") else 0.0

    @property
    def quiet_ns(self) -> float:
        """When all is well again, for the sender and the machine."""
        lasts = self.upset in ("pause", "hiccup", "stall", "slow for a while")
        return self.at_ns + (self.long_ns if lasts else 0.0)

    def load(self, now: float) -> float:
        """How many times as long as usual everything takes."""
        if self.upset == "slow for a while":
            return SLOW if self.at_ns <= now < self.quiet_ns else 1.0
        return 2.0 if self.upset == "twice as slow" and now >= self.at_ns else 1.0

    def sent_ns(self, rng: random.Random) -> list[float]:
        """When each frame can be read."""
        sent, last = [], 0.0
        for i in range(LONG_S * self.fps):
            at = i * self.frame_ns
            if self.upset == "read ahead":
                at = max(0.0, at - 3 * S)
            elif self.upset == "hiccup" and 0 <= at - self.at_ns < self.long_ns:
                at = self.at_ns + self.long_ns
            elif self.upset in ("pause", "longer way") and at >= self.at_ns:
                at += self.later_ns
            last = max(last, at + rng.uniform(0, self.jitter_ns))
            sent.append(last)
        return sent


@dataclass(slots=True)
class Machine:
    """In place of a `PacedUpscaler`: takes shares of a frame's time, times its load, and may stall once."""

    situation: Situation
    now: float = 0.0
    stalled: bool = False

    def clock(self) -> float:
        return self.now

    def spend(self, share: float, place: str) -> None:
        s = self.situation
        self.now += share * s.frame_ns * s.load(self.now)
        if s.upset == "stall" and not self.stalled and place == s.place and self.now >= s.at_ns:
            self.stalled = True
            self.now += s.long_ns

    def frame(self, frame: Frame, width: int, height: int, due_ns: float) -> tuple[Frame, Spent]:
        began = self.now
        self.spend(BEGIN, "begin")
        begin_ns, done = self.now - began, 0
        while done < PARTS and self.now + PART * self.situation.frame_ns < due_ns:
            self.spend(PART, "refine")
            done += 1
        return frame, Spent(REFINED if done else UNTOUCHED, macs=done, full_macs=PARTS, begin_ns=begin_ns)

    def interpolate(self, frame: Frame, width: int, height: int) -> Frame:
        self.spend(INTERPOLATE, "begin")
        return frame

    def untouched(self, frame: Frame) -> Spent:
        return Spent(UNTOUCHED, full_macs=PARTS)


@dataclass(slots=True)
class Outcome:
    """What became of the frames."""

    spending: Spending
    treated: list[tuple[float, Treatment]] = field(default_factory=list)
    """When each was begun, and how it was made."""
    written: list[tuple[float, int, float]] = field(default_factory=list)
    """When it was encoded, its number, and how late that is by the clock, in seconds."""
    clocks_ns: list[float] = field(default_factory=list)
    """When the first frame arrived, or would have, by the clock after each arrival."""


@cache
def frames(fps: int) -> list[Frame]:
    y, u = np.zeros((2, 2), np.uint8), np.zeros((1, 1), np.uint8)
    step = 90000 // fps
    return [Frame(y, u, u, Colour("bt709"), i * step, step) for i in range(LONG_S * fps)]


def play(s: Situation, rng: random.Random) -> Outcome:
    """Every frame of a situation through all stages, event by event."""
    video = Video(2, 2, Colour("bt709"), Fraction(1, 90000), Fraction(s.fps))
    machine, spending = Machine(s), Spending()
    delivery = Delivery(machine, video, video.resized(4, 4), 1 / s.fps, s.late, spending, s.live, s.follows)  # type: ignore[arg-type]
    outcome, sent, pictures = Outcome(spending), s.sent_ns(rng), frames(s.fps)
    waiting: deque[tuple[float, Frame]] = deque()
    begun: list[float] = []
    encoding: deque[float] = deque(maxlen=LIVE_DEPTH)  # When the last ones were begun to be encoded.
    asked = idle = encoded = 0.0
    written: deque[tuple[float, Frame]] = deque()
    read = 0

    def hand_over(until: float) -> None:
        while written and written[0][0] <= until:
            machine.now, frame = written.popleft()
            delivery.written(frame)
            outcome.written.append((machine.now, frame.pts * s.fps // 90000, spending.latency[-1]))

    while read < len(pictures) or waiting:
        may_read = read < len(pictures) and read - len(begun) <= LIVE_DEPTH
        arrives = max(sent[read], asked) + DECODE * s.frame_ns if may_read else float("inf")
        begins = max(waiting[0][0], idle) if waiting else float("inf")
        hand_over(min(arrives, begins))
        if arrives <= begins:
            machine.now = arrives
            delivery.arrived(pictures[read], max(0.0, sent[read] - asked) / S)
            assert delivery._clock is not None
            outcome.clocks_ns.append(delivery._clock.began_ns)
            waiting.append((arrives, pictures[read]))
            read += 1
            asked = arrives if read - len(begun) <= LIVE_DEPTH else float("nan")
            continue
        machine.now, frame = begins, waiting.popleft()[1]
        begun.append(begins)
        if asked != asked:  # The queue was full; now what was read has its place, and the next is asked for.
            asked = begins
        before = dict(spending.frames)
        large = delivery.make(frame)
        outcome.treated.append((begins, next(how for how, count in spending.frames.items() if count > before[how])))
        idle = machine.now
        if large is not None:
            idle = max(idle, encoding[0] if len(encoding) == LIVE_DEPTH else 0.0)
            machine.now = max(idle, encoded)
            encoding.append(machine.now)
            machine.spend(ENCODE, "encode")
            encoded = machine.now
            written.append((encoded, large))
    hand_over(float("inf"))
    return outcome


def situations(block: int) -> Iterator[tuple[Situation, Outcome]]:
    for seed in range(PER_BLOCK):
        rng = random.Random(PER_BLOCK * block + seed)
        situation = Situation.drawn(UPSETS[block % len(UPSETS)], rng)
        yield situation, play(situation, rng)


@pytest.mark.parametrize("block", range(BLOCKS))
def test_a_thousand_live_streams(block: int) -> None:
    for s, outcome in situations(block):
        counts = outcome.spending.frames
        assert sum(counts.values()) == len(outcome.treated) == LONG_S * s.fps
        numbers = [number for _, number, _ in outcome.written]
        assert len(numbers) == LONG_S * s.fps - counts[Treatment.DROP]
        assert numbers == sorted(set(numbers))

        # The clock is no later than the sender is for good, whatever the way and the machine do meanwhile.
        assert max(outcome.clocks_ns) <= s.later_ns + s.jitter_ns + DECODE * s.frame_ns + 1, s
        # Behind it, a frame is begun no more than two latencies late; then it is made, and waits for those before it
        # to be encoded, at the worst with a stall: that is the latency's bound.
        slow = SLOW if s.upset == "slow for a while" else 2.0
        made = (BEGIN + PARTS * PART + (LIVE_DEPTH + 2) * ENCODE) * slow * s.frame_ns + 0.5 * S
        bound = 2 * S * s.live.latency + made + s.jitter_ns
        assert max(late for _, _, late in outcome.written) * S <= bound, s

        # Two seconds behind all trouble, every frame is made, and none is late.
        after = [how for begun, how in outcome.treated if begun > s.quiet_ns + RECOVERED_NS]
        assert len(after) > s.fps / 8 and set(after) == {Treatment.REFINE}, s
        assert all(late <= s.live.latency for at, _, late in outcome.written if at > s.quiet_ns + RECOVERED_NS), s
        if s.upset in ("nothing", "read ahead", "twice as slow"):
            assert counts[Treatment.REFINE] == LONG_S * s.fps, s
        # A pause costs about a second, if what comes behind it is overdue.
        if s.upset == "pause":
            assert LONG_S * s.fps - counts[Treatment.REFINE] <= 2.2 * s.fps
