"""The one place that imports VapourSynth."""

import sys
from typing import TYPE_CHECKING

from rtsr.errors import MissingDependency, need

if TYPE_CHECKING:
    import vapoursynth as vs  # pyright: ignore[reportMissingImports]
elif sys.version_info < (3, 12):
    raise MissingDependency("VapourSynth needs Python 3.12 or newer; there: pip install 'rtsr[vs]'")
else:
    vs = need("vapoursynth", "vs")

__all__ = ["vs"]
