"""Plans in the cache, with what they are made from and what goes in and out of them."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtsr.nvidia import store
from rtsr.nvidia.build import Tensor
from rtsr.nvidia.recipe import Facts
from rtsr.nvidia.store import Damaged

MAGIC = b"rtsr plan 1\n"


@dataclass(frozen=True, slots=True)
class Header:
    """What a plan's file says of the plan."""

    name: str
    """The network's, for people; of a network in parts with the part behind it, e.g. NAME/stage1."""
    facts: Facts
    tensors: tuple[Tensor, ...]
    """Inputs, then outputs."""
    seconds: float
    """What building it took."""
    size: int
    """Bytes of the plan."""
    sha256: str
    """Hash of the plan."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A plan's file in the cache."""

    path: Path
    size: int
    """Bytes."""
    header: Header | None
    """None where the file is damaged."""
    damage: str = ""
    """In words."""


def write_plan(path: Path, name: str, facts: Facts, tensors: tuple[Tensor, ...], seconds: float, plan: bytes) -> None:
    """Keep a plan in `path`; raises OSError."""
    ends = [dataclasses.asdict(end) for end in tensors]
    said = {"name": name, "facts": dataclasses.asdict(facts), "tensors": ends, "seconds": round(seconds, 3)}
    store.write(path, MAGIC, said, plan)


def read_plan(path: Path) -> tuple[Header, bytes]:
    """A plan, checked against its hash, and what its file says; raises Damaged, or OSError."""
    facts, plan = store.read(path, MAGIC)
    return _header(facts), plan


def entries() -> list[Entry]:
    """The plans in the cache, by name; their content is not looked at."""
    found = [_entry(path) for path in store.files(".plan")]
    return sorted(found, key=lambda entry: (entry.header.name if entry.header else "", entry.path.name))


def _entry(path: Path) -> Entry:
    try:
        size = path.stat().st_size
        return Entry(path, size, _header(store.read_facts(path, MAGIC)))
    except (OSError, Damaged) as cause:
        return Entry(path, path.stat().st_size if path.is_file() else 0, None, words(cause))


def words(cause: OSError | Damaged) -> str:
    """What is wrong with a file, without its name."""
    return getattr(cause, "strerror", None) or str(cause)


def _header(raw: dict[str, Any]) -> Header:
    try:
        facts = raw["facts"]
        sizes = {name: tuple(facts[name]) for name in ("smallest", "usual", "largest")}
        tensors = tuple(Tensor(**{**end, "shape": tuple(end["shape"])}) for end in raw["tensors"])
        return Header(**{**raw, "facts": Facts(**{**facts, **sizes}), "tensors": tensors})
    except (KeyError, TypeError) as cause:
        raise Damaged("its first lines are damaged") from cause
