"""Threads that work side by side, each with what work costs it: where another process has a core, one is slower."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from threading import Lock

from rtsr.pacing.deadline import CostModel

EVEN = 0.9
"""What each thread but the first adds to the time of a plan: they do not all end at once."""


class Workers:
    """The calling thread, whose costs are `costs`, and `more` others, which begin with the same."""

    def __init__(self, costs: CostModel, more: int) -> None:
        self.costs = [costs, *(replace(costs) for _ in range(more))]
        self.lock = Lock()
        """To be held while what they share is read or changed."""
        self._others = [ThreadPoolExecutor(1) for _ in range(more)]

    def close(self) -> None:
        """Let go of the threads."""
        for other in self._others:
            other.shutdown()

    def run(self, work: Callable[[CostModel], None], most: int) -> None:
        """Let at most `most` threads do `work`, each with its costs, and wait for them; raises what it raises."""
        spare = zip(self._others, self.costs[1:], range(most - 1), strict=False)
        started = [other.submit(work, costs) for other, costs, _ in spare]
        try:
            work(self.costs[0])
        finally:
            wait(started)
        for each in started:
            each.result()

    def budget_ns(self, alone_ns: float) -> float:
        """What all of them can do, in time of the calling thread, while that has `alone_ns`."""
        first, *others = self.costs
        left = alone_ns + first.reserve_ns
        return alone_ns + EVEN * sum(max(left - o.reserve_ns, 0.0) * first.slowness / o.slowness for o in others)

    def has_time(self, costs: CostModel, work: str, pixels: int, left_ns: float) -> bool:
        """Whether the thread of `costs` is to do `work`: it will hardly be late, or no other is quicker."""
        return costs.cautious_ns(work, pixels) <= left_ns or costs is min(
            self.costs, key=lambda each: each.cautious_ns(work, pixels)
        )

    def relax(self) -> None:
        """As `CostModel.relax`, for all."""
        for costs in self.costs:
            costs.relax()
