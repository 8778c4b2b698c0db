"""Networks and presets on disk: those that ship with rtsr, and others by their path."""

import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from rtsr.card import Card, read_card
from rtsr.errors import UsageError

PACKAGE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Network:
    """A card on disk, and the network beside it that it describes."""

    card: Card
    card_path: Path

    @property
    def path(self) -> Path:
        """The ONNX file; or, with several exits, the folder of them."""
        return self.card_path.with_suffix("" if self.card.exits else ".onnx")

    @property
    def int8_path(self) -> Path:
        """The ONNX file of the network in 8 bits, where the card says that there is one."""
        return self.card_path.with_suffix(".int8.onnx")


def folder(name: str) -> Path:
    """The shipped folder `name`: inside the installed package, else beside it in the repository."""
    packaged = PACKAGE / name
    return packaged if packaged.is_dir() else PACKAGE.parent / name


def networks() -> dict[str, Network]:
    """Every shipped network by name, small scales and small networks first."""
    found = [Network(read_card(path), path) for path in folder("engines").glob("*.toml")]
    ordered = sorted(found, key=lambda n: (n.card.scale, n.card.macs_per_pixel, n.card.name))
    return {network.card.name: network for network in ordered}


def parts(network: Network) -> dict[str, Path]:
    """The ONNX files of `network` by what they are called: its name, or with several exits NAME/PART."""
    if not network.card.exits:
        return {network.card.name: network.path}
    return {f"{network.card.name}/{path.stem}": path for path in sorted(network.path.glob("*.onnx"))}


def whole(network: Network) -> dict[str, Path]:
    """The one of `parts` that is all of `network`: with several exits, its last."""
    if not network.card.exits:
        return parts(network)
    name = f"exit{len(network.card.exits)}"
    return {f"{network.card.name}/{name}": network.path / f"{name}.onnx"}


def find_network(model: str, scale: Fraction) -> Network:
    """The network `model` that upscales by exactly `scale`.

    `model` is a shipped card's name (`quicksrnet-small-x2-photo`), an architecture with a flavour
    (`quicksrnet-small-photo`), an architecture alone, which means its capture flavour, or the path of a card
    (`mine/NAME.toml`) with its network beside it. Raises UsageError, which names what is known, and CardError.
    """
    for network in find_networks(model):
        if network.card.scale == scale:
            return network
    raise UsageError(f"{model} has no network for scale {scale}; see: rtsr models")


def find_reaching_network(model: str, scale: Fraction) -> Network:
    """The network of `model` with the smallest scale that reaches `scale`, else the one with the largest."""
    known = find_networks(model)
    return next((network for network in known if network.card.scale >= scale), known[-1])


def find_networks(model: str) -> list[Network]:
    """The networks that `model` can mean, small scales first; raises UsageError and CardError, as `find_network`."""
    if model.endswith(".toml"):
        path = Path(model)
        if not os.path.isfile(path):
            raise UsageError(f"there is no card {model}; name a network's .toml file, or one of: rtsr models")
        return [Network(read_card(path), path)]
    if model.endswith(".onnx"):
        card = Path(model).with_suffix(".toml")
        cure = (
            f"name its card, {card}"
            if os.path.isfile(card)
            else f"it has no card yet; make one with: rtsr import {model}"
        )
        raise UsageError(f"{model} is a network's file: {cure}")
    known = networks()
    if model in known:
        return [known[model]]
    meant = [network for network in known.values() if model in _short_names(network.card)]
    if not meant:
        names = sorted({f"{network.card.arch}-{network.card.flavour}" for network in known.values()})
        raise UsageError(
            f"unknown model {model!r}; known: {', '.join(names) or 'none is installed'}, "
            "or a path to a card's .toml file; see: rtsr models"
        )
    return meant


def _short_names(card: Card) -> tuple[str, ...]:
    full = f"{card.arch}-{card.flavour}"
    return (full, card.arch) if card.flavour == "capture" else (full,)


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
