"""A preset: a named choice of options for one use, in a TOML file."""

import dataclasses
import tomllib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from rtsr.duration import LONGEST, parse_duration
from rtsr.errors import PresetError, UsageError
from rtsr.pacing.deadline import Late
from rtsr.provider import PROVIDERS, parse_provider
from rtsr.scale import LARGEST, parse_scale

NVIDIA = ("rtx", "tensorrt")
"""Engines for NVIDIA's GPUs: TensorRT-RTX and TensorRT."""
RUN_NETWORKS = ("auto", "onnx", *NVIDIA)
"""Engines that run networks; `auto` picks and says why."""
ENGINES = (*RUN_NETWORKS, "bicubic", "lanczos", "fsr")
"""What may compute the pixels."""
PRECISIONS = ("fp32", "fp16", "int8")
"""What networks may compute in; int8 is 8-bit weights and fp16 arithmetic on NVIDIA's GPUs, and whole numbers on the
processor, which does not do fp16."""

DECODE = ("cpu", "gpu")
"""Where frames may be decoded."""
LARGEST_CRF = 63
PROVIDER = f'one of {", ".join(PROVIDERS)}, some with a device such as "cuda:1"'


@dataclass(frozen=True, slots=True)
class Preset:
    """Options of one use; None means that the preset leaves the option alone."""

    summary: str
    """One line for tables: what the preset is for."""
    scale: Fraction | None = None
    """Output side over input side, above 1, at most 4; in TOML a number or a ratio ("3/2"). Excludes `height`."""
    height: int | None = None
    """Output height in pixels. Excludes `scale`."""
    model: str | None = None
    """A network's name, as `rtsr models` lists it, its architecture, with or without the flavour, or a card's path."""
    engine: str | None = None
    """One of `ENGINES`."""
    provider: str | None = None
    """What ONNX Runtime runs on: one of `rtsr.provider.PROVIDERS`, some with a device ("cuda:1")."""
    precision: str | None = None
    """What networks compute in: one of `PRECISIONS`; int8 also on the processor, fp16 on NVIDIA engines alone."""
    decode: str | None = None
    """Where frames are decoded: one of `DECODE`."""
    fps: float | None = None
    """Frames per second, above 0 and at most 1000: none takes longer than its time. Excludes `deadline`, `quality`."""
    deadline: float | None = None
    """Seconds for a frame, decoded to upscaled; in TOML a text with a unit ("16.7ms"). Excludes `fps`, `quality`."""
    quality: float | None = None
    """Share of the network's full compute to spend, 0 to 1. Excludes `fps`, `deadline`."""
    late: Late | None = None
    """What becomes of frames that cannot be made in time: "degrade", "repeat" or "drop". With a time or `live`."""
    live: bool | None = None
    """Whether the input's clock rules."""
    latency: float | None = None
    """Seconds after its time that a live frame may be upscaled; in TOML a text with a unit ("100ms"). With `live`."""
    codec: str | None = None
    """Name of the video encoder, e.g. `libx264`."""
    crf: int | None = None
    """The encoder's constant quality, 0 (best) to 63; libx264 stops at 51."""
    encoder_options: dict[str, str] | None = None
    """More options for the encoder, e.g. `preset = "veryfast"`."""

    def __post_init__(self) -> None:
        _check("summary", _is_text(self.summary), self.summary, "text")
        for key in ("model", "codec"):
            got = getattr(self, key)
            _check(key, got is None or _is_text(got), got, "text")
        valid = self.scale is None or (isinstance(self.scale, Fraction) and 1 < self.scale <= LARGEST)
        _check("scale", valid, self.scale, f'a number or a ratio such as "3/2", above 1 and at most {LARGEST}')
        _check("height", self.height is None or _is_whole(self.height, 1), self.height, "a whole number of 1 or more")
        _check("engine", self.engine is None or self.engine in ENGINES, self.engine, f"one of {', '.join(ENGINES)}")
        _check("provider", self.provider is None or _is_provider(self.provider), self.provider, PROVIDER)
        valid = self.precision is None or self.precision in PRECISIONS
        _check("precision", valid, self.precision, f"one of {', '.join(PRECISIONS)}")
        _check("decode", self.decode is None or self.decode in DECODE, self.decode, f"one of {', '.join(DECODE)}")
        valid = self.crf is None or _is_whole(self.crf, 0, LARGEST_CRF)
        _check("crf", valid, self.crf, f"a whole number, 0 to {LARGEST_CRF}")
        options = self.encoder_options
        valid = options is None or (isinstance(options, dict) and all(isinstance(v, str) for v in options.values()))
        _check("encoder_options", valid, options, 'a table of texts such as preset = "fast"')
        self._check_times()
        if self.scale is not None and self.height is not None:
            raise PresetError("scale and height exclude each other; keep one")

    def _check_times(self) -> None:
        _check("fps", self.fps is None or _is_number(self.fps, 1000), self.fps, "a number above 0, at most 1000")
        for key in ("deadline", "latency"):
            got = getattr(self, key)
            valid = got is None or _is_number(got, LONGEST)
            _check(key, valid, got, 'a duration above 0, at most an hour, with its unit, such as "16.7ms"')
        valid = self.quality is None or _is_number(self.quality, 1) or (self.quality == 0 and self.quality is not False)
        _check("quality", valid, self.quality, "a number from 0 to 1")
        _check("late", self.late is None or self.late in tuple(Late), self.late, f"one of {', '.join(Late)}")
        _check("live", self.live is None or isinstance(self.live, bool), self.live, "true or false")
        said = [key for key in ("fps", "deadline", "quality") if getattr(self, key) is not None]
        if len(said) > 1:
            raise PresetError(f"{' and '.join(said)} exclude each other; keep one")
        if self.quality is not None and self.live:
            raise PresetError("quality takes the time that it takes, and live does not wait; keep one")
        if self.late is not None and self.fps is None and self.deadline is None and not self.live:
            raise PresetError("late means nothing without a deadline; add fps, deadline or live = true")
        if self.latency is not None and not self.live:
            raise PresetError("latency means nothing without live = true; add that, or leave it out")


