"""A card: all that a caller must know about a network, in a TOML file beside it."""

import dataclasses
import tomllib
from dataclasses import dataclass, field
from fractions import Fraction
from hashlib import sha256
from pathlib import Path

from rtsr.errors import CardError

UNSEEN = " (unseen maps)"
"""Behind the name of a data set of which only what was kept out of training is scored."""


@dataclass(frozen=True, slots=True)
class Quality:
    """Mean scores over one data set, on luma of 8-bit results (see `rtsr.quality.metrics`)."""

    psnr: float
    """dB."""
    ssim: float
    images: int
    """How many images the means are taken over."""

    def __post_init__(self) -> None:
        _expect(self, psnr=(int, float), ssim=(int, float), images=int)


@dataclass(frozen=True, slots=True)
class Exit:
    """One exit of a network that has several: a stage, which goes on from the one before, and a head."""

    stage_macs: float
    """Multiply-adds per input pixel of the stage alone; 0 where the features of the stage before are used as they
    are, and there is no stage file."""
    head_macs: float
    """Multiply-adds per input pixel of the head."""
    radius: int
    """How far an output pixel of this exit looks, in input pixels."""
    gain: float = 0.0
    """PSNR over bicubic interpolation, in dB, as measured after training; 0 where it is not known."""
    quality: dict[str, Quality] = field(default_factory=dict)
    """Scores of this exit by data set."""
    noise: float = 0.0
    """Mean squared error, white being 1, that it adds to pictures with much detail; to smooth ones less."""

    def __post_init__(self) -> None:
        _expect(
            self, stage_macs=(int, float), head_macs=(int, float), radius=int, gain=(int, float), noise=(int, float)
        )
        if self.stage_macs < 0 or self.head_macs < 0 or self.radius < 0:
            raise CardError("an exit's costs and radius are not negative")


@dataclass(frozen=True, slots=True)
class Estimation:
    """The network that foretells, patch by patch, what each exit reaches."""

    patch: int
    """Side of the patches that it judges, in input pixels."""
    macs: float
    """Multiply-adds per input pixel."""
    sign: int
    """1: the higher an estimate, the better the exit. -1: the lower."""

    def __post_init__(self) -> None:
        _expect(self, patch=int, macs=(int, float), sign=int)
        if self.patch < 1 or self.macs < 0 or self.sign not in (1, -1):
            raise CardError("an estimator's patch is positive, its cost not negative, its sign 1 or -1")


@dataclass(frozen=True, slots=True)
class Origin:
    """What the weights were trained on."""

    data: tuple[str, ...] = ()
    """Folders of pictures below the data folder."""
    hold_out: tuple[str, ...] = ()
    """Pairs whose name contains one of these were kept out of training; those alone are scored."""
    start: str = ""
    """The network whose weights it grew from."""
    hours: float = 0.0
    """Time that training took in all its runs, without that of `start`; 0 where it was not recorded."""
    hardware: str = ""
    """What it ran on."""

    def __post_init__(self) -> None:
        _expect(self, data=tuple, hold_out=tuple, start=str, hours=(int, float), hardware=str)
        if not all(isinstance(part, str) for part in (*self.data, *self.hold_out)):
            raise CardError("an origin's data and hold_out are names of folders and pairs")
        if not 0 <= self.hours < float("inf"):
            raise CardError(f"hours are not negative, and finite; not {self.hours}")


@dataclass(frozen=True, slots=True)
class Int8:
    """The network in whole numbers of 8 bits, a file of its own (see `rtsr.quant.whole`)."""

    sha256: str
    """Hash of that file, in hexadecimal."""
    noise: float = 2.0
    """Mean squared difference of its results from those in floats on made-up pictures, in levels of 255; where it was
    not measured, about as much as the worst that ship."""
    quality: dict[str, Quality] = field(default_factory=dict)
    """Its scores by data set."""

    def __post_init__(self) -> None:
        _expect(self, sha256=str, noise=(int, float))
        if not 0 <= self.noise < float("inf"):
            raise CardError(f"the noise of 8 bits is not negative, and finite; not {self.noise}")


