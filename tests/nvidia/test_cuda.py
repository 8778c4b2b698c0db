"""The calls of the CUDA runtime: every status checked, every bad machine with words of its own."""

import inspect
import sys
from enum import IntEnum
from types import SimpleNamespace

import pytest

from rtsr.errors import EngineError, MissingDependency, OutOfMemory
from rtsr.nvidia.cuda import CudaDriver, Driver, OutOfGpuMemory, Versions
from rtsr.nvidia.here import gpu
from tests.nvidia.driver import FakeDriver


class Status(IntEnum):
    cudaSuccess = 0
    cudaErrorMemoryAllocation = 2
    cudaErrorInsufficientDriver = 35
    cudaErrorNoDevice = 100
    cudaErrorInvalidDevice = 101
    cudaErrorIllegalAddress = 700


class Bindings:
    """`cuda.bindings.runtime` as it answers on another machine: a tuple for every call, its status first."""

    cudaError_t = Status
    cudaMemcpyKind = SimpleNamespace(
        cudaMemcpyHostToDevice="in", cudaMemcpyDeviceToHost="out", cudaMemcpyDeviceToDevice="within"
    )
    cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeThreadLocal="local")
    cudaMemPoolAttr = SimpleNamespace(cudaMemPoolAttrReleaseThreshold="threshold")
    cudaDeviceAttr = SimpleNamespace(
        cudaDevAttrMemoryPoolsSupported="pools", cudaDevAttrClockRate="clock", cudaDevAttrMemoryClockRate="memory"
    )

    def __init__(self, **answers):
        self.calls = []
        self.answers = {
            "cudaDriverGetVersion": (Status.cudaSuccess, 13000),
            "cudaRuntimeGetVersion": (Status.cudaSuccess, 13050),
            "cudaGetDeviceCount": (Status.cudaSuccess, 2),
            "cudaMemGetInfo": (Status.cudaSuccess, 3 << 20, 24 << 30),
            "cudaGetErrorString": (Status.cudaSuccess, b"an illegal memory access was encountered"),
            "cudaGetDeviceProperties": (
                Status.cudaSuccess,
                SimpleNamespace(
                    name=b"NVIDIA GeForce RTX 4090", major=8, minor=9, totalGlobalMem=24 << 30,
                    multiProcessorCount=128, memoryBusWidth=384,
                ),
            ),
            "cudaStreamCreateWithFlags": (Status.cudaSuccess, 77),
            "cudaEventCreateWithFlags": (Status.cudaSuccess, 78),
            "cudaMalloc": (Status.cudaSuccess, 4096),
            "cudaStreamEndCapture": (Status.cudaSuccess, 5),
            "cudaGraphInstantiate": (Status.cudaSuccess, 6),
            **answers,
        }  # fmt: skip

    def __getattr__(self, name):
        if not name.startswith("cuda"):
            raise AttributeError(name)

        def call(*args):
            self.calls.append((name, *args))
            if name == "cudaDeviceGetAttribute":
                return Status.cudaSuccess, {"pools": 1, "clock": 2_520_000, "memory": 10_501_000}[args[0]]
            return self.answers.get(name, (Status.cudaSuccess,))

        return call


def driver(**answers):
    bindings = Bindings(**answers)
    return CudaDriver(runtime=bindings, number=int), bindings


