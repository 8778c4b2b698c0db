"""An exported network on disk: complete under its name, or not there at all."""

import shutil
from dataclasses import replace
from pathlib import Path

import tomli_w

from rtsr.card import Card, card_as_dict, hash_of
from rtsr.errors import EngineError, UsageError


def write_network(card: Card, content: bytes | dict[str, bytes], folder: Path) -> Card:
    """Write a network and its card into `folder`; returns the card with the network's hash.

    `content` is that of `NAME.onnx`, or of several files by name, which get a folder `NAME`. Whatever was there
    under these names is replaced as a whole, once everything is on disk. Raises EngineError where `folder` cannot
    be written, UsageError where the card's name is no name of a file.
    """
    check_name(card.name)
    network = folder / (f"{card.name}.onnx" if isinstance(content, bytes) else card.name)
    beside, old = (network.with_name(network.name + mark) for mark in (".part", ".old"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove(beside)
        if isinstance(content, bytes):
            beside.write_bytes(content)
        else:
            beside.mkdir()
            for name, part in content.items():
                (beside / name).write_bytes(part)
        card = replace(card, sha256=hash_of(beside))
        card_beside = folder / f"{card.name}.toml.part"
        card_beside.write_text(tomli_w.dumps(card_as_dict(card)), "utf-8")
        if network.is_dir():  # A folder cannot be replaced in one step: between the two there is none.
            _remove(old)
            network.rename(old)
        beside.replace(network)
        card_beside.replace(folder / f"{card.name}.toml")
        (folder / f"{card.name}.int8.onnx").unlink(missing_ok=True)  # It was of what is replaced.
        _remove(old)
    except OSError as cause:
        raise EngineError(f"cannot write {card.name} to {folder}: {cause.strerror}; choose another --folder") from cause
    return card


def check_name(name: str) -> None:
    """Raise UsageError where `name` is no name of a file."""
    if name in ("", ".", "..") or Path(name).name != name:
        raise UsageError(f"{name!r} cannot name a file; choose a --name without folders")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
