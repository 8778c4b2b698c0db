"""Plans as they are loaded: what is wrong with them, what is kept of them, and that the fake is like the real thing."""

import threading
import weakref

import numpy as np
import pytest

from rtsr.errors import EngineError
from rtsr.nvidia.lanes import Lanes
from rtsr.nvidia.plan import Plan
from rtsr.nvidia.store import Busy
from tests.nvidia import tensorrt
from tests.nvidia.driver import FakeDriver
from tests.nvidia.tensorrt import FakeTensorRT, plan


class Kept:
    """Compiled kernels, as `rtsr.nvidia.kept.RuntimeCache` keeps them in a file."""

    def __init__(self, held=b"", fails=None):
        self.held, self.fails = held, fails

    def attach(self, config):
        self.cache = config.create_runtime_cache()
        self.cache.deserialize(self.held)
        config.set_runtime_cache(self.cache)
        return bool(self.held)

    def save(self):
        if self.fails:
            raise self.fails
        self.held = bytes(self.cache.serialize())
        return True


def load(data, rtx=False, **more):
    driver = FakeDriver()
    return Plan(FakeTensorRT(driver, rtx), data, "small", driver, **more)


def test_a_damaged_plan_says_what_tensorrt_said_of_it():
    with pytest.raises(EngineError) as caught:
        load(b"\0garbage")
    assert "small cannot be loaded: Serialization assertion header.magicTag failed; update" in str(caught.value)
    assert "somebody else's" not in str(caught.value)


def test_tensors_of_a_type_that_is_not_known():
    with pytest.raises(EngineError, match="upscaled is BOOL, which rtsr does not read"):
        load(plan("odd"))


def test_a_plan_of_another_kind():
    with pytest.raises(EngineError, match=r"has u, v, y where image belongs; update the driver"):
        load(plan("planes"), inputs=("image",), outputs=("upscaled",))


def test_tensors_in_the_order_asked_for_with_types_and_profile():
    found = load(plan("planes", least=32, most=64), inputs=("y", "u", "v"))
    assert [tensor.name for tensor in found.inputs] == ["y", "u", "v"]
    assert [tensor.name for tensor in found.outputs] == ["u_up", "v_up", "y_up"]
    assert found.inputs[1].smallest == (1, 1, 16, 16) and found.inputs[1].largest == (4, 1, 32, 32)
    assert {tensor.dtype for tensor in (*found.inputs, *found.outputs)} == {np.dtype(np.uint8)}


def test_kernels_are_compiled_once_and_found_at_the_next_start():
    image, kept = np.zeros((1, 3, 32, 32), np.float32), Kept()
    for start, compilations in enumerate((1, 0)):
        driver = FakeDriver()
        module = FakeTensorRT(driver, rtx=True)
        loaded = Plan(module, plan("network"), "small", driver, kernels=kept)
        with Lanes(driver, loaded) as lanes:
            lanes.collect(lanes.submit(image))
        loaded.close()
        assert module.compilations == compilations, start


@pytest.mark.parametrize("failure", [OSError("disk full"), Busy("another process")])
def test_a_cache_that_cannot_be_written_is_no_error(failure):
    load(plan("network"), rtx=True, kernels=Kept(fails=failure)).close()


def test_a_closed_plan_lets_go_of_its_kernels():
    loaded = load(plan("network"), rtx=True, kernels=Kept())
    kept = weakref.ref(loaded._kernels)
    loaded.close()
    assert kept() is None


def test_full_tensorrt_has_no_kernels_to_keep():
    kept = Kept()
    load(plan("network"), kernels=kept)
    assert not hasattr(kept, "cache")


@pytest.mark.parametrize(
    ("fake", "real"),
    [
        (tensorrt.Runtime, "Runtime"),
        (tensorrt.RtxEngine, "ICudaEngine"),
        (tensorrt.RtxContext, "IExecutionContext"),
        (tensorrt.Config, "IRuntimeConfig"),
        (tensorrt.Cache, "IRuntimeCache"),
        (tensorrt.TensorIOMode, "TensorIOMode"),
        (tensorrt.Strategy, "ExecutionContextAllocationStrategy"),
        (tensorrt.CudaGraphStrategy, "CudaGraphStrategy"),
        (tensorrt.DataType, "DataType"),
    ],
)
def test_the_real_library_has_every_name_that_the_fake_has(rtx, fake, real):
    names = {name for name in dir(fake) if not name.startswith("_")} - tensorrt.OWN
    assert names, fake
    assert not {name for name in names if not hasattr(getattr(rtx.module, real), name)}


def test_what_another_thread_hears_is_not_taken_for_ones_own(rtx):
    """Memory that is short for a plan that is built makes no failed run an `OutOfGpuMemory`."""
    rtx.said.clear()
    rtx.logger.log(rtx.module.ILogger.ERROR, "no valid kernel")

    def build():
        rtx.said.clear()
        rtx.logger.log(rtx.module.ILogger.ERROR, "out of memory")

    thread = threading.Thread(target=build)
    thread.start()
    thread.join()
    assert list(rtx.said) == ["no valid kernel"]


def test_the_real_library_says_what_it_lacks(rtx):
    with pytest.raises(EngineError, match=r"small cannot be loaded: .*; update the driver"):
        Plan(rtx, b"no plan" * 1000, "small", FakeDriver())