def test_devices_and_versions():
    cuda, _ = driver()
    first, second = cuda.devices()
    assert (first.index, second.index) == (0, 1)
    assert str(first) == "NVIDIA GeForce RTX 4090 (compute capability 8.9, 24576 MiB)"
    assert first.clock == 2_520_000_000
    assert first.bandwidth == pytest.approx(1008e9, rel=1e-3), "what NVIDIA publishes for it"
    assert cuda.versions() == Versions((13, 0), (13, 5))


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        (
            {"cudaDriverGetVersion": (Status.cudaSuccess, 0), "status": Status.cudaErrorInsufficientDriver},
            "there is no NVIDIA driver here; install one for CUDA 13, or leave it to the processor: --engine onnx",
        ),
        (
            {"cudaDriverGetVersion": (Status.cudaSuccess, 12040), "status": Status.cudaErrorInsufficientDriver},
            "the NVIDIA driver is too old: it is for CUDA 12.4, not CUDA 13; update it, or",
        ),
        ({"status": Status.cudaErrorNoDevice}, "CUDA finds no NVIDIA GPU here; look at nvidia-smi"),
        ({"status": Status.cudaErrorInvalidDevice}, "there is no such GPU"),
        (
            {"status": Status.cudaErrorIllegalAddress},
            "the GPU failed: an illegal memory access was encountered (cudaErrorIllegalAddress in cudaGetDeviceCount)",
        ),
    ],
)
def test_every_bad_machine_has_words_of_its_own(answers, words):
    status = answers.pop("status")
    cuda, _ = driver(cudaGetDeviceCount=(status, None), **answers)
    with pytest.raises(EngineError) as caught:
        cuda.devices()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_out_of_memory_says_how_much_and_leaves_no_error_behind():
    cuda, bindings = driver(cudaMalloc=(Status.cudaErrorMemoryAllocation, None))
    with pytest.raises(OutOfGpuMemory) as caught:
        cuda.malloc(100 << 20)
    assert isinstance(caught.value, OutOfMemory)
    assert "asked for 100 MiB, with 3 MiB of 24576 MiB free" in str(caught.value)
    assert (caught.value.wanted, caught.value.free, caught.value.total) == (100 << 20, 3 << 20, 24 << 30)
    assert ("cudaGetLastError",) in bindings.calls, "the next to ask would take it for its own"


def test_out_of_memory_elsewhere_says_how_much_is_free():
    cuda, bindings = driver(cudaStreamCreateWithFlags=(Status.cudaErrorMemoryAllocation, None))
    with pytest.raises(OutOfGpuMemory, match="out of GPU memory: with 3 MiB of 24576 MiB free; close") as caught:
        cuda.create_stream()
    assert (caught.value.wanted, caught.value.free, caught.value.total) == (0, 3 << 20, 24 << 30)
    assert ("cudaGetLastError",) in bindings.calls


def test_out_of_memory_where_the_gpu_does_not_even_say_how_much_is_free():
    full = (Status.cudaErrorMemoryAllocation, None)
    cuda, bindings = driver(cudaMemGetInfo=(*full, None), cudaGraphInstantiate=full, cudaMalloc=full)
    with pytest.raises(OutOfGpuMemory, match="out of GPU memory: the GPU does not say how much is free; close"):
        cuda.end_capture(1)
    with pytest.raises(OutOfGpuMemory, match="out of GPU memory: asked for 100 MiB; close"):
        cuda.malloc(100 << 20)
    assert bindings.calls[-1] == ("cudaGetLastError",)


def test_pinned_memory_that_is_short_is_not_taken_for_the_gpus():
    cuda, _ = driver(cudaMallocHost=(Status.cudaErrorMemoryAllocation, None))
    with pytest.raises(OutOfGpuMemory, match="pinned memory of the host"):
        cuda.malloc_host(1)


