"""What a training runs on, and in which precision."""

from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch

from rtsr.errors import UsageError
from rtsr.processor import processor

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("float32", "tf32", "bf16")


@dataclass(frozen=True, slots=True)
class Hardware:
    """A device and the precision of its convolutions; weights and optimiser are float32 everywhere."""

    device: str = "cpu"
    """`cpu` or `cuda`."""
    precision: str = "float32"
    """`float32`; on cuda `tf32` (products of 19 bits); on cuda and on processors that compute in it `bf16` (autocast,
    values of 16 bits)."""

    def prepare(self) -> None:
        """Let CUDA's products use 19 bits where the precision says so, and only there; process-wide."""
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = self.precision == "tf32"

    def describe(self) -> str:
        """The device by name, and how it is used: "2 threads of AMD EPYC 7R13", "NVIDIA L4, bf16"."""
        if self.device == "cpu":
            threads = torch.get_num_threads()
            used = f"{threads} thread{'s' if threads > 1 else ''} of {processor()}"
            return used if self.precision == "float32" else f"{used}, {self.precision}"
        return f"{torch.cuda.get_device_name()}, {self.precision}"

    def autocast(self) -> AbstractContextManager[object]:
        """Within it, a forward pass runs in the precision."""
        return torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bf16")


def choose_hardware(device: str = "auto", precision: str = "float32") -> Hardware:
    """The hardware asked for; `auto` is CUDA where PyTorch can use it.

    Raises UsageError for names unknown, for CUDA where it cannot be used, for a precision that the device lacks.
    """
    if device not in DEVICES:
        raise UsageError(f"unknown device {device!r}; known: {', '.join(DEVICES)}")
    if precision not in PRECISIONS:
        raise UsageError(f"unknown precision {precision!r}; known: {', '.join(PRECISIONS)}")
    usable = torch.cuda.is_available()
    if device == "cuda" and not usable:
        raise UsageError(f"PyTorch {torch.__version__} finds no CUDA device; install a CUDA build, or use --device cpu")
    chosen = "cuda" if usable and device != "cpu" else "cpu"
    if chosen == "cpu" and precision == "tf32":
        raise UsageError("tf32 needs CUDA, and this runs on cpu; leave --precision out")
    if chosen == "cpu" and precision == "bf16" and not computes_in_bf16():
        raise UsageError(
            "bf16 needs CUDA, or a processor that computes in it (AVX-512 BF16 or AMX), and PyTorch finds neither; "
            "leave --precision out"
        )
    return Hardware(chosen, precision)


def computes_in_bf16() -> bool:
    """Whether this processor multiplies values of 16 bits, and faster than float32, as far as PyTorch can tell."""
    able = getattr(torch.cpu, "get_capabilities", dict)()  # Older releases of PyTorch do not say.
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))
