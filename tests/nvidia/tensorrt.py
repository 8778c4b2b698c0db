"""TensorRT for tests: its names and rules over a `FakeDriver`, and networks that are computed with numpy.

A plan says in JSON what it is (`plan`); its network repeats pixels, or is the stage or head of one that does. Runs
read and write memory of the GPU when they run, not when they are queued, and spoil the memory they were given to work
in. As in TensorRT, the first run in a new shape prepares for it, and so cannot be captured.
"""

import json
from collections.abc import Callable
from enum import Enum
from fractions import Fraction
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.nvidia.driver import FakeDriver, Misuse

Arrays = list[NDArray]
RADIUS = 4
"""How far the "wide" networks look."""
OWN = {"compiled", "value", "name"}
"""Names here that are no part of TensorRT's."""
STEP = np.float16(1 / 64)
"""What a stage adds to its features: exact in half precision."""


class DataType(Enum):
    FLOAT = np.float32
    HALF = np.float16
    UINT8 = np.uint8
    BOOL = np.bool_


class TensorIOMode(Enum):
    NONE = 0
    INPUT = 1
    OUTPUT = 2


class Strategy(Enum):
    STATIC = 0
    ON_PROFILE_CHANGE = 1
    USER_MANAGED = 2


class CudaGraphStrategy(Enum):
    DISABLED = 0
    WHOLE_GRAPH_CAPTURE = 1


def plan(kind: str, scale: Fraction = Fraction(2), **more: Any) -> bytes:
    """A plan of one of `KINDS`. `least`, `most`: sides of its profile, `batch`: pictures at once at most;
    `work`: bytes to work in per input pixel; `capturable`: whether its runs can be in a graph."""
    known = {"least": 16, "most": 512, "batch": 4, "work": 40, "capturable": True}
    return json.dumps({**known, **more, "kind": kind, "scale": str(scale)}).encode()


class FakeTensorRT:
    """Stands in for the modules `tensorrt` and, with `rtx`, `tensorrt_rtx`, and for the `Library` that holds them."""

    TensorIOMode, DataType, ExecutionContextAllocationStrategy = TensorIOMode, DataType, Strategy
    CudaGraphStrategy = CudaGraphStrategy

    def __init__(self, driver: FakeDriver, rtx: bool = False) -> None:
        self.driver, self.rtx = driver, rtx
        self.module = self
        self.said: list[str] = ["an error of somebody else's"]
        self.logger = self.said
        self.fail_load: int | None = None
        """The plan of this number, from 1, finds no memory."""
        self.fail_context: int | None = None
        """The context of this number, from 1, finds no memory."""
        self.fail_enqueue: int | None = None
        """The run of this number, from 1, is refused."""
        self.loads = self.contexts = self.enqueues = self.compilations = self.shapings = 0

    def Runtime(self, log: list[str]) -> "Runtime":
        return Runtime(self, log)


class Runtime:
    def __init__(self, module: FakeTensorRT, log: list[str]) -> None:
        self.module, self.log = module, log

    def deserialize_cuda_engine(self, data: bytes) -> "Engine | None":
        self.module.loads += 1
        if self.module.loads == self.module.fail_load:
            self.log.append("[defaultAllocator.cpp::allocate::31] Error Code 1: out of memory")
            return None
        try:
            return (RtxEngine if self.module.rtx else Engine)(self.module, self.log, json.loads(data))
        except ValueError:
            self.log.append("Serialization assertion header.magicTag failed")
            return None


class Engine:
    def __init__(self, module: FakeTensorRT, log: list[str], facts: dict) -> None:
        self.module, self.log, self.facts = module, log, facts
        self.scale = Fraction(facts["scale"])
        self.inputs, self.outputs, self.compute = KINDS[facts["kind"]]
        self.num_io_tensors = len(self.inputs) + len(self.outputs)

    def get_tensor_name(self, i: int) -> str:
        return [*self.inputs, *self.outputs][i]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name in self.inputs else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> DataType:
        return {**self.inputs, **self.outputs}[name][0]

    def get_tensor_profile_shape(self, name: str, profile: int) -> list[tuple[int, ...]]:
        _, channels, part = self.inputs[name]
        least, most = (
            (ceil(self.facts[side] * part), self.facts[side] if name == "uv" else ceil(self.facts[side] * part))
            for side in ("least", "most")
        )
        return [(1, channels, *least), (1, channels, *most), (self.facts["batch"], channels, *most)]

    def create_execution_context(self, how: Any) -> "Context | None":
        self.module.contexts += 1
        if self.module.contexts == self.module.fail_context:
            self.log.append("[defaultAllocator.cpp::allocate::31] Error Code 1: out of memory")
            return None
        strategy = how.strategy if isinstance(how, Config) else how
        if strategy is not Strategy.USER_MANAGED:
            raise Misuse("a context that allocates behind everybody's back")
        return (RtxContext if self.module.rtx else Context)(self)

    def compiled(self, shapes: str) -> None:
        """Kernels for `shapes` were needed."""