def test_what_the_calls_hand_over():
    cuda, bindings = driver()
    cuda.use(1)
    cuda.use(1)
    cuda.upload(1, 2, 3, 4)
    cuda.download(1, 2, 3, 4)
    cuda.copy_rows(1, 640, 2, 512, 500, 48, 4)
    cuda.begin_capture(4)
    assert cuda.end_capture(4) == 6
    cuda.create_event()
    cuda.create_stream()
    cuda.wait(4, 9)
    assert bindings.calls.count(("cudaSetDevice", 1)) == 2
    assert [call[2:] for call in bindings.calls if call[0] == "cudaMemPoolSetAttribute"] == [("threshold", 1 << 62)]
    for call in (
        ("cudaMemcpyAsync", 1, 2, 3, "in", 4),
        ("cudaMemcpyAsync", 1, 2, 3, "out", 4),
        ("cudaMemcpy2DAsync", 1, 640, 2, 512, 500, 48, "within", 4),
        ("cudaStreamBeginCapture", 4, "local"),
        ("cudaGraphInstantiate", 5, 0),
        ("cudaGraphDestroy", 5),
        ("cudaStreamWaitEvent", 4, 9, 0),
        ("cudaEventCreateWithFlags", 3),
        ("cudaStreamCreateWithFlags", 1),
    ):
        assert call in bindings.calls


def test_a_graph_that_cannot_be_made_executable_is_destroyed():
    cuda, bindings = driver(cudaGraphInstantiate=(Status.cudaErrorIllegalAddress, None))
    with pytest.raises(EngineError, match="cudaGraphInstantiate"):
        cuda.end_capture(4)
    assert ("cudaGraphDestroy", 5) in bindings.calls


RTX = "TensorRT-RTX", ("7.5", "8.0", "8.6", "8.9", "12.0", "12.1")


class TestGpu:
    def test_hopper_is_not_for_rtx_but_for_full_tensorrt(self):
        hopper = FakeDriver(capability=(9, 0))
        with pytest.raises(EngineError, match=r"TensorRT-RTX does not run on Fake 0 \(.* 9.0, .*--engine tensorrt"):
            gpu(hopper, 0, *RTX)
        assert gpu(hopper, 0, "TensorRT").capability == (9, 0)

    def test_what_is_too_old_for_both_is_left_to_onnx_runtime(self):
        pascal = FakeDriver(capability=(6, 1))
        for library in (RTX, ("TensorRT",)):
            with pytest.raises(EngineError, match="--engine onnx --provider cuda"):
                gpu(pascal, 0, *library)

    @pytest.mark.parametrize("capability", [(7, 5), (8, 6), (8, 9), (12, 0)])
    def test_consumer_gpus_since_turing(self, capability):
        assert gpu(FakeDriver(capability=capability), 0, *RTX).index == 0

    def test_a_gpu_that_is_not_there(self):
        with pytest.raises(EngineError, match="there is no GPU 2; there is 0: Fake 0, 1: Fake 1"):
            gpu(FakeDriver(devices=2), 2, "TensorRT")


def methods():
    return [name for name, member in vars(Driver).items() if inspect.isfunction(member) and not name.startswith("_")]


@pytest.mark.parametrize("kind", [CudaDriver, FakeDriver])
def test_both_drivers_have_the_same_calls(kind):
    for name in methods():
        wanted, had = (list(inspect.signature(getattr(owner, name)).parameters) for owner in (Driver, kind))
        assert had == wanted, name


def test_bindings_that_are_missing_say_how_to_get_them(monkeypatch):
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", None)
    with pytest.raises(MissingDependency, match=r"pip install 'rtsr\[tensorrt\]'"):
        CudaDriver("tensorrt")


def test_bindings_that_are_too_old_say_so():
    with pytest.raises(MissingDependency, match="too old"):
        CudaDriver(runtime=SimpleNamespace(), number=int)


@pytest.mark.parametrize("name", sorted(set(methods()) - {"versions"}))
def test_nvidias_bindings_take_what_they_are_given(rtx, name):
    """Where there is no driver, every call gets as far as saying so: the bindings found nothing wrong with it."""
    cuda = CudaDriver()  # They come with the library.
    if cuda.versions().driver != (0, 0):
        pytest.skip("there is a driver here, which these calls would reach")
    arguments = [64] * len(inspect.signature(getattr(cuda, name)).parameters)
    with pytest.raises(EngineError, match="there is no NVIDIA driver here; install one for CUDA 1"):
        getattr(cuda, name)(*arguments)
