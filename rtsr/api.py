"""A video or a picture upscaled by one call."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from threading import Event

from rtsr.arguments import check_callable, check_kind, path
from rtsr.duration import as_seconds
from rtsr.engine.choice import Tell
from rtsr.pacing.deadline import as_late
from rtsr.pacing.delivery import Live
from rtsr.pacing.paced import Pace
from rtsr.part import as_part
from rtsr.pipeline import run
from rtsr.preset import Preset, read_preset
from rtsr.report import Progress, Report
from rtsr.resources import preset_path
from rtsr.scale import as_scale
from rtsr.sink.encoding import Encoding
from rtsr.wish import Wish


def upscale(
    source: str | Path,
    output: str | Path | None = None,
    *,
    scale: float | str | Fraction | None = None,
    height: int | None = None,
    size: tuple[int, int] | None = None,
    preset: str | Path | Preset | None = None,
    model: str | Path | None = None,
    engine: str | None = None,
    provider: str | None = None,
    precision: str | None = None,
    decode: str | None = None,
    fps: float | None = None,
    deadline: float | str | None = None,
    quality: float | None = None,
    late: str | None = None,
    live: Live | None = None,
    start: float | str | Fraction = 0,
    duration: float | str | Fraction | None = None,
    reference: str | Path | None = None,
    threads: int | None = None,
    encoding: Encoding | None = None,
    overwrite: bool = False,
    watch: Callable[[Progress], None] | None = None,
    tell: Tell | None = None,
    stop: Event | None = None,
) -> Report:
    """Upscale the video `source` and write `output`, with its sound; one of scale, height, size and preset is given.

    `scale` is above 1 and at most 4; `height` (lines) and `size` (width, height) count pixels of the picture
    turned as displayed. `output` is by default `source`'s stem with `_1.5x` behind it, in the same folder;
    `engine` ("auto" by default), `provider` and `precision` are as for `Upscaler`; `threads` bounds the network's
    cores; `decode` is "cpu", the default, or "gpu", which leaves frames on an NVIDIA GPU, see `docs/gpu.md`.

    At most one of `fps`, `deadline` (seconds, or text such as "16.7ms") and `quality` (0 to 1, a share of the
    network's full compute) says what may be spent on a frame; `late` is "degrade", "repeat" or "drop". With `live`,
    `source` may be an address such as udp://127.0.0.1:5000. The frames are compared with those of `reference`.

    `start` and `duration`, in seconds or as text ("1:30", "250ms"), take a part of a video, with its sound and
    chapters, counted from the first picture; its default name ends in, e.g., `_1.5x_90s-100s`.

    `preset`, the name of one that ships (`rtsr presets` lists them) or a path to a .toml file, fills in what is not
    given here. What it says does not always go with the rest: the report's notes name what was left out.

    A picture becomes a larger picture (PNG, JPEG or WebP) in the same way; what is said above of frames, and
    `encoding`, is for videos alone. `watch` is called after every frame of a video, in the calling thread, with how far
    it is; `tell` with lines for people, where something takes long. `stop`, which another thread may set, ends the run
    behind the frame that is being written: the report says that it was `stopped`, and where the part is that was made.
    Raises RtsrError; see `rtsr.pipeline.run`.
    """
    check_callable(watch, "watch")
    check_callable(tell, "tell")
    if live is not None:
        check_kind(live, Live, "live", "rtsr.Live()")
    if encoding is not None:
        check_kind(encoding, Encoding, "encoding", 'rtsr.Encoding("libx265")')
    chosen, name = _preset(preset)
    wish = Wish(
        source=path(source, "the source"),
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
        part=as_part(start, duration),
        live=live is not None,
        realtime=live is not None and live.realtime,
        latency=None if live is None else live.latency,
        stall=None if live is None else live.stall,
        reference=reference,
        codec=None if encoding is None else encoding.codec,
        crf=None if encoding is None else encoding.crf,
        options={} if encoding is None else encoding.options,
        threads=threads,
        overwrite=overwrite,
        preset=name,
    )
    job, left_out = wish.with_preset(chosen)
    report = run(job, watch, tell, stop)
    return replace(report, notes=(*left_out, *report.notes))


def _preset(preset: str | Path | Preset | None) -> tuple[Preset, str | None]:
    """What to take where nothing is said, and its name."""
    if isinstance(preset, Preset):
        return preset, preset.summary
    if preset is None:
        return Preset(summary="no preset"), None
    name = str(path(preset, "a preset"))
    return read_preset(preset_path(name)), name