class RtxEngine(Engine):
    def create_runtime_config(self) -> "Config":
        self.config = Config(self.module)
        return self.config

    def compiled(self, shapes: str) -> None:
        cache = self.config.cache
        if cache is not None and shapes.encode() not in cache.held:
            cache.held += shapes.encode()
            self.module.compilations += 1


class Config:
    def __init__(self, module: FakeTensorRT) -> None:
        self.module = module
        self.strategy = Strategy.STATIC
        self.cuda_graph_strategy = CudaGraphStrategy.DISABLED
        self.cache: Cache | None = None

    def set_execution_context_allocation_strategy(self, strategy: Strategy) -> None:
        self.strategy = strategy

    def create_runtime_cache(self) -> "Cache":
        return Cache()

    def set_runtime_cache(self, cache: "Cache") -> bool:
        self.cache = cache
        return True


class Cache:
    """Compiled kernels: here, bytes."""

    def __init__(self) -> None:
        self.held = b""

    def deserialize(self, blob: bytes) -> bool:
        self.held = blob
        return True

    def serialize(self) -> memoryview:
        return memoryview(self.held)


class Context:
    def __init__(self, engine: Engine) -> None:
        self.engine, self.driver = engine, engine.module.driver
        self.owner, self._home = object(), self.driver.here()
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}
        self._work = (0, 0)
        self._prepared = False

    def __del__(self) -> None:
        if self.driver.in_use(self.owner) and not self.driver.dead:
            self.driver.misuses.append("a context deleted while it runs")
        if self.driver.here() != self._home:
            self.driver.misuses.append("a context deleted by a thread that is on another GPU")

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        least, _, most = self.engine.get_tensor_profile_shape(name, 0)
        if not all(a <= n <= b for a, n, b in zip(least, shape, most, strict=True)):
            self._say(f"IExecutionContext::setInputShape: {shape} is not in the profile")
            return False
        self.engine.module.shapings += 1
        self._shapes[name] = tuple(shape)
        self._prepared = False
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        if name in self._shapes:
            return self._shapes[name]
        n, _, height, width = self._shapes[next(iter(self.engine.inputs))]
        _, channels, part = self.engine.outputs[name]
        if not part:
            return (n, channels)
        if name.startswith("next"):
            return (n, channels, height, width)
        rows, columns = _sides(self.engine.inputs, (height, width), self.engine.scale)
        return (n, channels, int(rows * part), columns if name == "uv_up" else int(columns * part))

    def update_device_memory_size_for_shapes(self) -> int:
        n, _, height, width = self._shapes[next(iter(self.engine.inputs))]
        return n * height * width * self.engine.facts["work"]

    def set_device_memory(self, memory: int, size: int) -> None:
        if size < self.update_device_memory_size_for_shapes():
            raise Misuse("too little memory to work in")
        self._work = memory, size

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return True

    def execute_async_v3(self, stream: int) -> bool:
        module = self.engine.module
        module.enqueues += 1
        if module.enqueues == module.fail_enqueue:
            self._say("Error Code 1: Cask (no valid kernel)")
            return False
        if self.driver.capturing(stream) and not (self._prepared and self.engine.facts["capturable"]):
            self._say("IExecutionContext::enqueueV3: operation not permitted when stream is capturing")
            self.driver.break_capture()
            return False
        self._prepared = True
        self.engine.compiled(f"{list(self._shapes.values())}")
        inputs, outputs = (
            [(self._addresses[name], self.get_tensor_shape(name), kind[0].value) for name, kind in ends.items()]
            for ends in (self.engine.inputs, self.engine.outputs)
        )
        work, needed = self._work[0], self.update_device_memory_size_for_shapes()
        driver, compute, scale = self.driver, self.engine.compute, self.engine.scale

        def run() -> None:
            if needed:
                driver.bytes_at(work, needed)[:] = 0xEE
            results = compute([_array(driver, *end).copy() for end in inputs], scale)
            for end, result in zip(outputs, results, strict=True):
                _array(driver, *end)[...] = result

        addresses = [end[0] for end in (*inputs, *outputs)] + ([work] if needed else [])
        driver.compute(stream, run, addresses, self.owner)
        return True

    def _say(self, message: str) -> None:
        self.engine.log.append(message)


class RtxContext(Context):
    def is_stream_capturable(self, stream: int) -> bool:
        return self.engine.facts["capturable"]


def _array(driver: FakeDriver, address: int, shape: tuple[int, ...], dtype: type) -> NDArray:
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return driver.bytes_at(address, size).view(dtype).reshape(shape)


