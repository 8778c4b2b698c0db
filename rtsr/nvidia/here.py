"""The GPUs of this machine, as what engines are built for."""

from rtsr.errors import EngineError, MissingDependency
from rtsr.nvidia.cuda import CudaDriver, Device, Driver
from rtsr.nvidia.recipe import Target


def target_of(device: Device, driver: Driver) -> Target:
    """What an engine for `device` is built for; `driver` is the one that found it."""
    capability, version = (".".join(map(str, numbers)) for numbers in (device.capability, driver.versions().driver))
    return Target(capability, device.name, version)


def targets(driver: Driver | None = None) -> tuple[Target, ...]:
    """All GPUs here, in CUDA's order; raises EngineError where there is none or no driver, or MissingDependency."""
    driver = driver or CudaDriver()
    return tuple(target_of(device, driver) for device in driver.devices())


def targets_if_any() -> tuple[Target, ...]:
    """All GPUs here; none where CUDA is of no use."""
    try:
        return targets()
    except (EngineError, MissingDependency):
        return ()
