"""Threads that refine regions side by side, each with what work costs it.

Where another process has a core, one of them is slow. What it has no time for it leaves to the others.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from functools import cache
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
        self._others = [ThreadPoolExecutor(1, "rtsr") for _ in range(more)]

    def close(self) -> None:
        """Let go of the threads."""
        for other in self._others:
            other.shutdown()

    def run(self, work: Callable[[CostModel], None]) -> None:
        """Let every thread do `work`, with its costs, and wait for all; raises what one of them raises."""
        started = [other.submit(work, costs) for other, costs in zip(self._others, self.costs[1:], strict=True)]
        try:
            work(self.costs[0])
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
        self.left_over: list[CostModel] = []
        """Those that had no time for what was left."""
        self._jobs, self._due_ns, self._clock = jobs, due_ns, clock
        self._pixels = cache(pixels)
        self._present = [(costs, 0.0) for costs in workers.costs]
        """Who may take more, and when what they took will be done."""
        self._lock = Lock()

    def take(self, costs: CostModel) -> Job | None:
        """For the thread of `costs`, the next job that it has time for; None where nothing is left for it, for good.

        Where there is none, another thread does the rest if it will have the time; else the next one, or the last of
        all where another thread has time for the next. Of what would take too long even as expected, or is too large
        for the engine, a half.
        """
        with self._lock:
            others = [each for each in self._present if each[0] is not costs]
            while self._jobs and self._clock() < self._due_ns - costs.reserve_ns:
                place = next((i for i in reversed(range(len(self._jobs))) if self._fits([self._jobs[i]], costs)), None)
                if place is None:
                    if any(self._fits(self._jobs, *other) for other in others):
                        break
                    place = 0 if any(self._fits(self._jobs[-1:], *other) for other in others) else len(self._jobs) - 1
                job = self._jobs.pop(place)
                if not self._halved(job, costs, place):
                    self._present = [*others, (costs, self._end_ns(job, costs))]
                    return job
            self._present = others
            self.left_over += [costs] if self._jobs else []
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

    @property
    def _timed(self) -> bool:
        return self._due_ns < float("inf")

    def _left_ns(self, costs: CostModel, from_ns: float = 0.0) -> float:
        return self._due_ns - costs.reserve_ns - max(self._clock(), from_ns)

    def _end_ns(self, job: Job, costs: CostModel) -> float:
        return self._clock() + (costs.expected_ns(_work(job), self._pixels(job)) if self._timed else 0.0)

    def _fits(self, jobs: list[Job], costs: CostModel, from_ns: float = 0.0) -> bool:
        """Whether the thread of `costs` will hardly be late with `jobs`, begun now, or at `from_ns`."""
        if not self._timed:
            return True
        needed = sum(costs.cautious_ns(_work(job), self._pixels(job)) for job in jobs)
        return needed <= self._left_ns(costs, from_ns)

    def _halved(self, job: Job, costs: CostModel, place: int) -> bool:
        """Put `job` back to its `place` in halves, where it is too long or too large, and has several tiles."""
        region, k = job
        pixels = self._pixels(job)
        large = pixels >= self.room or (self._timed and costs.expected_ns(_work(job), pixels) > self._left_ns(costs))
        if not large or region.rows * region.columns == 1:
            return False
        self._jobs[place:place] = [(half, k) for half in reversed(region.halves())]
        return True


def _work(job: Job) -> str:
    return f"exit {job[1]}"
