"""Several frames under way on one GPU: while one is computed, the next is uploaded and the last downloaded.

A lane has an execution context, pinned buffers and buffers on the GPU; three streams, one each for uploading,
computing and downloading, are shared by all lanes. Events order what belongs together:

    upload stream    | up 1 | up 2 | up 3 |
    compute stream          | run 1 | run 2 | run 3 |
    download stream                 | down 1 | down 2 | down 3 |

A lane takes its next frame when the last one was downloaded, so nothing on the GPU or in pinned memory is written
while somebody reads it. Nothing is freed before the streams are through with it.

Frames that a decoder left on the GPU are copied instead of uploaded, and frames that go to an encoder there instead of
downloaded (`rtsr.nvidia.nv12`).
"""

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Self

from numpy.typing import NDArray

from rtsr.errors import EngineError
from rtsr.frame import GpuPlane
from rtsr.nvidia.cuda import Driver, OutOfGpuMemory, in_mib
from rtsr.nvidia.lane import Arrays, Lane
from rtsr.nvidia.plan import Plan, Shape, shapes_of

LANES = 3
"""One frame in each stream."""


class Ticket:
    """A frame under way, to be collected; then its results, or the error that it ended with."""

    def __init__(self, results: Arrays | None = None) -> None:
        self.results = results
        self.error: EngineError | None = None


class Lanes:
    """Runs `plan` on GPU `device`, up to `count` frames under way at a time; for one thread at a time.

    Where memory is too little for all lanes, there are fewer, and `note` is told so. Use it as a context manager, or
    call `close`. Raises EngineError; `OutOfGpuMemory` where not even one lane fits.
    """

    def __init__(
        self, driver: Driver, plan: Plan, device: int = 0, count: int = LANES, note: Callable[[str], None] = print
    ) -> None:
        self.driver, self.plan, self.device, self._note = driver, plan, device, note
        self._streams: list[int] = []
        self._idle: list[Lane] = []
        self._busy: deque[tuple[Lane, Ticket]] = deque()
        self._closed = False
        driver.use(device)
        try:
            for _ in range(3):
                self._streams.append(driver.create_stream())
            self._open(count)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def count(self) -> int:
        """Frames that may be under way."""
        return len(self._idle) + len(self._busy)

    def submit(self, *arrays: NDArray | GpuPlane, into: Sequence[GpuPlane] = (), holds: object = None) -> Ticket:
        """Start on `arrays`, one for each input; where all lanes are busy, the oldest frame is waited for.

        The arrays may be changed as soon as this returns; planes on the GPU, and those that the outputs are to go
        `into`, have to stay until the frame is done: `holds` is held for as long. With `into`, `collect` gives no
        arrays. Raises EngineError where the plan was not built for their
        shapes or the GPU fails, `OutOfGpuMemory` where they are too large for the only lane that is left.
        """
        self._use()
        shapes = shapes_of(arrays)
        self.plan.check(shapes)
        while True:
            lane = self._take(shapes)
            try:
                lane.reshape(shapes)
                lane.start(arrays, into, holds)
            except BaseException as failure:
                self._drain()
                self._put_back(lane, failure)
            else:
                ticket = Ticket()
                self._busy.append((lane, ticket))
                return ticket

    def collect(self, ticket: Ticket) -> Arrays:
        """The outputs for what `ticket` was given for; frames before it are waited for, and kept in their tickets.

        Raises EngineError where that run failed, or was not done when the lanes were closed.
        """
        if ticket.results is None and ticket.error is None:
            self._use()
        while ticket.results is None and ticket.error is None and self._busy:
            self._finish()
        if ticket.error is not None:
            raise ticket.error
        if ticket.results is None:
            raise EngineError(f"{self.plan.name}: the frame belongs to other lanes")
        return ticket.results

    def close(self) -> None:
        """Wait for what is under way and free everything, in any state; tickets not collected yet are lost."""
        if self._closed:
            return
        self._closed = True
        # What fails from here on failed before, where it was raised; memory that a dead GPU does not take back is
        # given back with the process.
        with suppress(EngineError):
            self.driver.use(self.device)
        self._drain()
        for lane, ticket in self._busy:
            ticket.error = EngineError(f"{self.plan.name}: closed before the frame was collected")
            self._idle.append(lane)
        self._busy.clear()
        for lane in self._idle:
            lane.close()
        self._idle.clear()
        for stream in self._streams:
            with suppress(EngineError):
                self.driver.destroy_stream(stream)
        self._streams.clear()

    def _use(self) -> None:
        if self._closed:
            raise EngineError(f"{self.plan.name} is closed")
        self.driver.use(self.device)  # Threads have a device each.

    def _open(self, count: int) -> None:
        for n in range(count):
            try:
                self._idle.append(Lane(self.driver, self.plan, *self._streams))
            except OutOfGpuMemory as full:
                if n == 0:
                    raise
                self._note(_fewer(self.plan, n, full))
                return

    def _take(self, shapes: tuple[Shape, ...]) -> Lane:
        """An idle lane, rather one that had these shapes before; waits for the oldest frame where there is none."""
        if not self._idle:
            self._finish()
        lane = next((lane for lane in self._idle if lane.shapes == shapes), self._idle[0])
        self._idle.remove(lane)
        return lane

    def _put_back(self, lane: Lane, failure: BaseException) -> None:
        """Do without `lane` where memory is too little for it and there are others; else raise `failure`."""
        if isinstance(failure, OutOfGpuMemory) and self.count:
            lane.close()
            self._note(_fewer(self.plan, self.count, failure))
            return
        lane.release()
        self._idle.append(lane)
        raise failure

    def _finish(self) -> None:
        """Wait for the oldest frame, and let its lane go."""
        lane, ticket = self._busy.popleft()
        try:
            ticket.results = lane.results()
        except EngineError as error:
            ticket.error = error
        finally:
            self._idle.append(lane)

    def _drain(self) -> None:
        """Wait until no stream has anything to do; errors are raised where results are asked for."""
        for stream in self._streams:
            with suppress(EngineError):
                self.driver.synchronize(stream)


def _fewer(plan: Plan, count: int, full: OutOfGpuMemory) -> str:
    wanted = f"{in_mib(full.wanted)} more wanted, " if full.wanted else ""
    return (
        f"{plan.name}: GPU memory is short ({wanted}{in_mib(full.free)} of {in_mib(full.total)} free), "
        f"so {count} instead of {count + 1} frames are under way at a time"
    )
