"""Threads that refine regions side by side, each with what work costs it.

Where another process has a core, one of them is slow. What it has no time for it leaves to the others.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from threading import Lock

from rtsr.pacing.deadline import CostModel
from rtsr.regions import Region

EFFICIENCY = 0.9
"""What each thread but one adds to the time of a plan: they do not all end at once."""

Job = tuple[Region, int]
"""A region, and the exit that it is to go to."""


class Workers:
    """The calling thread, whose costs are `costs`, and `more` others, which begin with the same."""

    def __init__(self, costs: CostModel, more: int) -> None:
        self.costs = [costs, *(replace(costs) for _ in range(more))]
        self.working: list[CostModel] = []
        """The costs of those that are at work."""
        self._others = [ThreadPoolExecutor(1, "rtsr") for _ in range(more)]

    def close(self) -> None:
        """Let go of the threads."""
        for other in self._others:
            other.shutdown()

    def run(self, work: Callable[[CostModel], None]) -> None:
        """Let every thread do `work`, with its costs, and wait for all; raises what one of them raises."""
        self.working = list(self.costs)

        def end(costs: CostModel) -> None:
            try:
                work(costs)
            finally:
                self.working = [each for each in self.working if each is not costs]

        started = [other.submit(end, costs) for other, costs in zip(self._others, self.costs[1:], strict=True)]
        try:
            end(self.costs[0])
        finally:
            wait(started)
        for each in started:
            each.result()

    def left_ns(self, due_ns: float, now_ns: float) -> float:
        """Time until `due_ns`, less what is kept back for waits at least."""
        return due_ns - min(costs.reserve_ns for costs in self.costs) - now_ns

    def budget_ns(self, due_ns: float, now_ns: float) -> float:
        """What all of them can do until `due_ns`, in time of the quickest."""
        ahead, quickest = due_ns - now_ns, self.quickest.slowness
        left = [max(ahead - costs.reserve_ns, 0.0) * quickest / costs.slowness for costs in self.costs]
        return max(left) + EFFICIENCY * (sum(left) - max(left))

    @property
    def quickest(self) -> CostModel:
        """The costs of the thread that is the quickest on average."""
        return min(self.costs, key=lambda costs: costs.slowness)

    def cautious_ns(self, work: str, pixels: int) -> float:
        """Time that `work` will rarely exceed in one of the threads."""
        return min(costs.cautious_ns(work, pixels) for costs in self.costs)


class Queue:
    """`jobs` that several of the `workers` take from, the last first, until `due_ns` of `clock`.

    `pixels` tells how much of a frame the network sees for a job; `room` is what the engine has memory for.
    """

    def __init__(
        self,
        jobs: list[Job],
        workers: Workers,
        due_ns: float,
        clock: Callable[[], float],
        pixels: Callable[[Job], int],
        room: float,
    ) -> None:
        self.room = room
        self._jobs, self._workers, self._due_ns, self._clock, self._pixels = jobs, workers, due_ns, clock, pixels
        self._lock = Lock()

    def take(self, costs: CostModel) -> Job | None:
        """For the thread of `costs`, the next job that it has time for.

        Where there is none, the next one, if no other thread has time for that either, and of one that it has no time
        for even as expected, or that is too large for the engine, a half. None where nothing is left for it.
        """
        with self._lock:
            while self._jobs and self._clock() < self._due_ns - costs.reserve_ns:
                place = next((i for i in reversed(range(len(self._jobs))) if self._fits(self._jobs[i], costs)), None)
                if place is None and any(
                    self._fits(self._jobs[-1], other) for other in self._workers.working if other is not costs
                ):
                    return None
                job = self._jobs.pop(-1 if place is None else place)
                if not self._halved(job, costs):
                    return job
        return None

    def put_back(self, job: Job) -> None:
        """The engine had no memory for `job`: halves of it are for whoever takes them."""
        with self._lock:
            self.room = min(self.room, self._pixels(job))
            self._jobs.append(job)

    def clear(self) -> None:
        """Let nobody take anything any more."""
        with self._lock:
            self._jobs.clear()

    def _left_ns(self, costs: CostModel) -> float:
        return self._due_ns - costs.reserve_ns - self._clock()

    def _fits(self, job: Job, costs: CostModel) -> bool:
        """Whether the thread of `costs` will hardly be late with `job`, begun now."""
        return self._due_ns == float("inf") or costs.cautious_ns(_work(job), self._pixels(job)) <= self._left_ns(costs)

    def _halved(self, job: Job, costs: CostModel) -> bool:
        """Put `job` back in halves, where it is too long or too large, and has several tiles."""
        region, k = job
        pixels, timed = self._pixels(job), self._due_ns < float("inf")
        large = pixels >= self.room or (timed and costs.expected_ns(_work(job), pixels) > self._left_ns(costs))
        if not large or region.rows * region.columns == 1:
            return False
        self._jobs += [(half, k) for half in reversed(region.halves())]
        return True


def _work(job: Job) -> str:
    return f"exit {job[1]}"
