"""Released weights: read without running what a file may bring along, and fitted to a network of rtsr."""

import re
import warnings
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor, nn

from rtsr.errors import ImportFailed, RtsrError, need
from rtsr.models import MODELS, build

SUFFIXES = (".pth", ".pt", ".t7", ".ckpt", ".safetensors")
WRAPPERS = ("params_ema", "average", "params", "state_dict", "model_state_dict", "model", "generator")
"""Names under which training programs keep weights, the best first."""
PREFIXES = ("module.", "_orig_mod.")
"""What PyTorch's wrappers put before every name."""
SCALES = (Fraction(3, 2), Fraction(2), Fraction(3), Fraction(4))
SHOWN = 3
"""How many names an error lists."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """The weights in the checkpoint `path` by name, unwrapped; raises ImportFailed where it holds none.

    Whatever a file holds beside tensors and plain values is refused, not run.
    """
    found = _read_safetensors(path) if path.suffix.lower() == ".safetensors" else _read_pickle(path)
    for _ in range(3):
        inner = [found[key] for key in WRAPPERS if isinstance(found, Mapping) and isinstance(found.get(key), Mapping)]
        if not inner:
            break
        found = inner[0]
    entries = found.items() if isinstance(found, Mapping) else ()
    weights = {str(name): value for name, value in entries if isinstance(value, Tensor)}
    if not weights:
        raise ImportFailed(f"{path} holds no weights by name; save the network's state_dict() and import that")
    for name, value in weights.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise ImportFailed(f"{path}: {name} holds values that are not numbers; take another checkpoint")
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in weights):
            weights = {name.removeprefix(prefix): value for name, value in weights.items()}
    return weights


def fit(arch: str, scale: Fraction, weights: Mapping[str, Tensor], path: Path) -> nn.Module:
    """The network `arch` at `scale` with `weights`, all of them and no others.

    Raises ImportFailed, which names what is missing, unknown or of another shape, and the architecture that fits.
    """
    model = build(arch, scale)
    own, given = shapes_of(model.state_dict()), shapes_of(weights)
    misfits = [
        *_listed("missing", [name for name in own if name not in given]),
        *_listed("unknown", [name for name in given if name not in own]),
        *_listed("", [f"{n} is {given[n]}, not {own[n]}" for n in own if n in given and given[n] != own[n]]),
    ]
    if misfits:
        better = [f"--arch {name} --scale {float(other):g}" for name, other in fitting(weights)]
        cure = f"it fits {' or '.join(better)}" if better else "no architecture of rtsr fits; try without --arch"
        raise ImportFailed(f"{path} does not hold {arch} x{float(scale):g}: {'; '.join(misfits)}; {cure}")
    model.load_state_dict(dict(weights))
    return model.eval()


def fitting(weights: Mapping[str, Tensor]) -> Iterator[tuple[str, Fraction]]:
    """Architectures and scales of rtsr whose weights have exactly the names and shapes of `weights`."""
    given = shapes_of(weights)
    for arch in MODELS:
        for scale in SCALES:
            try:
                with torch.device("meta"):
                    state = build(arch, scale).state_dict()
            except RtsrError:  # not at this scale
                continue
            if shapes_of(state) == given:
                yield arch, scale


def shapes_of(weights: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Shapes by name."""
    return {name: tuple(value.shape) for name, value in weights.items()}


def _read_pickle(path: Path) -> object:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, weights_only=True, map_location="cpu")
    except OSError as cause:
        raise ImportFailed(f"cannot read {path}: {cause.strerror}") from cause
    except Exception as cause:  # torch.load raises whatever its unpickler and zip reader meet
        said = str(cause)
        code = re.search(r"GLOBAL (\S+)", said)
        if code is not None:
            raise ImportFailed(
                f"{path} holds Python code ({code[1]}), which is not run; save the network's state_dict() alone"
            ) from cause
        if "TorchScript" in said:
            raise ImportFailed(
                f"{path} is a TorchScript program; save its state_dict(), or export it to ONNX"
            ) from cause
        raise ImportFailed(f"{path} is damaged, or no checkpoint of PyTorch; download it again") from cause


def _read_safetensors(path: Path) -> object:
    safetensors = need("safetensors.torch", "import")
    try:
        return safetensors.load_file(path)
    except Exception as cause:  # its own error, or what its parser meets
        raise ImportFailed(f"{path} is damaged, or no safetensors file; download it again") from cause


def _listed(title: str, items: list[str]) -> list[str]:
    """`items` behind `title`, the first few; nothing where there are none."""
    if not items:
        return []
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return [f"{title} {', '.join(items[:SHOWN])}{more}".strip()]
