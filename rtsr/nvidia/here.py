"""The GPUs of this machine, as what engines are built for."""

from rtsr.errors import EngineError, MissingDependency
from rtsr.nvidia.cuda import CudaDriver, Driver
from rtsr.nvidia.opening import target_of
from rtsr.nvidia.recipe import Target


def targets(driver: Driver | None = None) -> tuple[Target, ...]:
    """All GPUs here, in CUDA's order; raises EngineError where there is none or no driver, or MissingDependency."""
    driver = driver or CudaDriver()
    return tuple(target_of(driver, device) for device in driver.devices())


def targets_if_any() -> tuple[Target, ...]:
    """All GPUs here; none where CUDA is of no use."""
    try:
        return targets()
    except (EngineError, MissingDependency):
        return ()