def _sides(inputs: "Ends", sides: tuple[int, int], scale: Fraction) -> list[int]:
    """Of the upscaled picture; even, where it has chroma."""
    large = [ceil(side * scale) for side in sides]
    return [side // 2 * 2 for side in large] if "y" in inputs else large


def _larger(arrays: Arrays, scale: Fraction) -> Arrays:
    """Every pixel repeated; a last part of a pixel counts as one, with chroma an odd last pixel is left out."""
    sides = [ceil(side * scale) for side in arrays[0].shape[2:]]
    if len(arrays) == 1:
        return [_repeated(arrays[0], sides, scale)]
    even = [side // 2 * 2 for side in sides]
    return [_repeated(array, [side // (2 if i else 1) for side in even], scale) for i, array in enumerate(arrays)]


def _repeated(array: NDArray, sides: list[int], scale: Fraction) -> NDArray:
    rows, columns = (
        np.minimum((2 * np.arange(side) + 1) * scale.denominator // (2 * scale.numerator), most - 1)
        for side, most in zip(sides, array.shape[2:], strict=True)
    )
    return array[:, :, rows[:, None], columns]


def _nv12(compute: Callable[[Arrays, Fraction], Arrays]) -> Callable[[Arrays, Fraction], Arrays]:
    """What computes planes, with chroma's two in turns."""

    def run(arrays: Arrays, scale: Fraction) -> Arrays:
        y, uv = arrays
        y, u, v = compute([y, uv[..., 0::2], uv[..., 1::2]], scale)
        return [y, np.stack([u, v], axis=-1).reshape(*u.shape[:3], -1)]

    return run


def _wide(arrays: Arrays, scale: Fraction) -> Arrays:
    """Every pixel repeated, after it was mixed with those `RADIUS` away."""
    return _larger([_mixed(array, RADIUS // 2 if i else RADIUS) for i, array in enumerate(arrays)], scale)


def _mixed(array: NDArray, radius: int) -> NDArray:
    padded = np.pad(array, ((0, 0), (0, 0), (radius, radius), (radius, radius)), mode="edge").astype(np.float64)
    corners = (
        padded[:, :, y : y + array.shape[2], x : x + array.shape[3]] for y in (0, 2 * radius) for x in (0, 2 * radius)
    )
    return (sum(corners) / 4).astype(array.dtype)


def _first(arrays: Arrays, scale: Fraction) -> Arrays:
    return [arrays[0].astype(np.float16), -arrays[0].astype(np.float16)]


def _second(arrays: Arrays, scale: Fraction) -> Arrays:
    return [arrays[0] + STEP, arrays[1] - STEP]


def _head(arrays: Arrays, scale: Fraction) -> Arrays:
    return _larger([((arrays[0] - arrays[1]) / 2).astype(np.float32)], scale)


def _exit(stages: int) -> Callable[[Arrays, Fraction], Arrays]:
    def run(arrays: Arrays, scale: Fraction) -> Arrays:
        features = _first(arrays, scale)
        for _ in range(stages - 1):
            features = _second(features, scale)
        return _head(features, scale)

    return run


def _estimates(arrays: Arrays, scale: Fraction) -> Arrays:
    means = arrays[0].mean(axis=(1, 2, 3))
    return [np.stack([means + k for k in range(3)], axis=1).astype(np.float32)]


Kind = tuple[DataType, int, float]
"""Type, channels, and sides against the picture's; 0: no picture."""
Ends = dict[str, Kind]
IMAGE, LARGE = {"image": (DataType.FLOAT, 3, 1)}, {"upscaled": (DataType.FLOAT, 3, 1)}
FEATURES = {f"features_{i}": (DataType.HALF, 3, 1) for i in range(2)}
NEXT = {f"next_{i}": (DataType.HALF, 3, 1) for i in range(2)}
PLANES = {"y": (DataType.UINT8, 1, 1), "u": (DataType.UINT8, 1, 0.5), "v": (DataType.UINT8, 1, 0.5)}
LARGE_PLANES = {f"{name}_up": kind for name, kind in PLANES.items()}
NV12 = {"y": (DataType.UINT8, 1, 1), "uv": (DataType.UINT8, 1, 0.5)}
"""The part is of rows; there are as many columns in both."""
LARGE_NV12 = {f"{name}_up": kind for name, kind in NV12.items()}
KINDS: dict[str, tuple[Ends, Ends, Callable[[Arrays, Fraction], Arrays]]] = {
    "network": (IMAGE, LARGE, _larger),
    "wide": (IMAGE, LARGE, _wide),
    "planes": (PLANES, LARGE_PLANES, _larger),
    "wide planes": (PLANES, LARGE_PLANES, _wide),
    "nv12": (NV12, LARGE_NV12, _nv12(_larger)),
    "odd": (IMAGE, {"upscaled": (DataType.BOOL, 3, 1)}, _larger),
    "stage1": (IMAGE, NEXT, _first),
    "stage2": (FEATURES, NEXT, _second),
    "head1": (FEATURES, LARGE, _head),
    "head2": (FEATURES, LARGE, _head),
    "exit1": (IMAGE, LARGE, _exit(1)),
    "exit2": (IMAGE, LARGE, _exit(2)),
    "estimator": ({"patches": (DataType.FLOAT, 3, 1)}, {"estimates": (DataType.FLOAT, 3, 0)}, _estimates),
}
"""Inputs, outputs and what they compute, by the name that a plan goes by."""
