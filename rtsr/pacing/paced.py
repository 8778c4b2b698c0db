"""Upscales frames for a time, or for a share of a network's compute, and says what each frame got."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from numbers import Real
from pathlib import Path
from typing import Self

import numpy as np

from rtsr.arguments import check_callable, check_kind, chosen, frame_size, pixels
from rtsr.card import Card
from rtsr.duration import LONGEST, frame_time
from rtsr.engine.base import Engine, ExitsEngine
from rtsr.engine.choice import Means, Tell, runtime_of
from rtsr.errors import EngineError, UsageError
from rtsr.frame import Frame, Video
from rtsr.pacing.anytime import Refiner, Spent
from rtsr.pacing.calibration import calibrate_exits
from rtsr.pacing.deadline import CostModel, Least
from rtsr.pacing.mixed import exit_names, open_ways
from rtsr.pacing.whole import Minimum, WholeFrames, interpolated, left
from rtsr.resources import find_reaching_network, networks
from rtsr.scale import as_scale
from rtsr.upscaler import fitted

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


class PacedUpscaler:
    """Upscales a stream's frames, in order, by `scale` at `pace`.

    A network with several exits is refined tile by tile (`rtsr.pacing.anytime`), and with it all of its family, scale
    and flavour (`rtsr.pacing.mixed`); of others, the best of its flavour that fits runs on whole frames, up to the
    one that was named (`rtsr.pacing.whole`). `model`, `engine`, `provider`, `precision`, `threads` and `tell`
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
        self._method: _Tiles | WholeFrames
        if network.card.exits:
            opened = open_ways(network, pace.most(network.card), means, tell, size, turned)
            self._method = _Tiles(pace, opened, reuse, clock)
        elif pace.quality is not None:
            raise no_shares(network.card)
        else:
            self._method = WholeFrames(network, means, tell, size, clock)
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
        whole, names = isinstance(self._method, WholeFrames), " > ".join(self.exits)
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
        return interpolated(frame, self._method.scale, width, height)

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
        large = fitted(left(frame), planes, width, height)
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
        self.refiner.close()
        self.engine.__exit__(None, None, None)


def no_shares(card: Card) -> UsageError:
    """What is wrong with a quality for the network of `card`, which has one exit."""
    able = {
        f"{n.card.arch}-{n.card.flavour}" for n in networks().values() if n.card.exits and n.card.scale >= card.scale
    }
    cure = f"take --model {' or '.join(sorted(able))}" if able else "leave out quality, or take a smaller scale"
    return UsageError(f"{card.name} has one exit: all or nothing; for a share of the compute {cure}")
