"""rtsr upscales video and game captures with small neural networks.

import rtsr

rtsr.upscale("in.mp4", scale=1.5)

with rtsr.Upscaler(scale=2) as upscale:
    large = upscale(image)  # (H, W, 3) uint8 RGB in and out
"""

from fractions import Fraction
from pathlib import Path

from rtsr.errors import RtsrError, UsageError
from rtsr.pipeline import Job, Report, run
from rtsr.scale import as_scale
from rtsr.sink.pyav import Encoding
from rtsr.upscaler import Upscaler

__all__ = ["Encoding", "Job", "Report", "RtsrError", "Upscaler", "UsageError", "run", "upscale"]
__version__ = "0.1.0"


def upscale(
    source: str | Path,
    output: str | Path | None = None,
    *,
    scale: float | str | Fraction | None = None,
    height: int | None = None,
    size: tuple[int, int] | None = None,
    model: str | Path | None = None,
    engine: str = "auto",
    threads: int | None = None,
    encoding: Encoding | None = None,
    overwrite: bool = False,
) -> Report:
    """Upscale the video file `source` and write `output`, with its sound; one of scale, height and size is given.

    `scale` is above 1 and at most 4; `height` (lines) and `size` (width, height) count pixels of the picture
    turned as displayed. `output` is by default `source`'s stem with `_1.5x` behind it, in the same folder;
    `threads` bounds the network's cores. Raises RtsrError; see `rtsr.pipeline.run`.
    """
    return run(
        Job(
            source=Path(source),
            output=None if output is None else Path(output),
            scale=None if scale is None else as_scale(scale),
            height=height,
            size=size,
            model=model,
            engine=engine,
            threads=threads,
            encoding=encoding or Encoding(),
            overwrite=overwrite,
        )
    )
