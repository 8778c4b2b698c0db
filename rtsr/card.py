"""A card: all that a caller must know about a network, in a TOML file beside it."""

import dataclasses
import tomllib
from dataclasses import dataclass, field
from fractions import Fraction
from hashlib import sha256
from pathlib import Path

from rtsr.errors import CardError


@dataclass(frozen=True, slots=True)
class Quality:
    """Mean scores over one data set, on luma of 8-bit results (see `rtsr.metrics`)."""

    psnr: float
    """dB."""
    ssim: float
    images: int
    """How many images the means are taken over."""

    def __post_init__(self) -> None:
        _expect(self, psnr=(int, float), ssim=(int, float), images=int)


@dataclass(frozen=True, slots=True)
class Card:
    """What a network is, what it costs and how good it was measured to be."""

    name: str
    """Name of the card and of the network's file, without suffix."""
    arch: str
    """Architecture, e.g. `quicksrnet-small`."""
    scale: Fraction
    """Output side over input side."""
    flavour: str
    """`capture` (rendered and compressed frames), `photo` (clean photographs) or `none` (no network)."""
    sha256: str = ""
    """Hash of the ONNX file, in hexadecimal; empty where there is no file."""
    size_multiple: int = 1
    """Input height and width must be multiples of this."""
    radius: int = 0
    """How far an output pixel looks, in input pixels."""
    value_max: float = 1.0
    """White, for a network's input and output; black is 0."""
    parameters: int = 0
    """Weights and biases."""
    macs_per_pixel: float = 0.0
    """Multiply-adds per input pixel."""
    summary: str = ""
    """One line for tables."""
    training: str = ""
    """Images, steps and command that made the weights."""
    quality: dict[str, Quality] = field(default_factory=dict)
    """Scores by data set, e.g. `BSD100`."""

    def __post_init__(self) -> None:
        _expect(
            self,
            name=str, arch=str, flavour=str, sha256=str, summary=str, training=str,
            size_multiple=int, radius=int, parameters=int, value_max=(int, float), macs_per_pixel=(int, float),
        )  # fmt: skip
        if self.flavour not in ("capture", "photo", "none"):
            raise CardError(f"flavour is capture, photo or none, not {self.flavour!r}")
        if not 1 <= self.scale <= 8:
            raise CardError(f"scale {self.scale} is not between 1 and 8")
        if self.size_multiple < 1 or self.radius < 0 or self.value_max <= 0:
            raise CardError("size_multiple and value_max are positive, radius is not negative")

    def output_side(self, side: int) -> int:
        """The output side of an input side that is a multiple of `size_multiple`."""
        return int(side * self.scale)


def read_card(path: Path) -> Card:
    """The card in the TOML file `path`; raises CardError for anything unknown, missing or out of range."""
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
        known = {entry.name for entry in dataclasses.fields(Card)}
        unknown = sorted(raw.keys() - known)
        if unknown:
            raise CardError(f"unknown {unknown}; allowed: {sorted(known)}")
        raw["scale"] = Fraction(str(raw["scale"]))
        raw["quality"] = {name: Quality(**scores) for name, scores in raw.get("quality", {}).items()}
        return Card(**raw)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, CardError) as cause:
        raise CardError(f"the card {path} is damaged: {cause}; reinstall rtsr or export the network again") from cause
    except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError) as cause:
        raise CardError(f"the card {path} is damaged: {cause!r}; reinstall rtsr or export the network again") from cause


def card_as_dict(card: Card) -> dict[str, object]:
    """The card as plain values, ready for TOML or JSON; the scale as "3/2" or "2"."""
    return {**dataclasses.asdict(card), "scale": str(card.scale)}


def check_hash(card: Card, network: Path) -> None:
    """Raise CardError unless the file `network` is the one that the card was written for."""
    try:
        found = sha256(network.read_bytes()).hexdigest()
    except OSError as cause:
        raise CardError(
            f"{card.name}: its network {network} cannot be read ({cause.strerror}); reinstall rtsr"
        ) from cause
    if found != card.sha256:
        raise CardError(
            f"{card.name}: {network} is not the file that its card describes; reinstall rtsr or export again"
        )


def _expect(value: object, **types: type | tuple[type, ...]) -> None:
    for name, kind in types.items():
        got = getattr(value, name)
        if not isinstance(got, kind) or isinstance(got, bool):
            raise CardError(f"{name} has the wrong type: {got!r}")
