"""The few calls of the CUDA runtime that rtsr makes, with every error checked in one place.

Addresses and handles are plain integers, lengths are bytes. `CudaDriver` makes the calls through NVIDIA's bindings
(`cuda.bindings.runtime`), which bring the runtime with them: no toolkit is needed, only the driver. Without libcuda the
bindings still load, and every call but the versions' returns `cudaErrorInsufficientDriver`, with 0 as the driver's
version.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from rtsr.errors import EngineError, MissingDependency, OutOfMemory, need

NON_BLOCKING = 1
"""`cudaStreamNonBlocking`: the stream does not wait for the default stream."""
PLAIN = 1 | 2
"""`cudaEventBlockingSync`: who waits for the event sleeps, as decoding and encoding want the cores;
`cudaEventDisableTiming`: it only orders."""
FFMPEG_STREAM = 1
"""`cudaStreamLegacy`, the device's default stream: FFmpeg decodes and encodes in it unless it is given another."""
INSTEAD = "or leave it to the processor: --engine onnx"
KEEP = 1 << 62
"""Bytes that the pool of `malloc_async` may keep instead of giving them back to the system: all of them."""


class OutOfGpuMemory(OutOfMemory):
    """The GPU, or the host's pinned memory, has not got so much left; `wanted`, `free`, `total`: bytes, 0: unknown."""

    def __init__(self, wanted: int, free: int, total: int, what: str = "") -> None:
        self.wanted, self.free, self.total = wanted, free, total
        super().__init__(f"out of GPU memory{what}: {self.figures}; close other programs that use the GPU, {INSTEAD}")

    @property
    def figures(self) -> str:
        """What was asked for and what there is, in words."""
        asked = [f"asked for {in_mib(self.wanted)}"] if self.wanted else []
        had = [f"with {in_mib(self.free)} of {in_mib(self.total)} free"] if self.total else []
        return ", ".join(asked + had) or "the GPU does not say how much is free"


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU."""

    index: int
    name: str
    capability: tuple[int, int]
    """Compute capability, e.g. (8, 9)."""
    memory: int
    """Bytes."""
    multiprocessors: int
    clock: int
    """Of the multiprocessors at most, in Hz; 0 where the driver does not say."""
    bandwidth: int
    """Of the memory at most, in bytes per second; 0 where the driver does not say."""

    def __str__(self) -> str:
        return f"{self.name} (compute capability {self.capability[0]}.{self.capability[1]}, {in_mib(self.memory)})"


@dataclass(frozen=True, slots=True)
class Versions:
    """CUDA versions as (major, minor)."""

    driver: tuple[int, int]
    """The newest that the driver knows; (0, 0) where there is no driver."""
    runtime: tuple[int, int]


class Driver(Protocol):
    """What rtsr asks of CUDA. Calls raise EngineError, allocations `OutOfGpuMemory`; who creates a handle destroys it.

    The device is chosen per thread: a thread that did not call `use` works on device 0.
    """

    def versions(self) -> Versions: ...

    def devices(self) -> tuple[Device, ...]:
        """All GPUs; raises EngineError where there is no driver, one that is too old, or no GPU."""
        ...

    def use(self, index: int) -> None:
        """Let this thread's further calls go to GPU `index`."""
        ...

    def memory(self) -> tuple[int, int]:
        """Free and all memory of the GPU in use."""
        ...

    def malloc(self, size: int) -> int: ...
    def free(self, address: int) -> None: ...

    def malloc_async(self, size: int, stream: int) -> int:
        """Memory for what `stream` does from here on."""
        ...

    def free_async(self, address: int, stream: int) -> None:
        """Give memory back behind all that `stream` has to do so far."""
        ...

    def malloc_host(self, size: int) -> int:
        """Pinned host memory: the only kind that is copied while others compute."""
        ...

    def free_host(self, address: int) -> None: ...

    def upload(self, device: int, host: int, size: int, stream: int) -> None:
        """Copy from pinned host memory to the GPU, behind what `stream` has to do."""
        ...

    def download(self, host: int, device: int, size: int, stream: int) -> None: ...

    def copy_rows(
        self, to: int, to_pitch: int, source: int, source_pitch: int, width: int, rows: int, stream: int
    ) -> None:
        """Copy `rows` of `width` bytes within the GPU's memory; pitches are bytes from a row's start to the next's."""
        ...

    def create_stream(self) -> int: ...
    def destroy_stream(self, stream: int) -> None: ...

    def synchronize(self, stream: int) -> None:
        """Wait until `stream` has nothing to do; what failed there is raised here."""
        ...

    def create_event(self) -> int: ...
    def destroy_event(self, event: int) -> None: ...
    def record(self, event: int, stream: int) -> None: ...

    def wait(self, stream: int, event: int) -> None:
        """Let `stream` go on only when what was recorded last in `event` is done; returns at once."""
        ...

    def synchronize_event(self, event: int) -> None: ...

    def begin_capture(self, stream: int) -> None:
        """Let this thread's further work for `stream` go into a graph, and none of it run."""
        ...

    def end_capture(self, stream: int) -> int:
        """The captured work as an executable graph; raises EngineError where some of it cannot be in one."""
        ...

    def launch(self, graph: int, stream: int) -> None: ...
    def destroy_graph(self, graph: int) -> None: ...


