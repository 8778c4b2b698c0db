"""What a network is to run on: what was asked for, or with `auto` what is best here, with the reason."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtsr.arguments import chosen
from rtsr.engine import RESAMPLERS, open_engine
from rtsr.engine.base import Engine
from rtsr.engine.int8 import open_int8
from rtsr.engine.onnx import OnnxEngine
from rtsr.engine.session import check_threads
from rtsr.engine.stages import StagedEngine
from rtsr.errors import EngineError, UsageError
from rtsr.preset import ENGINES, NVIDIA, PRECISIONS, RUN_NETWORKS
from rtsr.provider import parse_provider
from rtsr.resources import Network, find_reaching_network

if TYPE_CHECKING:
    from rtsr.nvidia.network import NvidiaNetwork

Size = tuple[int, int]
Tell = Callable[[str], None]
"""Is told, in a line, what takes long before the first frame."""
FINEST = 12
"""Resamplers work and pad more the larger the ratio's numbers are: odd ratios take the next of these parts."""


@dataclass(frozen=True, slots=True)
class Means:
    """What pixels are to be computed with; raises UsageError for what does not go together."""

    engine: str = "auto"
    """One of `rtsr.preset.ENGINES`."""
    provider: str | None = None
    """What ONNX Runtime runs on (see `rtsr.provider`), and that it does; None: `auto`, where it runs at all."""
    threads: int | None = None
    """Cores for what runs on the processor; None: all. With `auto`, only where that is what is taken."""
    precision: str | None = None
    """What networks compute in, one of `rtsr.preset.PRECISIONS`; None: fp16 on NVIDIA engines, else fp32. By ONNX
    Runtime, int8 is for the processor (see `rtsr.engine.int8`), and fp16 for nothing."""

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise UsageError(f"unknown engine {self.engine!r}; known: {', '.join(ENGINES)}")
        if self.provider is not None:
            parse_provider(self.provider)
            if self.engine not in ("auto", "onnx"):
                raise UsageError(f"a provider is what ONNX Runtime runs on; leave it out, or the engine {self.engine}")
        object.__setattr__(self, "threads", check_threads(self.threads))
        if self.threads is not None and self.engine in NVIDIA:
            raise UsageError(f"threads are cores, and the engine {self.engine} runs on the GPU; leave out threads")
        if self.precision is None:
            return
        if self.precision not in PRECISIONS:
            raise UsageError(f"unknown precision {self.precision!r}; known: {', '.join(PRECISIONS)}")
        if self.engine not in RUN_NETWORKS:
            raise UsageError(f"a precision is for networks, and {self.engine} runs none; leave out precision")
        if self.precision == "fp16" and (self.engine == "onnx" or self.provider is not None):
            raise UsageError(
                "fp16 is for NVIDIA engines, rtx and tensorrt; take one of these, int8, or leave out precision"
            )

    def open(
        self, network: Network, tell: Tell | None = None, size: Size | None = None, strict: bool = True
    ) -> "OnnxEngine | StagedEngine | NvidiaNetwork":
        """The engine that runs `network`; its `runtime` says which it is, and why where that was open. `size` are
        the frames' width and height, where they are known. Not `strict`: where the precision is int8 and the processor
        has no such form of `network`, it runs in floats, beside others.

        Raises UsageError, CardError where the network is not its card's, EngineError where it cannot be loaded or
        what was asked for is not usable here.
        """
        if self.engine not in RUN_NETWORKS:
            raise UsageError(f"the engine {self.engine} runs no network")
        if self.engine == "onnx" or self.provider is not None:
            return self._open_onnx(network, strict)
        # Not at import: `import rtsr` is to be quick, and most machines have no such GPU.
        from rtsr.nvidia.network import NvidiaNetwork
        from rtsr.nvidia.opening import find, find_any

        precision = self.precision or "fp16"
        if self.engine in NVIDIA:
            return NvidiaNetwork(network, find(self.engine), "", precision, size, tell)
        ready = find_any()
        if not isinstance(ready, str):
            return NvidiaNetwork(network, ready, "the best that is usable here", precision, size, tell)
        if self.precision == "fp16":
            raise UsageError(f"fp16 is for NVIDIA engines, and none is usable here ({ready}); leave out precision")
        opened = self._open_onnx(network, strict)
        opened.runtime = f"{runtime_of(opened)}, {ready}"
        return opened

    def _open_onnx(self, network: Network, strict: bool) -> OnnxEngine | StagedEngine:
        if self.precision == "int8" and (strict or network.card.int8 is not None):
            return open_int8(network, self.threads, self.provider)
        return open_engine(network.card, network.path, self.threads, self.provider or "auto")

    def gpu(self) -> int:
        """The index of the NVIDIA GPU that `open` lets networks run on; raises EngineError where it does not."""
        from rtsr.nvidia.opening import find, find_any

        if self.engine in NVIDIA:
            return find(self.engine).device.index
        ready = find_any()
        if isinstance(ready, str):
            raise EngineError(f"no network runs on an NVIDIA GPU here ({ready}); leave out --decode gpu")
        return ready.device.index

    def open_reaching(
        self,
        model: str | Path | None,
        default: str,
        scale: Fraction,
        tell: Tell | None = None,
        size: Size | None = None,
    ) -> Engine:
        """The engine that reaches `scale`, in one run or several, best; `model` is by default `default`."""
        if self.engine not in RESAMPLERS:
            return self.open(find_reaching_network(chosen(model, default), scale), tell, size)
        if model is not None:
            raise UsageError(f"the engine {self.engine} uses no network; leave out either engine or model")
        return RESAMPLERS[self.engine](scale if scale.denominator <= FINEST else Fraction(ceil(scale * FINEST), FINEST))


def runtime_of(engine: Engine) -> str:
    """What runs `engine`, for people."""
    return getattr(engine, "runtime", "no network")


def ran(engine: Engine) -> dict[str, Any]:
    """What `rtsr.report.Report` says of `engine`: its model, provider and reason."""
    provider, _, reason = runtime_of(engine).partition(": ")
    return {"model": engine.card.name, "provider": provider, "reason": reason}
