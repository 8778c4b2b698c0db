"""A video or a picture upscaled by one call."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from rtsr.arguments import check_callable
from rtsr.duration import as_seconds
from rtsr.job import Job
from rtsr.pacing.deadline import as_late
from rtsr.pacing.delivery import Live
from rtsr.pacing.paced import Pace
from rtsr.pipeline import run
from rtsr.report import Progress, Report
from rtsr.scale import as_scale
from rtsr.sink.encoding import Encoding


def upscale(
    source: str | Path,
    output: str | Path | None = None,
    *,
    scale: float | str | Fraction | None = None,
    height: int | None = None,
    size: tuple[int, int] | None = None,
    model: str | Path | None = None,
    engine: str = "auto",
    provider: str | None = None,
    precision: str | None = None,
    decode: str = "cpu",
    fps: float | None = None,
    deadline: float | str | None = None,
    quality: float | None = None,
    late: str | None = None,
    live: Live | None = None,
    reference: str | Path | None = None,
    threads: int | None = None,
    encoding: Encoding | None = None,
    overwrite: bool = False,
    watch: Callable[[Progress], None] | None = None,
) -> Report:
    """Upscale the video `source` and write `output`, with its sound; one of scale, height and size is given.

    `scale` is above 1 and at most 4; `height` (lines) and `size` (width, height) count pixels of the picture
    turned as displayed. `output` is by default `source`'s stem with `_1.5x` behind it, in the same folder;
    `engine`, `provider` and `precision` are as for `Upscaler`; `threads` bounds the network's cores; `decode` is "cpu"
    or "gpu", which leaves frames on an NVIDIA GPU, see `docs/gpu.md`.

    At most one of `fps`, `deadline` (seconds, or text such as "16.7ms") and `quality` (0 to 1, a share of the
    network's full compute) says what may be spent on a frame; `late` is "degrade", "repeat" or "drop". With `live`,
    `source` may be an address such as udp://127.0.0.1:5000. The frames are compared with those of `reference`.

    A picture becomes a larger picture (PNG, JPEG or WebP) in the same way; what is said above of frames, and
    `encoding`, is for videos alone. `watch` is called after every frame of a video, in the calling thread, with how far
    it is.
    Raises RtsrError; see `rtsr.pipeline.run`.
    """
    check_callable(watch, "watch")
    return run(
        Job(
            source=source,
            output=output,
            scale=None if scale is None else as_scale(scale),
            height=height,
            size=size,
            model=model,
            engine=engine,
            provider=provider,
            precision=precision,
            decode=decode,
            pace=Pace.of(fps, None if deadline is None else as_seconds(deadline), quality),
            late=None if late is None else as_late(late),
            live=live,
            reference=reference,
            threads=threads,
            encoding=Encoding() if encoding is None else encoding,
            overwrite=overwrite,
        ),
        watch,
    )
