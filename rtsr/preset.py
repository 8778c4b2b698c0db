"""A preset: a named choice of options for one use, in a TOML file."""

import dataclasses
import tomllib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from rtsr.errors import PresetError, UsageError
from rtsr.scale import LARGEST, parse_scale

ENGINES = ("auto", "onnx", "bicubic", "lanczos", "fsr")
"""What may compute the pixels; `auto` picks and says why."""

LARGEST_CRF = 63


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
        valid = self.crf is None or _is_whole(self.crf, 0, LARGEST_CRF)
        _check("crf", valid, self.crf, f"a whole number, 0 to {LARGEST_CRF}")
        options = self.encoder_options
        valid = options is None or (isinstance(options, dict) and all(isinstance(v, str) for v in options.values()))
        _check("encoder_options", valid, options, 'a table of texts such as preset = "fast"')
        if self.scale is not None and self.height is not None:
            raise PresetError("scale and height exclude each other; keep one")


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
        if "scale" in raw:
            raw["scale"] = _ratio(raw["scale"])
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
