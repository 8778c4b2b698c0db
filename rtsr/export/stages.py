"""A network with several exits as ONNX files: each stage, each head, each exit as a whole, and the estimator."""

import copy
from functools import partial

import torch
from onnx import ModelProto
from torch import Tensor

from rtsr.card import Estimation, Exit
from rtsr.errors import EngineError
from rtsr.export import quicksrnet
from rtsr.export.check import check_parity, noise, radius
from rtsr.export.graphs import chain
from rtsr.export.traced import trace
from rtsr.models.cost import macs
from rtsr.models.enaf_quicksrnet import EnafQuickSRNet
from rtsr.models.multi_exit import ESTIMATED_PATCH, MultiExit

EXAMPLE = (2, 3, 24, 36)
"""Shape of the pictures that stages are traced with."""
COSTED_SIDE = 240
"""Side of the picture that multiply-adds are counted on, in pixels; nothing is computed."""


def stage_files(title: str, model: MultiExit) -> dict[str, bytes]:
    """The files of `model` by name: stageK, headK, exitK and estimator.onnx, compared with PyTorch.

    Raises EngineError where a part cannot be exported, or an exit differs from PyTorch.
    """
    graphs, stages = {}, []
    for k, features in enumerate(features_of(model, torch.zeros(EXAMPLE)), 1):
        before, after = features
        given = {"image" if k == 1 else f"features_{i}": value for i, value in enumerate(before)}
        passed = {"image" if after is before and k == 1 else f"features_{i}": value for i, value in enumerate(after)}
        if after is not before:
            graphs[f"stage{k}"] = _stage(model, k, given, len(after))
            stages.append(graphs[f"stage{k}"])
        graphs[f"head{k}"] = _head(model, k, passed)
        graphs[f"exit{k}"] = chain([*stages, graphs[f"head{k}"]])
    patches = torch.rand(3, 3, ESTIMATED_PATCH, ESTIMATED_PATCH, generator=torch.Generator().manual_seed(0))
    graphs["estimator"] = trace(model.estimator, model.estimator.forward, {"patches": patches}, ["estimates"], (0,))
    files = {f"{name}.onnx": graph.SerializeToString() for name, graph in graphs.items()}
    for k in range(1, model.exits + 1):
        whole = partial(model, exit=k)
        check_parity(f"{title}, exit {k}", whole, files[f"exit{k}.onnx"], noise(model.scale.denominator))
    check_parity(
        f"{title}, estimator", model.estimator, files["estimator.onnx"], [patches.numpy(), patches[:1].numpy()]
    )
    return files


def exits_of(model: MultiExit) -> tuple[Exit, ...]:
    """What the card says of the exits of `model`, without scores."""
    empty = copy.deepcopy(model).to("meta")
    image = torch.empty(1, 3, COSTED_SIDE, COSTED_SIDE, device="meta")
    exits = []
    for k, (before, after) in enumerate(features_of(empty, image), 1):
        stage = 0.0 if after is before else per_pixel(macs(partial(empty.stage, k), *before))
        if after is not before and not stage:
            raise EngineError(f"stage {k} of {type(model).__name__} has no multiply-adds; join it with its neighbour")
        exits.append(Exit(stage, per_pixel(macs(partial(empty.head, k), *after)), radius(model, k)))
    return tuple(exits)


def per_pixel(macs: int) -> float:
    """Multiply-adds per pixel of a picture of `COSTED_SIDE`, to three decimals."""
    return round(macs / COSTED_SIDE**2, 3)


def estimation_of(model: MultiExit) -> Estimation:
    """What the card says of the estimator of `model`."""
    empty = copy.deepcopy(model.estimator).to("meta")
    patch = torch.empty(1, 3, ESTIMATED_PATCH, ESTIMATED_PATCH, device="meta")
    return Estimation(ESTIMATED_PATCH, macs(empty, patch) / ESTIMATED_PATCH**2, model.estimator_sign)


@torch.no_grad()
def features_of(model: MultiExit, image: Tensor) -> list[tuple[tuple[Tensor, ...], tuple[Tensor, ...]]]:
    """Features before and behind each stage; the very same tuple where the stage does nothing."""
    found, before = [], (image,)
    for k in range(1, model.exits + 1):
        after = model.stage(k, *before)
        idle = len(after) == len(before) and all(a is b for a, b in zip(before, after, strict=True))
        found.append((before, before if idle else after))
        before = found[-1][1]
    return found


def _stage(model: MultiExit, k: int, features: dict[str, Tensor], results: int) -> ModelProto:
    if isinstance(model, EnafQuickSRNet):
        return quicksrnet.stage(model, k)
    return trace(model, partial(model.stage, k), features, [f"next_{i}" for i in range(results)])


def _head(model: MultiExit, k: int, features: dict[str, Tensor]) -> ModelProto:
    if isinstance(model, EnafQuickSRNet):
        return quicksrnet.head(model, k)
    return trace(model, lambda *given: model.head(k, *given).clamp(0, 1), features, ["upscaled"])