def read_preset(path: Path) -> Preset:
    """The preset in the TOML file `path`; raises PresetError for an unknown or missing key or a wrong value."""
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
        allowed = [entry.name for entry in dataclasses.fields(Preset)]
        unknown = sorted(raw.keys() - set(allowed))
        if unknown:
            raise PresetError(f"unknown {', '.join(unknown)}; allowed: {', '.join(allowed)}")
        if "summary" not in raw:
            raise PresetError("summary is missing; add one line of text that says what the preset is for")
        for key, understand in UNDERSTOOD.items():
            if key in raw:
                raw[key] = understand(raw[key])
        return Preset(**raw)
    except OSError as cause:
        raise PresetError(f"cannot read the preset {path}: {cause.strerror}") from cause
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as cause:
        raise PresetError(f"preset {path.name} is not TOML: {cause}") from cause
    except PresetError as cause:
        raise PresetError(f"preset {path.name}: {cause}") from cause


def _ratio(value: object) -> object:
    """`value` as an exact ratio; as it was, for the preset to reject, where it is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return value
    try:
        return parse_scale(str(value))
    except UsageError:
        return value


def _duration(value: object) -> object:
    """Seconds; a number without a unit, or what is no duration, as text, for the preset to reject."""
    try:
        return parse_duration(value) if isinstance(value, str) else str(value)
    except UsageError:
        return value


def _late(value: object) -> object:
    return Late(value) if isinstance(value, str) and value in tuple(Late) else value


UNDERSTOOD = {"scale": _ratio, "deadline": _duration, "latency": _duration, "late": _late}
"""What turns a TOML value into the preset's; one that does not is left for the preset to reject."""


def _is_number(value: object, most: float) -> bool:
    """Whether `value` is a number above 0 and at most `most`."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= most


def _is_provider(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(parse_provider(value))
    except UsageError:
        return False


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value.strip() != ""


def _is_whole(value: object, least: int, most: int | None = None) -> bool:
    if not isinstance(value, int) or isinstance(value, bool):
        return False
    return value >= least and (most is None or value <= most)


def _check(key: str, valid: bool, got: object, allowed: str) -> None:
    if not valid:
        shown = str(got) if isinstance(got, Fraction) else repr(got)
        raise PresetError(f"{key} is {allowed}, not {shown}")
