"""Several frames under way on one GPU: while one is computed, the next is uploaded and the last downloaded.

A lane has an execution context, pinned buffers and buffers on the GPU; three streams, one each for uploading,
computing and downloading, are shared by all lanes. Events order what belongs together:

    upload stream    | up 1 | up 2 | up 3 |
    compute stream          | run 1 | run 2 | run 3 |
    download stream                 | down 1 | down 2 | down 3 |

A lane takes its next frame when the last one was downloaded, so nothing on the GPU or in pinned memory is written
while somebody reads it. Nothing is freed before the streams are through with it.
"""

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rtsr.errors import EngineError
from rtsr.nvidia.buffers import Buffer, Pinned
from rtsr.nvidia.cuda import Driver, OutOfGpuMemory, in_mib
from rtsr.nvidia.plan import Context, Plan, Shape, bytes_of, shapes_of

LANES = 3
"""One frame in each stream."""

Arrays = tuple[NDArray, ...]


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
        self._idle: list[_Lane] = []
        self._busy: deque[tuple[_Lane, Ticket]] = deque()
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

    def submit(self, *arrays: NDArray) -> Ticket:
        """Start on `arrays`, one for each input; where all lanes are busy, the oldest frame is waited for.

        The arrays may be changed as soon as this returns. Raises EngineError where the plan was not built for their
        shapes or the GPU fails, `OutOfGpuMemory` where they are too large for the only lane that is left.
        """
        self._use()
        shapes = shapes_of(arrays)
        self.plan.check(shapes)
        while True:
            lane = self._take(shapes)
            try:
                lane.reshape(shapes)
                lane.start(arrays)
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
                self._idle.append(_Lane(self.driver, self.plan, *self._streams))
            except OutOfGpuMemory as full:
                if n == 0:
                    raise
                self._note(_fewer(self.plan, n, full))
                return

    def _take(self, shapes: tuple[Shape, ...]) -> "_Lane":
        """An idle lane, rather one that had these shapes before; waits for the oldest frame where there is none."""
        if not self._idle:
            self._finish()
        lane = next((lane for lane in self._idle if lane.shapes == shapes), self._idle[0])
        self._idle.remove(lane)
        return lane

    def _put_back(self, lane: "_Lane", failure: BaseException) -> None:
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


class _Lane:
    """A context, its buffers, and the events between the streams; `shapes` are the inputs' that they are ready for."""

    def __init__(self, driver: Driver, plan: Plan, up: int, compute: int, down: int) -> None:
        self.driver, self.plan = driver, plan
        self._up, self._compute, self._down = up, compute, down
        self.shapes: tuple[Shape, ...] = ()
        self._outputs: tuple[Shape, ...] = ()
        self._staged = [Pinned(driver) for _ in plan.inputs]
        self._inputs = [Buffer(driver) for _ in plan.inputs]
        self._results = [Buffer(driver) for _ in plan.outputs]
        self._landed = [Pinned(driver) for _ in plan.outputs]
        self._scratch = Buffer(driver)
        self._graph: int | None = None
        self._warm = self._captures = False
        self._events: list[int] = []
        self._context: Context = plan.context()
        try:
            for _ in range(3):
                self._events.append(driver.create_event())
        except BaseException:
            self.close()
            raise

    def reshape(self, shapes: tuple[Shape, ...]) -> None:
        """Be ready for inputs of `shapes`; nothing of this lane may be under way."""
        if shapes == self.shapes:
            return
        self._forget()
        self._outputs, scratch = self._context.reshape(shapes)
        inputs = [bytes_of(shape, tensor.dtype) for shape, tensor in zip(shapes, self.plan.inputs, strict=True)]
        outputs = [bytes_of(s, tensor.dtype) for s, tensor in zip(self._outputs, self.plan.outputs, strict=True)]
        for buffers, sizes in (
            ([self._scratch], [scratch]),
            (self._inputs, inputs),
            (self._results, outputs),
            (self._staged, inputs),
            (self._landed, outputs),
        ):
            for buffer, size in zip(buffers, sizes, strict=True):
                buffer.grow(size)
        self._context.bind(
            [buffer.address for buffer in self._inputs],
            [buffer.address for buffer in self._results],
            self._scratch.address,
            self._scratch.size,
        )
        self._captures, self.shapes = True, shapes

    def start(self, arrays: Arrays) -> None:
        """Queue upload, run and download of `arrays`."""
        uploaded, computed, downloaded = self._events
        for staged, device, tensor, array in zip(self._staged, self._inputs, self.plan.inputs, arrays, strict=True):
            staged.write(np.asarray(array, tensor.dtype))
            self.driver.upload(device.address, staged.address, bytes_of(array.shape, tensor.dtype), self._up)
        self.driver.record(uploaded, self._up)
        self.driver.wait(self._compute, uploaded)
        self._run()
        self.driver.record(computed, self._compute)
        self.driver.wait(self._down, computed)
        for landed, device, shape, tensor in self._ends():
            self.driver.download(landed.address, device.address, bytes_of(shape, tensor.dtype), self._down)
        self.driver.record(downloaded, self._down)

    def results(self) -> Arrays:
        """The outputs of what was started last, when they are there."""
        self.driver.synchronize_event(self._events[2])
        return tuple(landed.read(shape, tensor.dtype) for landed, _, shape, tensor in self._ends())

    def release(self) -> None:
        """Free the buffers; nothing of this lane may be under way."""
        self._forget()
        for buffer in (*self._inputs, *self._results, *self._staged, *self._landed, self._scratch):
            with suppress(EngineError):
                buffer.release()

    def close(self) -> None:
        """Free everything; nothing of this lane may be under way."""
        self.release()
        for event in self._events:
            with suppress(EngineError):
                self.driver.destroy_event(event)
        self._events.clear()
        self._context.close()

    def _run(self) -> None:
        """Let the compute stream run the network: by its graph, captured when a shape comes for the second time.

        TensorRT prepares for a new shape in its first run, which therefore cannot be captured.
        """
        if self._graph is None and self._warm and self._captures:
            self._captures = self._context.capturable(self._compute)
            if self._captures:
                self._graph = self._captured()
                self._captures = self._graph is not None
        if self._graph is not None:
            self.driver.launch(self._graph, self._compute)
        else:
            self._context.enqueue(self._compute)
            self._warm = True

    def _captured(self) -> int | None:
        """A graph of one run; None where the network does things that cannot be in one."""
        enqueued, graph = False, None
        self.driver.begin_capture(self._compute)
        try:
            self._context.enqueue(self._compute)
            enqueued = True
        except EngineError:
            pass  # If the reason is another, the run that is not captured raises it.
        finally:
            with suppress(EngineError):
                graph = self.driver.end_capture(self._compute)
        if graph is not None and not enqueued:
            self.driver.destroy_graph(graph)
        return graph if enqueued else None

    def _forget(self) -> None:
        """Drop what holds for one shape only."""
        graph, self._graph = self._graph, None
        self.shapes, self._warm, self._captures = (), False, False
        if graph is not None:
            with suppress(EngineError):
                self.driver.destroy_graph(graph)

    def _ends(self) -> Any:
        return zip(self._landed, self._results, self._outputs, self.plan.outputs, strict=True)


def _fewer(plan: Plan, count: int, full: OutOfGpuMemory) -> str:
    wanted = f"{in_mib(full.wanted)} more wanted, " if full.wanted else ""
    return (
        f"{plan.name}: GPU memory is short ({wanted}{in_mib(full.free)} of {in_mib(full.total)} free), "
        f"so {count} instead of {count + 1} frames are under way at a time"
    )