@dataclass(frozen=True, slots=True)
class Card:
    """What a network is, what it costs and how good it was measured to be."""

    name: str
    """Name of the card and of the network's file, without suffix; or, with several exits, of its folder."""
    arch: str
    """Architecture, e.g. `quicksrnet-small`."""
    scale: Fraction
    """Output side over input side."""
    flavour: str
    """`capture` (rendered and compressed frames), `photo` (clean photographs) or `none` (no network)."""
    sha256: str = ""
    """Hash of the ONNX file, or of a folder's files (see `hash_of`), in hexadecimal; empty where there is none."""
    size_multiple: int = 1
    """Input height and width must be multiples of this."""
    alignment: int = 1
    """What is cut out of a frame must start at multiples of this, in input pixels, to equal the whole frame there."""
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
    exits: tuple[Exit, ...] = ()
    """Exits 1, 2, ... of a network with several; empty where there is but one. Exit 0 is bicubic interpolation."""
    estimator: Estimation | None = None
    """Given where the network foretells what its exits reach."""
    origin: Origin | None = None
    """Given where the network was trained by `rtsr train`."""
    int8: Int8 | None = None
    """Given where there is the network in 8 bits, too: `NAME.int8.onnx`."""

    def __post_init__(self) -> None:
        _expect(
            self,
            name=str, arch=str, flavour=str, sha256=str, summary=str, training=str,
            size_multiple=int, alignment=int, radius=int, parameters=int,
            value_max=(int, float), macs_per_pixel=(int, float),
        )  # fmt: skip
        if self.flavour not in ("capture", "photo", "none"):
            raise CardError(f"flavour is capture, photo or none, not {self.flavour!r}")
        if not 1 <= self.scale <= 8:
            raise CardError(f"scale {self.scale} is not between 1 and 8")
        if self.int8 is not None and self.exits:
            raise CardError("int8 is for networks with one exit")
        if min(self.size_multiple, self.alignment) < 1 or self.radius < 0 or self.value_max <= 0:
            raise CardError("size_multiple, alignment and value_max are positive, radius is not negative")

    def output_side(self, side: int) -> int:
        """The output side of an input side that is a multiple of `size_multiple`."""
        return int(side * self.scale)


def card_in_8_bits(card: Card) -> Card:
    """`card` of the file that holds its network in 8 bits; it has one."""
    assert card.int8 is not None
    return dataclasses.replace(card, sha256=card.int8.sha256, quality=card.int8.quality, int8=None)


def read_card(path: Path) -> Card:
    """The card in the TOML file `path`; raises CardError for anything unknown, missing or out of range."""
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
        known = {entry.name for entry in dataclasses.fields(Card)}
        unknown = sorted(raw.keys() - known)
        if unknown:
            raise CardError(f"unknown {unknown}; allowed: {sorted(known)}")
        raw["scale"] = Fraction(str(raw["scale"]))
        raw["quality"] = _qualities(raw)
        raw["exits"] = tuple(Exit(**{**entry, "quality": _qualities(entry)}) for entry in raw.get("exits", ()))
        if "estimator" in raw:
            raw["estimator"] = Estimation(**raw["estimator"])
        if "origin" in raw:
            lists = {key: tuple(value) for key, value in raw["origin"].items() if isinstance(value, list)}
            raw["origin"] = Origin(**{**raw["origin"], **lists})
        if "int8" in raw:
            raw["int8"] = Int8(**{**raw["int8"], "quality": _qualities(raw["int8"])})
        return Card(**raw)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, CardError) as cause:
        raise CardError(f"the card {path} is damaged: {cause}; reinstall rtsr or export the network again") from cause
    except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError) as cause:
        raise CardError(f"the card {path} is damaged: {cause!r}; reinstall rtsr or export the network again") from cause


def card_as_dict(card: Card) -> dict[str, object]:
    """The card as plain values, ready for TOML or JSON; the scale as "3/2" or "2"."""
    plain = {**dataclasses.asdict(card), "scale": str(card.scale), "exits": [dataclasses.asdict(e) for e in card.exits]}
    return {key: value for key, value in plain.items() if value is not None and (key != "exits" or value)}


def hash_of(network: Path) -> str:
    """SHA-256 of a network in hexadecimal: of its file, or of a folder's ONNX files, each behind its name."""
    if not network.is_dir():
        return sha256(network.read_bytes()).hexdigest()
    whole = sha256()
    for file in sorted(network.glob("*.onnx")):
        whole.update(file.name.encode() + b"\0" + sha256(file.read_bytes()).digest())
    return whole.hexdigest()


def check_hash(card: Card, network: Path) -> None:
    """Raise CardError unless `network`, a file or a folder, is the one that the card was written for."""
    try:
        found = hash_of(network)
    except OSError as cause:
        raise CardError(
            f"{card.name}: its network {network} cannot be read ({cause.strerror}); reinstall rtsr"
        ) from cause
    if found != card.sha256:
        raise CardError(
            f"{card.name}: {network} is not the file that its card describes; reinstall rtsr or export again"
        )


def _qualities(raw: dict) -> dict[str, Quality]:
    return {name: Quality(**scores) for name, scores in raw.get("quality", {}).items()}


def _expect(value: object, **types: type | tuple[type, ...]) -> None:
    for name, kind in types.items():
        got = getattr(value, name)
        if not isinstance(got, kind) or isinstance(got, bool):
            raise CardError(f"{name} has the wrong type: {got!r}")
