"""ONNX Runtime's execution providers: what each needs, how it is set up, and which one `auto` takes.

ONNX Runtime itself goes on with the processor where a provider cannot be loaded, and where one fails in the middle of
a run. Here what was asked for runs, or an error says why not (`rtsr.engine.session`).
"""

import ctypes
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import onnxruntime

from rtsr.errors import EngineError
from rtsr.provider import Wanted

INSTEAD = "pip uninstall -y onnxruntime && pip install"
"""ONNX Runtime's packages share one folder: a second one beside the first breaks both."""


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider of ONNX Runtime, on one device."""

    name: str
    """As in `rtsr.provider.PROVIDERS`."""
    title: str
    """For people."""
    runtime_name: str
    """ONNX Runtime's own name for it."""
    install: str
    """The line that installs ONNX Runtime with it; empty where there is none."""
    platform: str = ""
    """What `sys.platform` is where it exists; empty for any."""
    system: str = ""
    """That platform's name for people."""
    device: str = ""
    """As in `rtsr.provider.Wanted`."""
    why: str = ""
    """Why `auto` took it; empty where it was asked for."""

    def describe(self) -> str:
        """What runs, and why where `auto` chose."""
        on = f"{self.title} {self.device.upper()}" if self.device else self.title
        return f"ONNX Runtime, {on}" + (f": {self.why}" if self.why else "")

    def options(self, threads: int | None) -> dict[str, str]:
        """The provider's options, such that results are those of the processor in float32."""
        return OPTIONS[self.name](self.device, threads)


CPU = Provider("cpu", "CPU", "CPUExecutionProvider", "pip install onnxruntime")
TABLE = {
    provider.name: provider
    for provider in (
        CPU,
        Provider("cuda", "CUDA", "CUDAExecutionProvider", f"{INSTEAD} 'onnxruntime-gpu[cuda,cudnn]'"),
        Provider("directml", "DirectML", "DmlExecutionProvider", f"{INSTEAD} onnxruntime-directml", "win32", "Windows"),
        Provider("coreml", "CoreML", "CoreMLExecutionProvider", "pip install onnxruntime", "darwin", "macOS"),
        Provider("openvino", "OpenVINO", "OpenVINOExecutionProvider", f"{INSTEAD} onnxruntime-openvino"),
    )
}
BETTER = ("cuda", "directml")
"""What `auto` prefers to the processor, best first. Not OpenVINO, which was measured to be no faster on processors
(benchmarks/results/providers.json), nor CoreML, which nobody has run yet."""


def _cuda(device: str, threads: int | None) -> dict[str, str]:
    # TF32 has ten bits of mantissa. Searching for the fastest convolution would start anew for every size of tile.
    return {"device_id": device or "0", "use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}


def _directml(device: str, threads: int | None) -> dict[str, str]:
    return {"device_id": device} if device else {}


def _coreml(device: str, threads: int | None) -> dict[str, str]:
    # The older format computes in half precision.
    units = {"": "ALL", "cpuandgpu": "CPUAndGPU", "cpuandneuralengine": "CPUAndNeuralEngine", "cpuonly": "CPUOnly"}
    return {"ModelFormat": "MLProgram", "MLComputeUnits": units.get(device, "ALL"), "RequireStaticInputShapes": "0"}


def _openvino(device: str, threads: int | None) -> dict[str, str]:
    # OpenVINO's own choice may be bfloat16 where the processor has it, and is half precision on GPUs.
    kind = (device or "cpu").upper()
    hints: dict[str, object] = {"INFERENCE_PRECISION_HINT": "f32"}
    if kind == "CPU":
        # Networks beside each other would be bound to the same core: two streams took twice the time.
        hints["ENABLE_CPU_PINNING"] = "NO"
        if threads:
            hints["INFERENCE_NUM_THREADS"] = threads
    exact = {} if kind == "NPU" else {"load_config": json.dumps({kind.partition(".")[0]: hints})}
    return {"device_type": kind, **exact}


OPTIONS: dict[str, Callable[[str, int | None], dict[str, str]]] = {
    "cpu": lambda device, threads: {},
    "cuda": _cuda,
    "directml": _directml,
    "coreml": _coreml,
    "openvino": _openvino,
}


def choose(wanted: Wanted, loads: Callable[[Provider], object]) -> Provider:
    """The provider that was asked for, or the best that `loads` where that is `auto`; raises EngineError.

    `loads` opens a network with a provider, and raises EngineError where that does not go.
    """
    if wanted.name != "auto":
        provider = replace(TABLE[wanted.name], device=wanted.device)
        check_built(provider)
        return provider
    here, failed = set(onnxruntime.get_available_providers()), []
    for provider in (TABLE[name] for name in BETTER if TABLE[name].runtime_name in here):
        try:
            loads(provider)
        except EngineError as cause:
            failed.append(str(cause).split("; ")[0])
        else:
            return replace(provider, why="the best that loads here")
    others = [p.title for p in TABLE.values() if p.runtime_name in here and p.name not in (CPU.name, *BETTER)]
    only = f"{' and '.join(others)} on request only" if others else "no other provider"
    return replace(CPU, why="; ".join(failed) or only)


def check_built(provider: Provider) -> None:
    """Raise EngineError where the ONNX Runtime that is installed was built without `provider`."""
    here = onnxruntime.get_available_providers()
    if provider.runtime_name in here:
        return
    if provider.platform not in ("", sys.platform):
        raise EngineError(f"{provider.title} is a part of {provider.system}, and this is {sys.platform}; try: cpu")
    raise EngineError(
        f"ONNX Runtime {onnxruntime.__version__} was installed without {provider.title}; try: {provider.install}"
    )


def why_not(provider: Provider) -> EngineError:
    """What to say where ONNX Runtime has `provider`, and yet did not load it."""
    missing = _missing_library(provider.name)
    if missing:
        return EngineError(f"{provider.title} does not load: {missing}; try: {provider.install}")
    device = f"a device {provider.device.upper()}" if provider.device else "a device"
    return EngineError(f"{provider.title} does not load: it finds no {device[2:]} here; see: rtsr doctor")


def _missing_library(name: str) -> str:
    """The library that the provider `name` needs and does not find, in the system's words; empty where all are there.

    ONNX Runtime only logs it. Its providers are libraries of their own, beside its Python module.
    """
    beside = Path(onnxruntime.__file__).parent / "capi"
    prefix, suffix = ("", ".dll") if sys.platform == "win32" else ("lib", ".so")
    library = beside / f"{prefix}onnxruntime_providers_{name}{suffix}"
    if not library.is_file():
        return ""
    try:
        ctypes.CDLL(str(library.with_name(f"{prefix}onnxruntime_providers_shared{suffix}")), ctypes.RTLD_GLOBAL)
        ctypes.CDLL(str(library))
    except OSError as cause:
        return str(cause).splitlines()[0]
    return ""
