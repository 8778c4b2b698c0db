"""What an engine is made from and for, and the key that follows: everything that a plan depends on."""

import dataclasses
import json
import platform
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from rtsr.card import Card
from rtsr.errors import EngineError, UsageError
from rtsr.frame import Colour
from rtsr.nvidia.library import Library
from rtsr.nvidia.profile import Profile
from rtsr.preset import PRECISIONS

MAKERS = (
    "build.py",
    "dense.py",
    "graph.py",
    "pictures.py",
    "planes.py",
    "precision.py",
    "profile.py",
    "steps.py",
    "weights.py",
)
"""The files of this package that decide what is in a plan; those that are there count."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is made of a network."""

    profile: Profile
    precision: str = "fp16"
    colour: Colour | None = None
    """Given: planes in, planes out, in this colour; None: RGB in, RGB out."""
    card: Card | None = field(default=None, compare=False)
    """The network's; needed for planes where its values or sides are not as those of shipped networks."""
    nv12: bool = False
    """With a colour: chroma in one plane, as video decoders and encoders on the GPU have it."""

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise UsageError(f"unknown precision {self.precision!r}; known: {', '.join(PRECISIONS)}")
        if self.nv12 and self.colour is None:
            raise UsageError("NV12 is planes of a colour, which RGB is not; give one, e.g. bt709")


@dataclass(frozen=True, slots=True)
class Target:
    """The GPU that a plan is for."""

    capability: str
    """Compute capability, e.g. 8.9."""
    gpu: str = ""
    """Its name; may be empty for TensorRT-RTX, whose plans suit all GPUs of a capability."""
    driver: str = ""
    """The driver's version, "13.0 580.95.05" (the CUDA that it knows, and its own); as `gpu`."""

    def __post_init__(self) -> None:
        major, _, minor = self.capability.partition(".")
        if not (major.isdecimal() and minor.isdecimal()):
            raise UsageError(f"a compute capability is two numbers, e.g. 8.9, not {self.capability!r}")


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a plan depends on, as plain values."""

    network: str
    """SHA-256 of the ONNX file."""
    precision: str
    colour: str
    """Matrix, range and siting, and how planes lie where not each on its own; empty for RGB."""
    smallest: tuple[int, int]
    usual: tuple[int, int]
    largest: tuple[int, int]
    batch: int
    library: str
    """`rtx` or `tensorrt`."""
    version: str
    """The library's."""
    capability: str
    gpu: str
    driver: str
    system: str
    """Empty for TensorRT-RTX, whose plans suit every system."""
    rtsr: str
    """rtsr's version, and a hash of its code that makes models and plans."""

    @property
    def key(self) -> str:
        """32 hexadecimal digits that no other facts have."""
        return sha256(json.dumps(dataclasses.asdict(self), sort_keys=True).encode()).hexdigest()[:32]

    @property
    def profile(self) -> Profile:
        return Profile(self.smallest, self.usual, self.largest, self.batch)


def facts_of(library: Library, network: Path, recipe: Recipe, target: Target) -> Facts:
    """The facts of the plan that `library` makes of the ONNX file `network`; raises EngineError where it is not there.

    A TensorRT plan depends on the very GPU, its driver and the system; one of TensorRT-RTX on the capability only.
    """
    try:
        digest = sha256(network.read_bytes()).hexdigest()
    except OSError as cause:
        raise EngineError(f"cannot read {network}: {cause.strerror}; reinstall rtsr or export again") from cause
    bound = library.kind == "tensorrt"
    profile = recipe.profile
    return Facts(
        network=digest,
        precision=recipe.precision,
        colour=_ends(recipe),
        smallest=profile.smallest,
        usual=profile.usual,
        largest=profile.largest,
        batch=profile.batch,
        library=library.kind,
        version=library.version,
        capability=target.capability,
        gpu=target.gpu if bound else "",
        driver=target.driver if bound else "",
        system=f"{platform.system()} {platform.machine()}" if bound else "",
        rtsr=maker(),
    )


def _ends(recipe: Recipe) -> str:
    """The colour, and what else goes into a network that takes planes."""
    said, card = describe_colour(recipe.colour) + (" nv12" if recipe.nv12 else ""), recipe.card
    if not said or card is None or (card.value_max, card.size_multiple) == (1, card.scale.denominator):
        return said
    return f"{said}, white {card.value_max:g}, sides in {card.size_multiple}"


def describe_colour(colour: Colour | None) -> str:
    """A colour in words, e.g. `bt709 limited left`; nothing for RGB."""
    if colour is None:
        return ""
    return f"{colour.matrix} {'full' if colour.full_range else 'limited'} {'left' if colour.chroma_left else 'centre'}"


@cache
def maker() -> str:
    """rtsr's version with a hash of the code that makes models and plans: a change of it makes new plans."""
    code = sha256()
    for name in MAKERS:
        path = Path(__file__).with_name(name)
        if path.is_file():
            code.update(name.encode() + b"\0" + path.read_bytes())
    return f"{version('rtsr')}+{code.hexdigest()[:12]}"
