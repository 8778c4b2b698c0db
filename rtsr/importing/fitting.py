"""Weights fitted to the networks of rtsr: exactly, or to the one that comes nearest."""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor, nn

from rtsr.errors import ImportFailed, RtsrError
from rtsr.models import MODELS, build

SCALES = (Fraction(3, 2), Fraction(2), Fraction(3), Fraction(4))
SHOWN = 3
"""How many names an error lists."""
TRIED = 48
"""Side of the picture that tells whether weights make numbers, in pixels."""

Shapes = Mapping[str, tuple[int, ...]]


def fit(arch: str, scale: Fraction, weights: Mapping[str, Tensor], path: Path) -> nn.Module:
    """The network `arch` at `scale` with `weights`, all of them and no others.

    Raises ImportFailed, which names what is missing, unknown, of another shape or of another kind, and the
    architecture that fits, or the nearest.
    """
    model = build(arch, scale)
    own, given = shapes_of(model.state_dict()), shapes_of(weights)
    if own != given:
        better = [f"--arch {name} --scale {float(other):g}" for name, other in fitting(weights)]
        cure = f"it fits {' or '.join(better)}" if better else _advice(weights, (arch, scale))
        raise ImportFailed(f"{path} does not hold {arch} x{float(scale):g}: {misfits(own, given)}; {cure}")
    check_kinds(model.state_dict(), weights, path)
    model.load_state_dict(dict(weights))
    model.eval()
    with torch.inference_mode():
        if not model(torch.full((1, 3, TRIED, TRIED), 0.5)).isfinite().all():
            raise ImportFailed(f"{path} makes no numbers of a picture: its weights are too large; take others")
    return model


def fitting(weights: Mapping[str, Tensor]) -> Iterator[tuple[str, Fraction]]:
    """Architectures and scales of rtsr whose weights have exactly the names and shapes of `weights`."""
    given = shapes_of(weights)
    return ((arch, scale) for arch, scale, own in _known() if own == given)


def nearest(weights: Mapping[str, Tensor]) -> tuple[str, Fraction, Shapes] | None:
    """The architecture and scale of rtsr that has most of `weights` and least else, and its weights' shapes.

    None where not even half of its weights are there.
    """
    given = shapes_of(weights)
    arch, scale, own = min(_known(), key=lambda known: len(set(known[2].items()) ^ set(given.items())))
    return (arch, scale, own) if 2 * len(own.items() & given.items()) >= len(own) else None


def unknown(weights: Mapping[str, Tensor], path: Path) -> ImportFailed:
    """What to say where neither rtsr nor spandrel knows an architecture for `weights`."""
    near = nearest(weights)
    if near is None:
        return ImportFailed(
            f"no architecture is known for the weights in {path}, rtsr's ({', '.join(MODELS)}) and spandrel's among "
            "them; export the network to ONNX where it was made, and import that"
        )
    arch, scale, own = near
    return ImportFailed(
        f"{path} holds no complete network; the nearest is {arch} x{float(scale):g}, but for "
        f"{misfits(own, shapes_of(weights))}; take a complete checkpoint"
    )


def misfits(own: Shapes, given: Shapes) -> str:
    """How `given` weights differ from a network's `own`, in words."""
    return "; ".join(
        (
            *_listed("missing", [name for name in own if name not in given]),
            *_listed("unknown", [name for name in given if name not in own]),
            *_listed("", [f"{n} is {given[n]}, not {own[n]}" for n in own if n in given and given[n] != own[n]]),
        )
    )


def check_kinds(own: Mapping[str, Tensor], weights: Mapping[str, Tensor], path: Path) -> None:
    """Raise ImportFailed where `weights` have whole numbers for a network's `own` floating ones."""
    for name, value in weights.items():
        if name in own and own[name].is_floating_point() and not value.is_floating_point():
            kind = str(value.dtype).removeprefix("torch.")
            raise ImportFailed(f"{path}: {name} holds {kind}, not floating numbers; save it as float32")


def shapes_of(weights: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Shapes by name."""
    return {name: tuple(value.shape) for name, value in weights.items()}


def _known() -> Iterator[tuple[str, Fraction, dict[str, tuple[int, ...]]]]:
    """All architectures of rtsr, at the scales that they have, with their weights' shapes."""
    for arch in MODELS:
        for scale in SCALES:
            try:
                with torch.device("meta"):
                    yield arch, scale, shapes_of(build(arch, scale).state_dict())
            except RtsrError:  # not at this scale
                continue


def _advice(weights: Mapping[str, Tensor], asked: tuple[str, Fraction]) -> str:
    """What to do with `weights` that fit no architecture of rtsr."""
    near = nearest(weights)
    if near is None:
        return "no architecture of rtsr is near; leave out --arch to try those of spandrel"
    arch, scale, own = near
    if (arch, scale) == asked:
        return "take a complete checkpoint of it"
    differences = misfits(own, shapes_of(weights))
    return f"the nearest is {arch} x{float(scale):g}, but for {differences}; take a complete checkpoint"


def _listed(title: str, items: list[str]) -> list[str]:
    """`items` behind `title`, the first few; nothing where there are none."""
    if not items:
        return []
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return [f"{title} {', '.join(items[:SHOWN])}{more}".strip()]
