"""The GPUs of this machine: which one a library runs on, and what engines are built for."""

from collections.abc import Collection

from rtsr.errors import EngineError, MissingDependency
from rtsr.nvidia.cuda import CudaDriver, Device, Driver
from rtsr.nvidia.presence import driver_release
from rtsr.nvidia.recipe import Target

OLDEST = (7, 5)
"""Compute capability of Turing, the first that TensorRT 10 and TensorRT-RTX know."""


def gpu(driver: Driver, index: int, library: str, capabilities: Collection[str] = ()) -> Device:
    """GPU `index`, if `library` runs on it: on `capabilities` ("8.9") only where they are given, else on 7.5 and later.

    Raises EngineError where it does not, where there is no such GPU, or where `Driver.devices` does.
    """
    found = driver.devices()
    if not 0 <= index < len(found):
        known = ", ".join(f"{device.index}: {device.name}" for device in found)
        raise EngineError(f"there is no GPU {index}; there is {known}")
    device = found[index]
    modern = device.capability >= OLDEST
    if modern and (not capabilities or "{}.{}".format(*device.capability) in capabilities):
        return device
    cure = "--engine tensorrt" if modern else "--engine onnx --provider cuda"
    raise EngineError(f"{library} does not run on {device}; use {cure}")


def target_of(device: Device, driver: Driver) -> Target:
    """What an engine for `device` is built for; `driver` is the one that found it."""
    capability, cuda = (".".join(map(str, numbers)) for numbers in (device.capability, driver.versions().driver))
    return Target(capability, device.name, " ".join(filter(None, (cuda, driver_release()))))


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
