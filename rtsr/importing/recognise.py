"""Checkpoints whose architecture spandrel recognises, as ONNX graphs."""

import math
from collections.abc import Mapping
from fractions import Fraction
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import torch
from torch import Tensor, nn

from rtsr.engine.session import first_line
from rtsr.errors import EngineError, ImportFailed, MissingDependency, need
from rtsr.export.check import check_parity, noise
from rtsr.export.traced import trace
from rtsr.importing.fitting import check_kinds, unknown
from rtsr.importing.graph import Foreign
from rtsr.importing.probe import LEAST_SIDE, Findings
from rtsr.scale import LARGEST


def recognise(weights: Mapping[str, Tensor], path: Path) -> tuple[str, Foreign, Findings]:
    """The architecture's name, its graph, compared with PyTorch, and what spandrel says of it.

    Raises ImportFailed where spandrel does not know the weights, or the network is no upscaler of RGB or luma;
    MissingDependency without spandrel.
    """
    spandrel = _spandrel()
    try:
        known = spandrel.ModelLoader(device="cpu").load_from_state_dict(dict(weights))
    except Exception as cause:  # UnsupportedModelError, or what a wrong guess runs into
        raise unknown(weights, path) from cause
    check_kinds(known.model.state_dict(), weights, path)
    name, channels, size = known.architecture.name, known.input_channels, known.size_requirements
    if channels != known.output_channels or channels not in (1, 3) or not 1 < known.scale <= LARGEST:
        raise ImportFailed(
            f"{path} holds {name}, {channels} channels to {known.output_channels} at scale {known.scale}; "
            f"networks that upscale RGB or luma, by up to {LARGEST}, can be used"
        )
    if size.square:
        raise ImportFailed(f"{path} holds {name}, which takes square pictures only")
    multiple = max(size.multiple_of, 1)
    least = math.ceil(max(size.minimum, LEAST_SIDE) / multiple)
    model = _settled(known.model)
    example = torch.zeros(2, channels, (least + 1) * multiple, (least + 2) * multiple)
    try:
        graph = trace(model, model.forward, {"image": example}, ["upscaled"])
        pictures = [image[:, :channels] for image in noise(multiple, least)]
        check_parity(path.name, model, graph.SerializeToString(), pictures)
    except EngineError as cause:
        raise ImportFailed(f"{path} holds {name}, which cannot be exported: {cause}") from cause
    foreign = Foreign(graph, "image", "upscaled", channels, "float32", "any size")
    return known.architecture.id.lower(), foreign, Findings(Fraction(known.scale), multiple, channels, 1)


def _settled(model: nn.Module) -> nn.Module:
    """`model` with what it would compute anew of its weights at each run computed now (SPAN does so)."""
    model.eval()
    for part in model.modules():
        if callable(update := getattr(part, "update_params", None)):
            update()
            cast(Any, part).update_params = lambda: None
    return model


def _spandrel() -> ModuleType:
    """spandrel, also where the torchvision that it imports was built for another PyTorch.

    Such a torchvision fails when it describes operators that it could not load. spandrel needs none of them.
    """
    try:
        return need("spandrel", "import")
    except RuntimeError:
        _declare_operators()
    try:
        return need("spandrel", "import")
    except RuntimeError as cause:
        raise MissingDependency(
            f"spandrel is not usable ({first_line(cause)}); install a torchvision that was built for this PyTorch"
        ) from cause


@cache
def _declare_operators() -> torch.library.Library:
    """Declare the operators that torchvision describes at import; they are gone with the library returned."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library
