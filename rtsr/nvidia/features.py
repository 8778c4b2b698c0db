"""Parts of a network run one after the other, what goes from one to the next staying in the GPU's memory."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Self

import numpy as np
from numpy.typing import NDArray

from rtsr.errors import EngineError
from rtsr.nvidia.buffers import Buffer, Pinned
from rtsr.nvidia.cuda import Driver
from rtsr.nvidia.plan import Context, Plan, Shape, bytes_of


class DeviceArray:
    """An array in the GPU's memory, which is given back when nobody holds it any more, or the bench is closed."""

    def __init__(self, bench: "Bench", shape: Shape, dtype: np.dtype) -> None:
        self.shape, self.dtype = shape, dtype
        self._bench = bench
        self._address = 0
        self._address = bench._take(bytes_of(shape, dtype))

    def __del__(self) -> None:
        self._bench._give_back(self._address)

    @property
    def address(self) -> int:
        """Where it is; raises EngineError where that is no longer so."""
        if not self._bench.holds(self._address):
            raise EngineError("these features were let go with their engine; upscale the frame again")
        return self._address


class Part:
    """A plan that a `Bench` runs, on arrays of any shape that it was built for."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.context: Context = plan.context()
        self._shapes: tuple[Shape, ...] = ()
        self._ready: tuple[tuple[Shape, ...], int] = ((), 0)

    def reshape(self, shapes: tuple[Shape, ...]) -> tuple[tuple[Shape, ...], int]:
        """As `Context.reshape`."""
        if shapes != self._shapes:
            self._shapes = ()
            self._ready = self.context.reshape(shapes)
            self._shapes = shapes
        return self._ready

    def close(self) -> None:
        """Let go of the context, before the plan is; none of its runs may be under way."""
        self.context.close()


class Bench:
    """One stream of GPU `device`, and the memory that parts work in; for one thread at a time.

    Everything that returns has been done: callers read clocks before and after. Use it as a context manager, or call
    `close`. Raises EngineError, `OutOfGpuMemory` where memory is too little; nothing is lost by that but the result.
    """

    def __init__(self, driver: Driver, device: int = 0) -> None:
        self.driver, self.device = driver, device
        self._held: set[int] = set()
        driver.use(device)
        self._stream = driver.create_stream()
        self._scratch = _Pooled(driver, self._stream)
        self._staged, self._landed = Pinned(driver), Pinned(driver)
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def upload(self, array: NDArray, dtype: np.dtype) -> DeviceArray:
        """`array` in the GPU's memory, as `dtype`."""
        self._use()
        made = DeviceArray(self, array.shape, dtype)
        size = bytes_of(array.shape, dtype)
        self._staged.grow(size)
        self._staged.write(array.astype(dtype, copy=False))
        self.driver.upload(made.address, self._staged.address, size, self._stream)
        self.driver.synchronize(self._stream)
        return made

    def download(self, array: DeviceArray) -> NDArray:
        """What is in `array`."""
        self._use()
        size = bytes_of(array.shape, array.dtype)
        self._landed.grow(size)
        self.driver.download(self._landed.address, array.address, size, self._stream)
        self.driver.synchronize(self._stream)
        return self._landed.read(array.shape, array.dtype)

    def run(self, part: Part, inputs: Sequence[DeviceArray]) -> tuple[DeviceArray, ...]:
        """The outputs of `part` for `inputs`."""
        self._use()
        if [array.dtype for array in inputs] != [tensor.dtype for tensor in part.plan.inputs]:
            raise EngineError(f"{part.plan.name}: these features are of another stage, or of another precision")
        shapes, scratch = part.reshape(tuple(array.shape for array in inputs))
        self._scratch.grow(scratch)
        outputs = tuple(
            DeviceArray(self, shape, tensor.dtype) for shape, tensor in zip(shapes, part.plan.outputs, strict=True)
        )
        part.context.bind(
            [array.address for array in inputs],
            [array.address for array in outputs],
            self._scratch.address,
            self._scratch.size,
        )
        part.context.enqueue(self._stream)
        self.driver.synchronize(self._stream)
        return outputs

    def holds(self, address: int) -> bool:
        """Whether memory at `address` belongs to an array that is still there."""
        return address in self._held

    def close(self) -> None:
        """Wait for what is under way and free everything, arrays that somebody still holds included."""
        if self._closed:
            return
        self._closed = True
        # As for lanes: what fails here failed before, where it was raised.
        with suppress(EngineError):
            self.driver.use(self.device)
        with suppress(EngineError):
            self.driver.synchronize(self._stream)
        for address in tuple(self._held):
            self._give_back(address)
        for buffer in (self._scratch, self._staged, self._landed):
            with suppress(EngineError):
                buffer.release()
        with suppress(EngineError):
            self.driver.synchronize(self._stream)
        with suppress(EngineError):
            self.driver.destroy_stream(self._stream)

    def _take(self, size: int) -> int:
        address = self.driver.malloc_async(size, self._stream)
        self._held.add(address)
        return address

    def _give_back(self, address: int) -> None:
        """Free memory behind all that uses it: that is in the stream already."""
        try:
            self._held.remove(address)  # In one step: arrays are let go of in one thread while another closes.
        except KeyError:
            return
        with suppress(EngineError):
            self.driver.use(self.device)  # Whichever thread let go of it.
        with suppress(EngineError):
            self.driver.free_async(address, self._stream)

    def _use(self) -> None:
        if self._closed:
            raise EngineError("the engine is closed")
        self.driver.use(self.device)


class _Pooled(Buffer):
    """Memory out of the pool that arrays come from: what one frees, the other finds."""

    def __init__(self, driver: Driver, stream: int) -> None:
        super().__init__(driver)
        self._stream = stream

    def _malloc(self, size: int) -> int:
        return self.driver.malloc_async(size, self._stream)

    def _free(self, address: int) -> None:
        self.driver.free_async(address, self._stream)
