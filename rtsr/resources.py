"""Where the files that ship with rtsr are: networks and presets."""

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
