"""What was said of a run, a preset behind it, and the job that both describe."""

from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from rtsr.engine import RESAMPLERS
from rtsr.errors import UsageError
from rtsr.job import Job
from rtsr.pacing.deadline import Late
from rtsr.pacing.delivery import Live
from rtsr.pacing.paced import Pace
from rtsr.part import WHOLE, Part
from rtsr.preset import NVIDIA, Preset
from rtsr.sink.encoding import RATES, Encoding
from rtsr.still import is_still

ONLY_VIDEO = ("decode", "fps", "deadline", "quality", "late", "live", "latency", "codec", "crf", "encoder_options")
"""Keys of presets that mean nothing for a picture."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What was said; None, False and empty where nothing was. Fields that `Job` has, too, are as there."""

    source: Path | str
    output: Path | str | None = None
    scale: Fraction | None = None
    height: int | None = None
    size: tuple[int, int] | None = None
    model: str | Path | None = None
    engine: str | None = None
    provider: str | None = None
    precision: str | None = None
    decode: str | None = None
    pace: Pace | None = None
    part: Part = WHOLE
    late: Late | None = None
    live: bool = False
    realtime: bool = False
    latency: float | None = None
    """As `Live`'s, in seconds; so is `stall`."""
    stall: float | None = None
    reference: Path | str | None = None
    codec: str | None = None
    crf: int | None = None
    options: dict[str, str] = field(default_factory=dict)
    """Further options of the encoder."""
    threads: int | None = None
    overwrite: bool = False
    preset: str | None = None
    """Name of the preset, for the report."""

    def with_preset(self, preset: Preset) -> tuple[Job, list[str]]:
        """The job that `preset` describes where nothing was said; and what of it was left out, in lines for people.

        A picture gets none of what a preset says of videos. Raises UsageError.
        """
        notes = []
        if is_still(self.source):
            said = [key for key in ONLY_VIDEO if getattr(preset, key) is not None]
            names = ", ".join(key.replace("_", " ") for key in said)
            notes = [f"left out of the preset, as it is for videos: {names}"] if said else []
            preset = replace(preset, **dict.fromkeys(said))
        return self._job(preset), [*notes, *self._left_out(preset)]

    def _job(self, preset: Preset) -> Job:
        sized = self.scale is not None or self.height is not None or self.size is not None
        if not sized and preset.scale is None and preset.height is None:
            raise UsageError("say how far to upscale: --scale 1.5, --height 1080 or --size 1920x1080")
        pace, live = self._pace(preset), self._live(preset)
        timed = live is not None or (pace is not None and pace.deadline is not None)
        return Job(
            source=self.source,
            output=self.output,
            scale=self.scale if sized else preset.scale,
            height=self.height if sized else preset.height,
            size=self.size,
            model=_first(self.model, None if self.engine in RESAMPLERS else preset.model),
            engine=_first(self.engine, preset.engine if self.model is None else None, "auto"),
            provider=_first(self.provider, preset.provider if self.engine in (None, "auto", "onnx") else None),
            precision=_first(self.precision, preset.precision if self._on_gpu() else None),
            decode=_first(self.decode, preset.decode if self._on_gpu() else None, "cpu"),
            pace=pace,
            late=_first(self.late, preset.late if timed else None),
            live=live,
            part=self.part,
            reference=self.reference,
            threads=self.threads,
            encoding=self._encoding(preset),
            overwrite=self.overwrite,
            preset=self.preset,
        )

    def _left_out(self, preset: Preset) -> list[str]:
        """What `preset` says that does not go with what was said, in lines for people."""
        notes = []
        paced = next((key for key in ("fps", "deadline", "quality") if getattr(preset, key) is not None), None)
        if self.engine in RESAMPLERS and preset.model is not None:
            notes.append(f"the preset's model is left out: {self.engine} runs no network")
        if self.engine in RESAMPLERS and paced is not None:
            notes.append(f"the preset's {paced} is left out: {self.engine} has no shares to spend")
        if not self._keeps_encoder(preset) and (preset.crf is not None or preset.encoder_options):
            notes.append(f"the preset's crf and encoder options are left out: they are not meant for {self.codec}")
        if preset.precision is not None and not self._on_gpu():
            notes.append(f"the preset's precision is left out: it is not meant for {self.engine or self.provider}")
        return notes

    def _on_gpu(self) -> bool:
        """Whether what is said to compute may be an NVIDIA GPU, which a preset's decoder and precision are for."""
        return self.engine in (None, "auto", *NVIDIA) and self.provider is None

    def _pace(self, preset: Preset) -> Pace | None:
        """What may be spent on a frame; what was said replaces all that the preset says of it."""
        if self.pace is not None or self.engine in RESAMPLERS:  # These have no shares to spend.
            return self.pace
        return Pace.of(preset.fps, preset.deadline, preset.quality)

    def _live(self, preset: Preset) -> Live | None:
        if not (self.live or self.realtime or preset.live):
            if self.latency is not None or self.stall is not None:
                raise UsageError("--latency and --stall are for live input; add --live")
            return None
        usual, wished = Live(), self.latency if self.latency is not None else preset.latency
        return Live(
            latency=usual.latency if wished is None else wished,
            stall=usual.stall if self.stall is None else self.stall,
            realtime=self.realtime,
        )

    def _encoding(self, preset: Preset) -> Encoding:
        # Quality and options of a preset are meant for its own encoder.
        same_codec = self._keeps_encoder(preset)
        kept = dict(preset.encoder_options or {}) if same_codec else {}
        rated = self.crf is not None or any(key in self.options for key in RATES)
        if rated:  # One rate replaces another.
            kept = {key: value for key, value in kept.items() if key not in RATES}
        return Encoding(
            codec=self.codec or preset.codec or "libx264",
            crf=preset.crf if same_codec and not rated else self.crf,
            options={**kept, **self.options},
        )

    def _keeps_encoder(self, preset: Preset) -> bool:
        return self.codec is None or self.codec == (preset.codec or "libx264")


def _first(*said: Any) -> Any:
    """The first that is not None, if there is one."""
    return next((value for value in said if value is not None), None)
