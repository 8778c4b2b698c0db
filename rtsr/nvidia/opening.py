"""From "rtx" or "tensorrt" to a library, a driver and a GPU that go together."""

from dataclasses import dataclass

from rtsr.errors import EngineError, MissingDependency
from rtsr.nvidia.cuda import CudaDriver, Device, Driver
from rtsr.nvidia.here import gpu, target_of
from rtsr.nvidia.library import Library, installed, load_library
from rtsr.nvidia.presence import driver_version
from rtsr.nvidia.recipe import Target


@dataclass(frozen=True, slots=True)
class Ready:
    """What an engine needs to run."""

    library: Library
    driver: Driver
    device: Device

    def describe(self) -> str:
        """For people."""
        return f"{self.library.name} {self.library.version}, {self.device.name}"

    @property
    def target(self) -> Target:
        """What engines are built for."""
        return target_of(self.device, self.driver)


def find(kind: str) -> Ready:
    """The library `kind`, "rtx" or "tensorrt", and the first GPU that it runs on.

    Raises EngineError where the library, the driver or the GPU is missing or too old, each with the cure.
    """
    library = load_library(kind)
    driver = CudaDriver(kind)
    devices = driver.devices()
    for device in devices:
        try:
            return Ready(library, driver, gpu(driver, device.index, library.name, library.capabilities))
        except EngineError:
            if device is devices[-1]:
                raise
    raise EngineError("there is no NVIDIA GPU; use --engine onnx")


def find_any() -> Ready | str:
    """What runs engines here, the better first; or, in words, why nothing does."""
    if driver_version() is None:
        return "no NVIDIA driver"
    kinds = installed()
    if not kinds:
        return "an NVIDIA driver is here, but no library: pip install 'rtsr[rtx]'"
    reasons = []
    for kind in kinds:
        try:
            return find(kind)
        except (EngineError, MissingDependency) as cause:
            reasons.append(str(cause).split("; ")[0])
    return "; ".join(reasons)
