"""A plan that TensorRT built, loaded: what goes in and out, and contexts that run it in memory they are given.

Full TensorRT and TensorRT-RTX share this API. What differs is asked for with `hasattr`, and is:

- TensorRT-RTX compiles its kernels when they are first needed, and keeps them in a runtime cache
  (`IRuntimeConfig.set_runtime_cache`), which is loaded with the plan and saved when it is closed.
- TensorRT-RTX captures CUDA graphs by itself, per shape and when its kernels are final
  (`IRuntimeConfig.cuda_graph_strategy`); with full TensorRT, `rtsr.nvidia.lanes` does.

Contexts are created without memory of their own (`USER_MANAGED`), so that it fits the shape that runs and not the
largest of the profile, and so that all of it is asked for, counted and given back in one place.
"""

from collections.abc import MutableSequence, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rtsr.errors import EngineError
from rtsr.frame import GpuPlane
from rtsr.nvidia.cuda import Driver, OutOfGpuMemory

Shape = tuple[int, ...]
TYPES = {"FLOAT": np.float32, "HALF": np.float16, "UINT8": np.uint8, "INT32": np.int32, "INT64": np.int64}
"""By the name of TensorRT's data type."""
FULL = ("out of memory", "outofmemory", "cudaerrormemoryallocation", "insufficient_gpu_memory")
"""What TensorRT's messages say, in small letters, where memory is too little."""

CURE = "update the driver, or use --engine onnx"


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output of a plan."""

    name: str
    dtype: np.dtype
    smallest: Shape = ()
    """Of an input: the least of every side that the plan was built for."""
    largest: Shape = ()


class Library(Protocol):
    """What is needed of an imported library; see `rtsr.nvidia.library`."""

    @property
    def module(self) -> Any: ...

    @property
    def logger(self) -> Any: ...

    @property
    def said(self) -> MutableSequence[str]:
        """Its last errors in this thread, oldest first."""
        ...


class Kernels(Protocol):
    """The kernels compiled so far, in a file; see `rtsr.nvidia.kept`."""

    def attach(self, config: Any) -> bool:
        """Give `config`, an `IRuntimeConfig`, a cache with what was compiled before."""
        ...

    def save(self) -> bool:
        """Keep what was compiled; raises OSError, or EngineError."""
        ...


class Unusable(EngineError):
    """What TensorRT refuses to do with a plan, or what is wrong with its tensors, is the `reason`."""

    def __init__(self, name: str, reason: str) -> None:
        self.reason = reason
        super().__init__(f"{name} {reason}; {CURE}")


class Plan:
    """`data`, what TensorRT built as `name`, loaded on the GPU that this thread uses.

    `inputs` and `outputs` are the names that it must have, in the order in which `Context` takes them; None: those
    that it has, by name. Raises `Unusable` where TensorRT cannot load the plan or it has other tensors, which building
    it again may cure, `OutOfGpuMemory` where memory is too little, EngineError where rtsr does not know a type in it.
    """

    def __init__(
        self,
        library: Library,
        data: bytes,
        name: str,
        driver: Driver,
        inputs: Sequence[str] | None = None,
        outputs: Sequence[str] | None = None,
        kernels: Kernels | None = None,
    ) -> None:
        self.library, self.name, self.driver = library, name, driver
        self._kernels = kernels
        library.said.clear()
        self._runtime: Any = library.module.Runtime(library.logger)
        self._engine: Any = self._runtime.deserialize_cuda_engine(data)
        if self._engine is None:
            raise self.failed("cannot be loaded")
        modes = library.module.TensorIOMode
        self.inputs = self._tensors(modes.INPUT, inputs)
        self.outputs = self._tensors(modes.OUTPUT, outputs)
        self._strategy: Any = library.module.ExecutionContextAllocationStrategy.USER_MANAGED
        self._config: Any = self._configured()

    @property
    def captures(self) -> bool:
        """Whether the runtime captures CUDA graphs by itself."""
        return hasattr(self._config, "cuda_graph_strategy")

    def context(self) -> "Context":
        """A context of its own for work that overlaps with others'; raises as `Plan` does."""
        made = self._engine.create_execution_context(self._strategy if self._config is None else self._config)
        if made is None:
            raise self.failed("got no execution context")
        return Context(self, made)

    def check(self, shapes: Sequence[Shape]) -> None:
        """Raise EngineError unless the plan was built for inputs of `shapes`."""
        for tensor, shape in zip(self.inputs, shapes, strict=True):
            least, most = tensor.smallest, tensor.largest
            if len(shape) != len(most) or any(not a <= n <= b for a, n, b in zip(least, shape, most, strict=True)):
                size = f"{shape[-1]}x{shape[-2]}" if shape[0] <= most[0] else f"{shape[0]} pictures at once"
                raise EngineError(
                    f"{self.name}: {size} is outside of what its engine was built for ({tensor.name} from "
                    f"{_sides(least)} to {_sides(most)}); {self._cure(shape, most)}"
                )

    def failed(self, how: str) -> EngineError:
        """The error to raise, with what TensorRT said first: what follows is the consequence."""
        said = list(self.library.said)
        self.library.said.clear()
        if any(words in message.lower() for words in FULL for message in said):
            return OutOfGpuMemory(0, *self.driver.memory())
        return Unusable(self.name, f"{how}: {said[0] if said else 'TensorRT does not say why'}")

    def close(self) -> None:
        """Save what was compiled and let go of everything; contexts first."""
        if self._kernels is not None and self._engine is not None:
            with suppress(OSError, EngineError):  # The next start takes longer, that is all.
                self._kernels.save()
        self._kernels = self._config = self._engine = self._runtime = None

    def _cure(self, shape: Shape, most: Shape) -> str:
        """What helps where `shape` is outside of what goes up to `most`."""
        if shape[0] > most[0]:
            return f"give at most {most[0]} at once"
        if shape[-1] <= most[-1] and shape[-2] <= most[-2]:  # Too small, which no engine changes, or another tensor.
            return "use --engine onnx for it"
        size = f"{max(shape[-1], most[-1])}x{max(shape[-2], most[-2])}"
        return f"build one: rtsr engines build {self.name.partition('/')[0]} --size {size}"

    def _tensors(self, mode: Any, wanted: Sequence[str] | None) -> tuple[Tensor, ...]:
        engine = self._engine
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        names = sorted(name for name in names if engine.get_tensor_mode(name) == mode)
        if wanted is not None and names != sorted(wanted):
            raise Unusable(self.name, f"has {', '.join(names)} where {', '.join(wanted)} belongs")
        return tuple(self._tensor(name, mode) for name in wanted or names)

    def _tensor(self, name: str, mode: Any) -> Tensor:
        kind = self._engine.get_tensor_dtype(name).name
        if kind not in TYPES:
            raise EngineError(f"{self.name}: {name} is {kind}, which rtsr does not read; build its engine with rtsr")
        if mode != self.library.module.TensorIOMode.INPUT:
            return Tensor(name, np.dtype(TYPES[kind]))
        least, _, most = self._engine.get_tensor_profile_shape(name, 0)
        return Tensor(name, np.dtype(TYPES[kind]), tuple(least), tuple(most))

    def _configured(self) -> Any:
        """The runtime configuration; None where this TensorRT has none."""
        if not hasattr(self._engine, "create_runtime_config"):
            return None
        config = self._engine.create_runtime_config()
        config.set_execution_context_allocation_strategy(self._strategy)
        if self._kernels is not None:
            self._kernels.attach(config)
        if hasattr(config, "cuda_graph_strategy"):
            config.cuda_graph_strategy = self.library.module.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        return config


