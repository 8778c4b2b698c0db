"""The names of ONNX Runtime's execution providers, as options and presets give them: `cuda`, `cuda:1`."""

from dataclasses import dataclass

from rtsr.errors import UsageError

PROVIDERS = ("auto", "cpu", "cuda", "directml", "coreml", "openvino")
"""What ONNX Runtime may run on; `auto` picks and says why."""
COREML_UNITS = ("all", "cpuandgpu", "cpuandneuralengine", "cpuonly")
OPENVINO_DEVICES = ("cpu", "gpu", "npu")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A provider and, where it has several devices, which of them."""

    name: str
    """One of `PROVIDERS`."""
    device: str = ""
    """CUDA and DirectML: the GPU's number; OpenVINO: cpu, gpu, gpu.1 or npu; CoreML: the units. Empty: the usual."""

    def __str__(self) -> str:
        return f"{self.name}:{self.device}" if self.device else self.name


def parse_provider(text: str) -> Wanted:
    """The provider that `text`, NAME or NAME:DEVICE, names; raises UsageError where there is none of it."""
    if not isinstance(text, str):
        raise UsageError(
            f"a provider is given by its name, e.g. 'cuda:1', not as {text!r}; known: {', '.join(PROVIDERS)}"
        )
    name, colon, device = text.lower().partition(":")
    if name not in PROVIDERS:
        raise UsageError(f"unknown provider {text!r}; known: {', '.join(PROVIDERS)}, some with a device: cuda:1")
    if colon and not _has(name, device):
        raise UsageError(f"{text!r} names no device of {name}; {_devices(name)}")
    return Wanted(name, device)


def _has(name: str, device: str) -> bool:
    if name in ("cuda", "directml"):
        return device.isascii() and device.isdecimal()
    if name == "openvino":
        kind, dot, number = device.partition(".")
        return kind in OPENVINO_DEVICES and (not dot or (kind == "gpu" and number.isdecimal()))
    return name == "coreml" and device in COREML_UNITS


def _devices(name: str) -> str:
    if name in ("cuda", "directml"):
        return f"write the GPU's number: {name}:0"
    known = {"openvino": OPENVINO_DEVICES, "coreml": COREML_UNITS}.get(name)
    return f"write one of {', '.join(f'{name}:{device}' for device in known)}" if known else "leave out the device"
