"""Upscales frames for a time, or for a share of a network's compute, and says what each frame got."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from numbers import Real
from pathlib import Path
from typing import Self

import numpy as np

from rtsr.arguments import check_callable, check_kind, chosen, frame_size, pixels
from rtsr.card import Card
from rtsr.cubic import enlarge
from rtsr.duration import LONGEST, frame_time
from rtsr.engine.base import Engine, ExitsEngine
from rtsr.engine.choice import Means, Tell, runtime_of
from rtsr.engine.int8 import MARK, NoForm
from rtsr.errors import EngineError, UsageError
from rtsr.frame import Frame, Video
from rtsr.pacing.anytime import Refiner, Spent
from rtsr.pacing.calibration import calibrate_exits, calibrate_whole
from rtsr.pacing.deadline import CostModel, Ladder, Least
from rtsr.pacing.mixed import IN_8_BITS, exit_names, open_ways
from rtsr.resources import Network, find_reaching_network, networks
from rtsr.scale import as_scale
from rtsr.upscaler import Upscaler, fitted

DEFAULT_MODEL = "enaf-quicksrnet-medium"
"""Has several exits, so that work can stop where it no longer pays."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How much may be spent on a frame: a time, or a share of full compute; raises UsageError unless one is given."""

    deadline: float | None = None
    """Seconds from decoded to upscaled."""
    quality: float | None = None
    """Share of the multiply-adds that whole frames by the named network would take, 0 to 1."""

    def __post_init__(self) -> None:
        if (self.deadline is None) == (self.quality is None):
            raise UsageError("give a deadline or a quality, not both; e.g. --deadline 16ms")
        if self.deadline is not None and not isinstance(self.deadline, Real):
            raise UsageError(f"a deadline is a number of seconds, not {self.deadline!r}; e.g. 0.016")
        if self.deadline is not None and not 0 < self.deadline <= LONGEST:
            raise UsageError(
                f"a deadline is above 0 and at most an hour, not {self.deadline:g} s; e.g. --deadline 16ms"
            )
        if self.quality is not None and not (isinstance(self.quality, Real) and 0 <= self.quality <= 1):
            raise UsageError(f"quality is between 0 and 1, not {self.quality!r}")
        for name in ("deadline", "quality"):  # Python's own numbers, not numpy's.
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else float(value))

    def most(self, card: Card) -> float:
        """Multiply-adds per input pixel that a tile may take: of a quality, what the network of `card` takes."""
        return float("inf") if self.quality is None else card.macs_per_pixel

    @classmethod
    def of(cls, fps: float | None = None, deadline: float | None = None, quality: float | None = None) -> "Pace | None":
        """The pace that one of a frame rate, a deadline in seconds and a quality sets; None where none is given."""
        if sum(value is not None for value in (fps, deadline, quality)) > 1:
            raise UsageError("give one of fps, deadline and quality; e.g. --fps 60")
        if fps is not None:
            return cls(deadline=frame_time(fps))
        return None if deadline is None and quality is None else cls(deadline, quality)


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


