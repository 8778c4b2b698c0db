"""Frames made in their time, or treated as late ones are, and every one of them accounted for."""

from dataclasses import dataclass, replace
from math import ceil

from rtsr.arguments import check_kind
from rtsr.duration import as_seconds
from rtsr.errors import UsageError
from rtsr.frame import Frame, Video
from rtsr.pacing.deadline import Late, Least, Treatment, treat
from rtsr.pacing.liveclock import LiveClock
from rtsr.pacing.paced import PacedUpscaler
from rtsr.pacing.spending import Spending
from rtsr.pacing.whole import Minimum


@dataclass(frozen=True, slots=True)
class Live:
    """How a live input is kept up with; times in seconds, also given as text such as "200ms".

    Raises UsageError for what is no duration above 0 and up to an hour.
    """

    latency: float = 0.2
    """How long after its time a frame may be upscaled."""
    stall: float = 10.0
    """The input is given up when nothing came for this long."""
    realtime: bool = False
    """Play a file at its own pace, as if it were live."""

    def __post_init__(self) -> None:
        for name in ("latency", "stall"):
            object.__setattr__(self, name, as_seconds(getattr(self, name)))
        check_kind(self.realtime, bool, "realtime", "True or False")


class Delivery:
    """Upscales the frames of `source` with `upscaler` to the size of `large`, in time, and counts in `spending`.

    Without `live`, every frame has `deadline` seconds from when it is taken, or where that is None all the time that
    it wants. With it, frames are due at their timestamps plus a latency, and get no more than `deadline`; `follows`
    says that they arrive at their sender's pace, however quickly they are read. Each method is for one thread:
    `arrived` is called by the one that decodes, `make` by the one that upscales, `written` by the one that encodes.
    """

    def __init__(
        self,
        upscaler: PacedUpscaler,
        source: Video,
        large: Video,
        deadline: float | None,
        late: Late,
        spending: Spending,
        live: Live | None = None,
        follows: bool = False,
    ) -> None:
        self.upscaler, self.late, self.spending, self.live, self.follows = upscaler, late, spending, live, follows
        self._source, self._base = source, source.time_base
        self._size = large.width, large.height
        self.deadline = deadline
        self._budget_ns = float("inf") if deadline is None else 1e9 * deadline
        self._clock: LiveClock | None = None
        self._later_ns = 0.0
        self._last: Frame | None = None
        self.least = Least()

    def arrived(self, frame: Frame, waited: float = 0.0) -> None:
        """Take note of a frame of a live stream that was just decoded, and was `waited` for, in seconds."""
        if self.live is None:
            return
        now, pts_s = self.upscaler.clock(), self._seconds(frame)
        if self._clock is None:
            self._clock = LiveClock.start(now, pts_s, 1e9 * self.live.latency, self.follows)
        else:
            self._clock = self._clock.heard(pts_s, now, 1e9 * waited)
            self._later_ns = max(self._later_ns, self._clock.later_ns)

    def make(self, frame: Frame) -> Frame | None:
        """The frame upscaled, or what stands for it; None where it is dropped, which the first never is."""
        now = self.upscaler.clock()
        due_ns, until_ns, hopeless_ns = self._times(frame, now)
        how = treat(self.late, now, due_ns, self.least.ns, hopeless_ns)
        if self._last is None and how in (Treatment.REPEAT, Treatment.DROP):
            how = Treatment.INTERPOLATE
        large, how = self._made(how, frame, until_ns)
        self.spending.count(how, self.upscaler.clock() - due_ns)
        self._last = large or self._last
        return large

    def written(self, frame: Frame) -> None:
        """Take note of how late a frame of a live stream was handed to the encoder."""
        if self._clock is not None:
            latency_ns = self.upscaler.clock() - self._clock.shown_ns(self._seconds(frame))
            self.spending.latency.append(latency_ns / 1e9)

    def summary(self) -> dict[str, object]:
        """What was spent, as plain figures for a report."""
        return self.spending.summary(self.deadline, self.upscaler.exits)

    def notes(self) -> tuple[str, ...]:
        """What did not go as it should, in lines for people, when all frames are through."""
        notes = []
        if self._clock is not None and self._later_ns > self._clock.latency_ns:
            notes.append(
                f"pictures came up to {self._later_ns / 1e9:.1f} s later than at first; the output follows them"
            )
        frames, spending = sum(self.spending.frames.values()), self.spending
        if frames and self.deadline is not None and not spending.frames[Treatment.REFINE] and not spending.reused:
            notes += self._nothing_refined(self.deadline)
        return tuple(notes)

    def _nothing_refined(self, deadline: float) -> list[str]:
        """Why no frame got anything from the network, and what to do; empty where there was nothing for it to do."""
        half = float("inf") if self.live is None else self.live.latency / 2
        room, longer = min((deadline, "a longer deadline"), (half, "more --latency"))
        least = self.upscaler.minimum(self._source, *self._size)
        if least.seconds <= room and not self.spending.misses:
            return []
        busy = ", and the machine was busier than that" if least.seconds <= room else ""
        return [
            f"no frame got anything from the network within {1000 * room:.3g} ms: {_in_words(least)}{busy}; "
            f"give {longer} or a smaller scale"
        ]

    def _times(self, frame: Frame, now: float) -> tuple[float, float, float]:
        """When `frame` is due, until when it is worked on, and how overdue it is dropped in any case."""
        if self._clock is None:
            return now + self._budget_ns, now + self._budget_ns, float("inf")
        pts_s = self._seconds(frame)
        until_ns = self._clock.target_ns(pts_s, now, self._budget_ns)
        return self._clock.due_ns(pts_s), until_ns, self._clock.latency_ns

    def _made(self, how: Treatment, frame: Frame, until_ns: float) -> tuple[Frame | None, Treatment]:
        """What becomes of `frame`, and how it was made in the end: refined where a network did any of it."""
        if how is Treatment.REFINE:
            large, spent = self.upscaler.frame(frame, *self._size, until_ns)
            self.spending.add(spent)
            if spent.begin_ns == spent.begin_ns:  # Not a number where nothing was to be interpolated.
                self.least.observe(spent.begin_ns)
            return large, how if spent.tiles[1:].any() else Treatment.INTERPOLATE
        self.least.fade()
        if how is Treatment.INTERPOLATE:
            self.spending.add(self.upscaler.untouched(frame))
            return self.upscaler.interpolate(frame, *self._size), how
        if how is Treatment.DROP or self._last is None:
            return None, Treatment.DROP
        return replace(self._last, pts=frame.pts, duration=frame.duration), how

    def _seconds(self, frame: Frame) -> float:
        return float(frame.pts * self._base)


def check_possible(upscaler: PacedUpscaler, source: Video, large: Video, deadline: float) -> None:
    """Raise UsageError where no frame of `source` gets anything from the network within `deadline` seconds here."""
    least = upscaler.minimum(source, large.width, large.height)
    if least.seconds > deadline:
        raise UsageError(
            f"{1000 * deadline:.3g} ms is too little for {source.width}x{source.height} to "
            f"{large.width}x{large.height} here: {_in_words(least)}; "
            f"give --deadline {ceil(1200 * least.seconds)}ms or more, "
            "or take frames without the network with --late degrade"
        )


def _in_words(least: Minimum) -> str:
    begin_ms, network_ms = least.begin_ns / 1e6, least.network_ns / 1e6
    return f"interpolating takes {begin_ms:.1f} ms, the least of a network {network_ms:.1f} ms more"