class CudaDriver:
    """The `Driver` of NVIDIA's bindings; raises MissingDependency where they are not installed.

    `extra` is what brings them with rtsr. `runtime` stands in for `cuda.bindings.runtime`, `number` for the bindings'
    integer in memory, whose address is an argument.
    """

    def __init__(self, extra: str = "rtx", runtime: Any = None, number: Callable[[int], Any] | None = None) -> None:
        self._rt = runtime or need("cuda.bindings.runtime", extra)
        self._number = number or need("cuda.bindings.driver", extra).cuuint64_t
        if not hasattr(self._rt, "cudaGraphInstantiate"):
            raise MissingDependency(f"cuda-bindings is too old; try: pip install --upgrade 'rtsr[{extra}]'")
        self._used: set[int] = set()

    def versions(self) -> Versions:
        driver, runtime = self._call("cudaDriverGetVersion"), self._call("cudaRuntimeGetVersion")
        return Versions(*((number // 1000, number % 1000 // 10) for number in (driver, runtime)))

    def devices(self) -> tuple[Device, ...]:
        return tuple(self._device(index) for index in range(self._call("cudaGetDeviceCount")))

    def use(self, index: int) -> None:
        self._call("cudaSetDevice", index)
        if index not in self._used:
            self._used.add(index)
            self._keep_memory(index)

    def memory(self) -> tuple[int, int]:
        free, total = self._call("cudaMemGetInfo")
        return int(free), int(total)

    def malloc(self, size: int) -> int:
        return int(self._allocate("cudaMalloc", size))

    def free(self, address: int) -> None:
        self._call("cudaFree", address)

    def malloc_async(self, size: int, stream: int) -> int:
        return int(self._allocate("cudaMallocAsync", size, stream))

    def free_async(self, address: int, stream: int) -> None:
        self._call("cudaFreeAsync", address, stream)

    def malloc_host(self, size: int) -> int:
        return int(self._allocate("cudaMallocHost", size))

    def free_host(self, address: int) -> None:
        self._call("cudaFreeHost", address)

    def upload(self, device: int, host: int, size: int, stream: int) -> None:
        self._call("cudaMemcpyAsync", device, host, size, self._rt.cudaMemcpyKind.cudaMemcpyHostToDevice, stream)

    def download(self, host: int, device: int, size: int, stream: int) -> None:
        self._call("cudaMemcpyAsync", host, device, size, self._rt.cudaMemcpyKind.cudaMemcpyDeviceToHost, stream)

    def copy_rows(
        self, to: int, to_pitch: int, source: int, source_pitch: int, width: int, rows: int, stream: int
    ) -> None:
        kind = self._rt.cudaMemcpyKind.cudaMemcpyDeviceToDevice
        self._call("cudaMemcpy2DAsync", to, to_pitch, source, source_pitch, width, rows, kind, stream)

    def create_stream(self) -> int:
        return int(self._call("cudaStreamCreateWithFlags", NON_BLOCKING))

    def destroy_stream(self, stream: int) -> None:
        self._call("cudaStreamDestroy", stream)

    def synchronize(self, stream: int) -> None:
        self._call("cudaStreamSynchronize", stream)

    def create_event(self) -> int:
        return int(self._call("cudaEventCreateWithFlags", PLAIN))

    def destroy_event(self, event: int) -> None:
        self._call("cudaEventDestroy", event)

    def record(self, event: int, stream: int) -> None:
        self._call("cudaEventRecord", event, stream)

    def wait(self, stream: int, event: int) -> None:
        self._call("cudaStreamWaitEvent", stream, event, 0)

    def synchronize_event(self, event: int) -> None:
        self._call("cudaEventSynchronize", event)

    def begin_capture(self, stream: int) -> None:
        # Other threads, such as an encoder's on the same GPU, may go on with whatever they do.
        mode = self._rt.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._call("cudaStreamBeginCapture", stream, mode)

    def end_capture(self, stream: int) -> int:
        graph = self._call("cudaStreamEndCapture", stream)
        try:
            return int(self._call("cudaGraphInstantiate", graph, 0))
        finally:
            self._call("cudaGraphDestroy", graph)

    def launch(self, graph: int, stream: int) -> None:
        self._call("cudaGraphLaunch", graph, stream)

    def destroy_graph(self, graph: int) -> None:
        self._call("cudaGraphExecDestroy", graph)

    def _device(self, index: int) -> Device:
        found = self._call("cudaGetDeviceProperties", index)
        name = found.name.decode() if isinstance(found.name, bytes) else str(found.name)
        clocks = [self._attribute(f"cudaDevAttr{what}", index) for what in ("ClockRate", "MemoryClockRate")]
        return Device(
            index,
            name,
            (int(found.major), int(found.minor)),
            int(found.totalGlobalMem),
            int(found.multiProcessorCount),
            clock=1000 * clocks[0],
            bandwidth=2 * 1000 * clocks[1] * int(found.memoryBusWidth) // 8,  # Memory moves data twice a clock.
        )

    def _keep_memory(self, index: int) -> None:
        """Let the pool behind `malloc_async` keep what is freed: by default every wait gives it back to the system."""
        if self._attribute("cudaDevAttrMemoryPoolsSupported", index):
            pool = self._call("cudaDeviceGetDefaultMemPool", index)
            threshold = self._rt.cudaMemPoolAttr.cudaMemPoolAttrReleaseThreshold
            self._call("cudaMemPoolSetAttribute", pool, threshold, self._number(KEEP))

    def _attribute(self, name: str, index: int) -> int:
        attribute = getattr(self._rt.cudaDeviceAttr, name, None)
        return 0 if attribute is None else int(self._call("cudaDeviceGetAttribute", attribute, index))

    def _allocate(self, name: str, size: int, *args: int) -> Any:
        try:
            return self._call(name, size, *args)
        except OutOfGpuMemory as full:
            what = " (pinned memory of the host)" if name == "cudaMallocHost" else ""
            raise OutOfGpuMemory(size, full.free, full.total, what) from None

    def _call(self, name: str, *args: Any) -> Any:
        """What the runtime's function returns beside its status; raises EngineError unless that is success."""
        status, *results = getattr(self._rt, name)(*args)
        if int(status):
            # Otherwise the next to ask for the last error, TensorRT for one, takes it for its own.
            self._rt.cudaGetLastError()
            raise self._error(status, name)
        return results[0] if len(results) == 1 else tuple(results)

    def _error(self, status: Any, name: str) -> EngineError:
        errors = self._rt.cudaError_t
        if status == errors.cudaErrorMemoryAllocation:
            return OutOfGpuMemory(0, *self._figures())
        if status == errors.cudaErrorInsufficientDriver:
            return self._no_driver()
        if status == errors.cudaErrorNoDevice:
            return EngineError(f"CUDA finds no NVIDIA GPU here; look at nvidia-smi and CUDA_VISIBLE_DEVICES, {INSTEAD}")
        if status == errors.cudaErrorInvalidDevice:
            return EngineError("there is no such GPU; see: rtsr doctor")
        _, words = self._rt.cudaGetErrorString(status)
        said = words.decode() if isinstance(words, bytes) else str(words)
        return EngineError(f"the GPU failed: {said} ({errors(status).name} in {name}); update its driver, {INSTEAD}")

    def _figures(self) -> tuple[int, int]:
        """As `memory`; zeros where the GPU does not even say that."""
        status, *figures = self._rt.cudaMemGetInfo()
        if int(status):
            self._rt.cudaGetLastError()
            return 0, 0
        return int(figures[0]), int(figures[1])

    def _no_driver(self) -> EngineError:
        versions = self.versions()
        needed = f"CUDA {versions.runtime[0]}"
        if versions.driver == (0, 0):
            return EngineError(f"there is no NVIDIA driver here; install one for {needed}, {INSTEAD}")
        had = "{}.{}".format(*versions.driver)
        return EngineError(f"the NVIDIA driver is too old: it is for CUDA {had}, not {needed}; update it, {INSTEAD}")


def in_mib(size: int) -> str:
    """Bytes in words."""
    return f"{size / (1 << 20):.0f} MiB" if size >= 10 << 20 else f"{size / (1 << 20):.2g} MiB"
