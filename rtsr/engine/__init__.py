"""Engines, one optional dependency a file."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from rtsr.card import Card
from rtsr.engine.base import Engine
from rtsr.engine.fsr import Fsr
from rtsr.engine.onnx import OnnxEngine
from rtsr.engine.resample import bicubic, lanczos
from rtsr.engine.stages import StagedEngine

RESAMPLERS: dict[str, Callable[[Fraction], Engine]] = {"bicubic": bicubic, "lanczos": lanczos, "fsr": Fsr}
"""The engines without a network: name to constructor, which takes the scale."""


def open_engine(card: Card, path: Path, threads: int | None = None, provider: str = "cpu") -> OnnxEngine | StagedEngine:
    """ONNX Runtime's engine for the network at `path` that `card` describes: in stages where it has several exits.

    `threads` bounds its cores; `provider` is what it runs on (see `rtsr.provider`). Raises CardError where `path` is
    not what the card was written for, EngineError where it cannot be loaded, or not with the provider.
    """
    return (StagedEngine if card.exits else OnnxEngine)(card, path, threads, provider)
