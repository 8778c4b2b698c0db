"""Engines, one optional dependency a file."""

from collections.abc import Callable
from fractions import Fraction

from rtsr.engine.base import Engine
from rtsr.engine.fsr import Fsr
from rtsr.engine.resample import bicubic, lanczos

RESAMPLERS: dict[str, Callable[[Fraction], Engine]] = {"bicubic": bicubic, "lanczos": lanczos, "fsr": Fsr}
"""The engines without a network: name to constructor, which takes the scale."""