class PacedUpscaler:
    """Upscales a stream's frames, in order, by `scale` at `pace`.

    A network with several exits is refined tile by tile (`rtsr.pacing.anytime`), and with it all of its family, scale
    and flavour (`rtsr.pacing.mixed`); of others, the largest of its flavour that fits runs on whole frames, up to the
    one that was named (`rtsr.pacing.deadline.Ladder`). `model`, `engine`, `provider`, `precision`, `threads` and `tell`
    are as for `rtsr.Upscaler`; `size` are the frames' width and height, where they are known; `turned` spends what is
    left of a deadline on turned copies of tiles; `clock` gives nanoseconds. Raises UsageError where no network reaches
    the scale, or a quality is asked of a network with one exit.
    """

    def __init__(
        self,
        scale: float | str | Fraction,
        pace: Pace,
        *,
        model: str | Path | None = None,
        engine: str = "auto",
        provider: str | None = None,
        precision: str | None = None,
        threads: int | None = None,
        tell: Tell | None = None,
        size: tuple[int, int] | None = None,
        reuse: bool = True,
        turned: bool = False,
        clock: Callable[[], float] = time.perf_counter_ns,
    ) -> None:
        check_kind(pace, Pace, "the pace", "Pace(deadline=0.016)")
        self.scale, self.pace, self.clock = as_scale(scale), pace, clock
        means = Means(engine, provider, threads, precision)
        check_callable(tell, "tell")
        size = None if size is None else pixels(size)
        network = find_reaching_network(chosen(model, DEFAULT_MODEL), self.scale)
        if network.card.scale < self.scale:
            fitting = (n.card for n in networks().values() if n.card.scale >= self.scale)
            able = {f"{card.arch}-{card.flavour}" for card in fitting if card.exits or pace.deadline}
            other = f"take --model {' or '.join(sorted(able))}, " if able else ""
            raise UsageError(
                f"{network.card.name} does not reach {float(self.scale):g} in one run; {other}"
                f"leave out the deadline or quality, or upscale by {float(network.card.scale):g} at most"
            )
        self._method: _Tiles | _WholeFrames
        if network.card.exits:
            opened = open_ways(network, pace.most(network.card), means, tell, size, turned)
            self._method = _Tiles(pace, opened, reuse, clock)
        elif pace.quality is not None:
            raise no_shares(network.card)
        else:
            self._method = _WholeFrames(network, means, tell, size, clock)
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the engines, and let go of what they hold; what is asked for afterwards is an EngineError."""
        self._closed = True
        self._method.close()

    def _check_open(self) -> None:
        if self._closed:
            raise EngineError("this PacedUpscaler is closed; make another, or close it later")

    @property
    def exits(self) -> tuple[str, ...]:
        """What a tile, or a whole frame, may get, for people; interpolation first."""
        return self._method.exits

    @property
    def engine(self) -> Engine:
        """What runs; of several networks, the largest."""
        return self._method.engine

    def describe(self) -> str:
        """What runs."""
        whole, names = isinstance(self._method, _WholeFrames), " > ".join(self.exits)
        return f"{names if whole else f'{self.engine.card.name}, tile by tile'} ({runtime_of(self.engine)})"

    @property
    def notes(self) -> tuple[str, ...]:
        """What did not go as it should, in lines for people."""
        return self._method.notes

    def frame(self, frame: Frame, width: int, height: int, due_ns: float | None = None) -> tuple[Frame, Spent]:
        """Upscale `frame`, 8-bit 4:2:0, to `width` x `height` until `due_ns`; by default for the pace's deadline.

        Both sides are even, as for `rtsr.Upscaler.frame`; `due_ns` is a time of `clock`. What is made may be taken over
        for the next frame, which is compared with this one. So planes that can be written to are copied, and may be
        changed as soon as this returns; read-only ones, as sources give them, are kept, and must stay as they are. The
        result's planes are read-only: copy what you draw on. Raises ArgumentError, a UsageError and a ValueError, for
        what is no `Frame` or no such size, and EngineError where the run fails, or after `close`.
        """
        self._check_open()
        width, height = frame_size(frame, width, height)
        if due_ns is None:
            due_ns = float("inf") if self.pace.deadline is None else self.clock() + 1e9 * self.pace.deadline
        large, spent = self._method.frame(frame, width, height, due_ns)
        for plane in (large.y, large.u, large.v):
            plane.flags.writeable = False
        return large, spent

    def minimum(self, video: Video, width: int, height: int) -> Minimum:
        """What a frame of `video` takes at least, measured on two of noise; a stream starts anew behind it.

        Raises UsageError where there is no deadline, and so no measured time; EngineError after `close`.
        """
        self._check_open()
        if self.pace.deadline is None:
            raise UsageError("a quality takes the time that it takes; a minimum belongs to a deadline")
        random = np.random.default_rng(0)
        shapes = [(video.height, video.width), *[(-(-video.height // 2), -(-video.width // 2))] * 2]
        y, u, v = (random.integers(16, 236, shape, np.uint8) for shape in shapes)
        noise = Frame(y, u, v, video.colour)
        return min((self._method.minimum(noise, width, height) for _ in range(2)), key=lambda found: found.begin_ns)

    def interpolate(self, frame: Frame, width: int, height: int) -> Frame:
        """The frame without any network, for one that is late; arguments and errors as for `frame`."""
        self._check_open()
        width, height = frame_size(frame, width, height)
        return _interpolated(frame, self._method.scale, width, height)

    def untouched(self, frame: Frame) -> Spent:
        """What a frame counts as that was interpolated."""
        return self._method.untouched(frame)


class _Tiles:
    """Exits that tiles are taken to, of one network or several."""

    def __init__(self, pace: Pace, engine: ExitsEngine, reuse: bool, clock: Callable[[], float]) -> None:
        self.engine = engine
        self.scale, self.quality = engine.card.scale, pace.quality
        with ExitStack() as stack:
            stack.push(engine)
            # Time is kept only where it counts.
            costs = CostModel({}) if pace.deadline is None else calibrate_exits(engine)
            self.refiner = Refiner(engine, clock, costs, reuse)
            stack.pop_all()
        self.fitting = Least()

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(getattr(self.engine, "notes", ()))

    def frame(self, frame: Frame, width: int, height: int, due_ns: float) -> tuple[Frame, Spent]:
        frame = frame.kept() if self.refiner.reuse else frame
        if self.quality is None:
            planes, spent = self.refiner.within(frame, due_ns - self.fitting.ns)
        else:
            planes, spent = self.refiner.share(frame, self.quality)
        began = self.refiner.clock()
        large = fitted(_left(frame), planes, width, height)
        self.fitting.observe(self.refiner.clock() - began)
        return large, spent

    def untouched(self, frame: Frame) -> Spent:
        return self.refiner.untouched(frame)

    def minimum(self, noise: Frame, width: int, height: int) -> Minimum:
        self.frame(noise, width, height, self.refiner.clock())  # Tells what fitting takes.
        self.refiner.forget()
        return Minimum(self.refiner.rehearse(noise) + self.fitting.ns, self.refiner.least_ns())

    @property
    def exits(self) -> tuple[str, ...]:
        return exit_names(self.engine)

    def close(self) -> None:
        self.engine.__exit__(None, None, None)


@dataclass
class _WholeFrames:
    """Networks with one exit, the largest that fits; rung 0 is interpolation."""

    network: Network
    means: Means
    tell: Tell | None
    size: tuple[int, int] | None
    clock: Callable[[], float]
    ladder: Ladder = field(default_factory=Ladder)

    def __post_init__(self) -> None:
        card = self.network.card
        self.scale = card.scale
        names = [*(n.card.name for n in smaller_networks(self.network)), str(self.network.card_path)]
        with ExitStack() as stack:
            self.rungs = [stack.enter_context(self._open(name)) for name in names]
            self.engine = self.rungs[-1].engine
            if self.means.precision == "int8" and not any(IN_8_BITS in name for name in self.exits):
                self.means.open(self.network, self.tell, self.size)  # Says why not.
            self.costs = calibrate_whole([rung.engine for rung in self.rungs])
            stack.pop_all()

    def _open(self, model: str) -> Upscaler:
        """The network `model`; in floats where others are run in 8 bits, and it has no such form."""
        wish = {**asdict(self.means), "tell": self.tell, "size": self.size}
        try:
            return Upscaler(self.scale, model=model, **wish)
        except NoForm:
            return Upscaler(self.scale, model=model, **{**wish, "precision": None})

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
            large = _interpolated(frame, self.scale, width, height)
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
        _interpolated(noise, self.scale, width, height)
        interpolated = self.clock()
        self.rungs[0].frame(noise, width, height)
        self.costs.observe("rung 0", pixels, self.clock() - interpolated)
        return Minimum(interpolated - began, self.costs.cautious_ns("rung 0", pixels))

    @property
    def exits(self) -> tuple[str, ...]:
        return "bicubic", *(_name(rung.engine) for rung in self.rungs)

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


def no_shares(card: Card) -> UsageError:
    """What is wrong with a quality for the network of `card`, which has one exit."""
    able = {
        f"{n.card.arch}-{n.card.flavour}" for n in networks().values() if n.card.exits and n.card.scale >= card.scale
    }
    cure = f"take --model {' or '.join(sorted(able))}" if able else "leave out quality, or take a smaller scale"
    return UsageError(f"{card.name} has one exit: all or nothing; for a share of the compute {cure}")


def _name(engine: Engine) -> str:
    """The network that `engine` runs, and whether in 8 bits, for people."""
    return engine.card.name + (IN_8_BITS if MARK in runtime_of(engine) else "")


def _interpolated(frame: Frame, scale: Fraction, width: int, height: int) -> Frame:
    planes = enlarge((frame.y, frame.u, frame.v), scale, frame.colour.chroma_left)
    return fitted(_left(frame), planes, width, height)


def _left(frame: Frame) -> Frame:
    """What is written is sited as every player assumes it to be."""
    return replace(frame, colour=replace(frame.colour, chroma_left=True))