class Context:
    """One run of a plan at a time."""

    def __init__(self, plan: Plan, context: Any) -> None:
        self.plan = plan
        self._context: Any = context

    def reshape(self, shapes: Sequence[Shape]) -> tuple[tuple[Shape, ...], int]:
        """Take inputs of `shapes`; returns the outputs' shapes, and the bytes of memory that a run works in.

        Raises EngineError where the plan was not built for them.
        """
        self.plan.check(shapes)
        for tensor, shape in zip(self.plan.inputs, shapes, strict=True):
            if not self._context.set_input_shape(tensor.name, shape):
                raise self.plan.failed(f"does not take {tensor.name} {shape}")
        outputs = tuple(tuple(self._context.get_tensor_shape(tensor.name)) for tensor in self.plan.outputs)
        return outputs, int(self._context.update_device_memory_size_for_shapes())

    def bind(self, inputs: Sequence[int], outputs: Sequence[int], scratch: int, size: int) -> None:
        """Read and write at these addresses from here on, and work in the `size` bytes at `scratch`."""
        tensors = (*self.plan.inputs, *self.plan.outputs)
        for tensor, address in zip(tensors, (*inputs, *outputs), strict=True):
            if not self._context.set_tensor_address(tensor.name, address):
                raise self.plan.failed(f"does not take an address for {tensor.name}")
        if size:
            self._context.set_device_memory(scratch, size)

    def enqueue(self, stream: int) -> None:
        """Let `stream` run the network behind what it has to do."""
        if not self._context.execute_async_v3(stream):
            raise self.plan.failed("failed to start")

    def capturable(self, stream: int) -> bool:
        """Whether `enqueue` may be captured; a run that cannot be says so when its capture ends, too."""
        if self.plan.captures:
            return False
        ask = getattr(self._context, "is_stream_capturable", None)
        return True if ask is None else bool(ask(stream))

    def close(self) -> None:
        """Let go of the context; none of its runs may be under way."""
        self._context = None


def bytes_of(shape: Shape, dtype: np.dtype) -> int:
    """How many an array takes."""
    return int(np.prod(shape)) * dtype.itemsize


def shapes_of(arrays: Sequence[NDArray | GpuPlane]) -> tuple[Shape, ...]:
    return tuple(array.shape for array in arrays)


def _sides(shape: Shape) -> str:
    return "x".join(str(side) for side in shape)
