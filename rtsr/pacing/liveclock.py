"""When frames of a live input are due: a clock that follows its sender. Pure: what time it is, is an argument."""

from dataclasses import dataclass, replace

WINDOW_NS = 1e9
"""How long every frame must have come late before it is the sender that is late, and not the way."""
WAITED = 0.25
"""Share of a window that must have been spent waiting for the sender; a reader that fell behind hardly waits."""


@dataclass(frozen=True, slots=True)
class LiveClock:
    """When the frames of a live input are due: at their timestamps, counted from the first, plus a latency.

    It follows the quickest frames of each window of about a second. One that is quicker than the clock sets it back
    at once; where all of a window were late, it moves on to the quickest of them: the sender paused, the way became
    longer, or its clock is slow. What came late only because it was taken late, with a queue full of what came before,
    says nothing of the sender, or latency would grow with every delay of ours: a window counts where there was time
    to wait for frames.
    """

    began_ns: float
    """When the first frame arrived, or would have, had it been as quick as frames are now."""
    first_pts_s: float
    latency_ns: float
    floor_ns: float = float("-inf")
    """`began_ns` gets no earlier than this."""
    earliest_ns: float = float("inf")
    """The least that `began_ns` was before."""
    window_ns: float | None = None
    """When the first frame of this window arrived; None between two windows."""
    quickest_ns: float = float("inf")
    """The least `began_ns` by the frames of this window."""
    waited_ns: float = 0.0
    """How long its frames were waited for, the first left out."""

    @classmethod
    def start(cls, now_ns: float, pts_s: float, latency_ns: float, follows: bool) -> "LiveClock":
        """The clock at the first frame.

        `follows`: frames arrive at their sender's pace, the first of them late, since it waited while the stream was
        probed. Else they may be read ahead of their time, and would make the clock run away: it gets no earlier.
        """
        return cls(now_ns, pts_s, latency_ns, float("-inf") if follows else now_ns, now_ns)

    def shown_ns(self, pts_s: float) -> float:
        """When a frame belongs, with no latency."""
        return self.began_ns + (pts_s - self.first_pts_s) * 1e9

    def due_ns(self, pts_s: float) -> float:
        return self.shown_ns(pts_s) + self.latency_ns

    def target_ns(self, pts_s: float, now_ns: float, budget_ns: float) -> float:
        """Until when a frame is worked on: for its budget, but not into the second half of the latency.

        That half is for what cannot be foreseen; a stream that fell behind catches up, since its frames get less.
        """
        return min(now_ns + budget_ns, self.due_ns(pts_s) - self.latency_ns / 2)

    @property
    def later_ns(self) -> float:
        """How much later than at its earliest it is."""
        return max(self.began_ns - self.earliest_ns, 0.0)

    def heard(self, pts_s: float, now_ns: float, waited_ns: float) -> "LiveClock":
        """The clock after a frame arrived at `now_ns`, for which its reader had nothing to do for `waited_ns`."""
        found = now_ns - (pts_s - self.first_pts_s) * 1e9
        began = max(min(self.began_ns, found), self.floor_ns)
        clock = replace(self, began_ns=began, earliest_ns=min(self.earliest_ns, began))
        if self.window_ns is None:
            return replace(clock, window_ns=now_ns, quickest_ns=found, waited_ns=0.0)
        quickest, waited = min(self.quickest_ns, found), self.waited_ns + waited_ns
        took = now_ns - self.window_ns
        if took < WINDOW_NS:
            return replace(clock, quickest_ns=quickest, waited_ns=waited)
        sure = waited >= WAITED * took
        return replace(clock, began_ns=max(began, quickest) if sure else began, window_ns=None)
