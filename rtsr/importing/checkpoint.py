"""Released weights: read without running what a file may bring along."""

import pickletools
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from rtsr.errors import ImportFailed, need

SUFFIXES = (".pth", ".pt", ".t7", ".ckpt", ".safetensors")
WRAPPERS = ("params_ema", "average", "params", "state_dict", "model_state_dict", "model", "generator")
"""Names under which training programs keep weights, the best first."""
PREFIXES = ("module.", "_orig_mod.")
"""What PyTorch's wrappers put before every name."""
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
PLAIN = (*FLOATS, torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
"""Kinds of numbers that a checkpoint may hold; for weights, only floating ones fit (see `rtsr.importing.fitting`)."""


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
        _check(name, value, path)
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in weights):
            weights = {name.removeprefix(prefix): value for name, value in weights.items()}
    return weights


def _check(name: str, value: Tensor, path: Path) -> None:
    """Raise ImportFailed unless `value` holds its numbers, plain and finite in float32."""
    kind = str(value.dtype).removeprefix("torch.")
    odd = {
        "has no values": value.is_meta,
        f"is of layout {str(value.layout).removeprefix('torch.')}": value.layout != torch.strided,
        "is quantised": value.is_quantized,
        f"holds {kind}": value.is_complex() or value.dtype not in PLAIN,
    }
    wrong = next((title for title, found in odd.items() if found), None)
    if wrong is not None:
        raise ImportFailed(f"{path}: {name} {wrong}; save it as a dense tensor of float32, or take another checkpoint")
    if value.is_floating_point() and not value.float().isfinite().all():
        raise ImportFailed(f"{path}: {name} holds values that are not numbers in float32; take another checkpoint")


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
        if "Unsupported operand" in said and _is_pickle(path):
            raise ImportFailed(
                f"{path} is pickled in a way that may hold code, which is not run; "
                "save the network again with torch.save(state_dict)"
            ) from cause
        if "TorchScript" in said:
            raise ImportFailed(
                f"{path} is a TorchScript program; save its state_dict(), or export it to ONNX"
            ) from cause
        raise ImportFailed(f"{path} is damaged, or no checkpoint of PyTorch; download it again") from cause


def _is_pickle(path: Path) -> bool:
    """Whether `path`, which PyTorch's reader stumbled over, is a whole pickle; nothing in it is run."""
    if zipfile.is_zipfile(path):
        return True
    try:
        with path.open("rb") as opened:
            return sum(1 for _ in pickletools.genops(opened)) > 0
    except ValueError:
        return False


def _read_safetensors(path: Path) -> object:
    safetensors = need("safetensors.torch", "import")
    try:
        return safetensors.load_file(path)
    except Exception as cause:  # its own error, or what its parser meets
        raise ImportFailed(f"{path} is damaged, or no safetensors file; download it again") from cause
