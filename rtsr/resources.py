"""Where the files that ship with rtsr are: networks and presets."""

from fractions import Fraction
from pathlib import Path

from rtsr.card import Card, read_card
from rtsr.errors import UsageError

PACKAGE = Path(__file__).parent


def folder(name: str) -> Path:
    """The shipped folder `name`: inside the installed package, else beside it in the repository."""
    packaged = PACKAGE / name
    return packaged if packaged.is_dir() else PACKAGE.parent / name


def cards() -> dict[str, Card]:
    """Every shipped network's card by name, small scales and small networks first."""
    found = [read_card(path) for path in folder("engines").glob("*.toml")]
    return {card.name: card for card in sorted(found, key=lambda c: (c.scale, c.macs_per_pixel, c.name))}


def find_card(model: str, scale: Fraction) -> Card:
    """The shipped network `model` that upscales by exactly `scale`.

    `model` is a card's name (`quicksrnet-small-x2-photo`), an architecture with a flavour
    (`quicksrnet-small-photo`) or an architecture alone, which means its capture flavour. Raises UsageError,
    which names what is known.
    """
    for card in _family(model):
        if card.scale == scale:
            return card
    raise UsageError(f"{model} has no network for scale {scale}; see: rtsr models")


def find_reaching_card(model: str, scale: Fraction) -> Card:
    """The network of `model` with the smallest scale that reaches `scale`, else the one with the largest."""
    family = _family(model)
    return next((card for card in family if card.scale >= scale), family[-1])


def _family(model: str) -> list[Card]:
    """The networks that `model` can mean, small scales first."""
    known = cards()
    if model in known:
        return [known[model]]
    meant = [
        card
        for card in known.values()
        if model == f"{card.arch}-{card.flavour}" or (model == card.arch and card.flavour == "capture")
    ]
    if not meant:
        names = sorted({f"{card.arch}-{card.flavour}" for card in known.values()})
        raise UsageError(f"unknown model {model!r}; known: {', '.join(names) or 'none is installed'}; see: rtsr models")
    return meant


def network(card: Card) -> Path:
    """The ONNX file that `card` describes."""
    return folder("engines") / f"{card.name}.onnx"


def preset_path(name: str) -> Path:
    """The preset `name`: a path to a TOML file, or the name of a shipped one."""
    if name.endswith(".toml"):
        return Path(name)
    path = folder("presets") / f"{name}.toml"
    if not path.is_file():
        raise UsageError(f"unknown preset {name!r}; known: {', '.join(preset_names())}, or a path to a .toml file")
    return path


def preset_names() -> list[str]:
    """Names of the shipped presets."""
    return sorted(path.stem for path in folder("presets").glob("*.toml"))
