"""A frame's way through the GPU: a context, buffers there and in pinned memory, and events between three streams."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtsr.errors import EngineError
from rtsr.frame import GpuPlane
from rtsr.nvidia.buffers import Buffer, Pinned
from rtsr.nvidia.cuda import FFMPEG_STREAM, Driver
from rtsr.nvidia.plan import Context, Plan, Shape, bytes_of

Arrays = tuple[NDArray, ...]


class Lane:
    """One frame at a time, uploaded by the stream `up`, run by `compute`, and downloaded by `down`.

    What is on the GPU already, or is to stay there, is copied in the same streams. `shapes` are those of the inputs
    that this is ready for.
    """

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
        self._warm = self._captures = self._stays = False
        self._holds: object = None
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

    def start(self, arrays: Sequence[NDArray | GpuPlane], into: Sequence[GpuPlane] = (), holds: object = None) -> None:
        """Queue upload, run and download of `arrays`, or with `into` a copy to there instead of the download.

        `holds` is held until all of it is done: whatever the memory of planes belongs to.
        """
        if into and tuple(plane.shape for plane in into) != self._outputs:
            raise EngineError(f"{self.plan.name}: its output has another size than where it is to go")
        self._holds, self._stays = holds, bool(into)
        uploaded, computed, downloaded = self._events
        if any(isinstance(array, GpuPlane) for array in arrays):
            # What FFmpeg has queued for this frame, it queued before it gave the frame away.
            self.driver.record(uploaded, FFMPEG_STREAM)
            self.driver.wait(self._up, uploaded)
        for staged, device, tensor, array in zip(self._staged, self._inputs, self.plan.inputs, arrays, strict=True):
            if isinstance(array, GpuPlane):
                width = array.columns
                self.driver.copy_rows(device.address, width, array.address, array.pitch, width, array.rows, self._up)
            else:
                staged.write(np.asarray(array, tensor.dtype))
                self.driver.upload(device.address, staged.address, bytes_of(array.shape, tensor.dtype), self._up)
        self.driver.record(uploaded, self._up)
        self.driver.wait(self._compute, uploaded)
        self._run()
        self.driver.record(computed, self._compute)
        self.driver.wait(self._down, computed)
        for plane, (_, device, _, _) in zip(into, self._ends(), strict=False):
            width = plane.columns
            self.driver.copy_rows(plane.address, plane.pitch, device.address, width, width, plane.rows, self._down)
        for landed, device, shape, tensor in () if into else self._ends():
            self.driver.download(landed.address, device.address, bytes_of(shape, tensor.dtype), self._down)
        self.driver.record(downloaded, self._down)

    def results(self) -> Arrays:
        """The outputs of what was started last, when they are there; none where they went to planes."""
        try:
            self.driver.synchronize_event(self._events[2])
            if self._stays:
                return ()
            return tuple(landed.read(shape, tensor.dtype) for landed, _, shape, tensor in self._ends())
        finally:
            self._holds = None

    def release(self) -> None:
        """Free the buffers; nothing of this lane may be under way."""
        self._holds = None
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
