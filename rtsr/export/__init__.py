"""From a trained network to the files that ship: ONNX graphs checked against PyTorch, and their card."""

import copy
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from rtsr.card import Card, Origin, Quality
from rtsr.errors import TrainError
from rtsr.export import quicksrnet
from rtsr.export.check import check_parity, noise, radius, scale_of
from rtsr.export.files import write_network
from rtsr.export.stages import COSTED_SIDE, EXAMPLE, estimation_of, exits_of, per_pixel, stage_files
from rtsr.export.traced import trace
from rtsr.models import build
from rtsr.models.cost import macs
from rtsr.models.multi_exit import MultiExit
from rtsr.models.quicksrnet import QuickSRNet
from rtsr.models.smsr import SMSR
from rtsr.models.smsr_inference import masked_inference
from rtsr.train.recipe import Recipe


def export(
    model: nn.Module,
    name: str,
    arch: str,
    flavour: str,
    folder: Path,
    summary: str = "",
    training: str = "",
    quality: dict[str, Quality] | None = None,
    exit_qualities: tuple[dict[str, Quality], ...] = (),
    origin: Origin | None = None,
) -> Card:
    """Write `model` and its card `name`.toml into `folder`; returns the card.

    A network of `rtsr.models` becomes `name`.onnx, one with several exits a folder `name` (see
    `rtsr.export.stages`). `quality` are its scores by data set, `exit_qualities` those of exits 0 (bicubic),
    1, ... Everything is compared with PyTorch before it gets its name. Raises EngineError where it differs, or cannot
    be exported or written; then nothing in `folder` has changed.
    """
    model, scale = model.eval(), scale_of(model)
    card = Card(
        name=name,
        arch=arch,
        scale=scale,
        flavour=flavour,
        size_multiple=scale.denominator,
        alignment=getattr(model, "alignment", 1),
        parameters=sum(weights.numel() for weights in model.parameters()),
        summary=summary,
        training=training,
        quality=quality or {},
        origin=origin,
    )
    if not isinstance(model, MultiExit):
        network = _graph(name, model)
        card = replace(card, radius=radius(model), macs_per_pixel=macs_per_pixel(model))
        return write_network(card, network, folder)
    files = stage_files(name, model)
    exits = exits_of(model)
    if exit_qualities:
        bicubic, *scored = exit_qualities
        exits = tuple(
            replace(exit, quality=scores, gain=_gain(scores, bicubic))
            for exit, scores in zip(exits, scored, strict=True)
        )
    cost = round(sum(exit.stage_macs for exit in exits) + exits[-1].head_macs, 3)
    estimator = estimation_of(model)
    card = replace(card, radius=exits[-1].radius, macs_per_pixel=cost, exits=exits, estimator=estimator)
    return write_network(card, files, folder)


def export_checkpoint(
    checkpoint: Path,
    recipe: Recipe,
    folder: Path,
    name: str = "",
    training: str = "",
    quality: dict[str, Quality] | None = None,
    exit_qualities: tuple[dict[str, Quality], ...] = (),
    origin: Origin | None = None,
) -> Card:
    """Export the averaged weights of a training checkpoint under `name`, by default the recipe's.

    Raises TrainError where the checkpoint is damaged or belongs to another network than the recipe's.
    """
    if not checkpoint.is_file():
        raise TrainError(f"there is no checkpoint {checkpoint}; `rtsr train` keeps them in runs/")
    if checkpoint.stem in {phase.name for phase in recipe.phases[:-1]}:
        raise TrainError(f"{checkpoint} is of an earlier phase; train to the end, then export {recipe.name}.pt")
    try:
        state = torch.load(checkpoint, weights_only=True, map_location="cpu")
        weights, step = state["average"], state["step"]
    except Exception as cause:  # torch.load raises whatever its unpickler meets
        raise TrainError(
            f"{checkpoint} is no checkpoint of `rtsr train`; weights from elsewhere: rtsr import"
        ) from cause
    model = build(recipe.arch, recipe.scale)
    try:
        model.load_state_dict(weights)
    except (RuntimeError, TypeError, AttributeError) as cause:
        raise TrainError(
            f"the checkpoint {checkpoint} does not hold {recipe.arch} x{float(recipe.scale):g}; "
            "give the recipe that it was trained with"
        ) from cause
    summary = f"{title(recipe.arch)} x{float(recipe.scale):g}, {recipe.flavour}"
    training = training or f"{step} of {recipe.steps} steps of the recipe {recipe.name}"
    name = name or recipe.name
    return export(model, name, recipe.arch, recipe.flavour, folder, summary, training, quality, exit_qualities, origin)


def _gain(scores: dict[str, Quality], bicubic: dict[str, Quality]) -> float:
    """Mean PSNR over bicubic interpolation in dB; 0 without any data set."""
    differences = [scores[name].psnr - bicubic[name].psnr for name in scores]
    return round(sum(differences) / max(len(differences), 1), 3)


def macs_per_pixel(model: nn.Module) -> float:
    """Multiply-adds of `model` per input pixel, with nothing masked."""
    if isinstance(model, SMSR):
        return model.macs_per_pixel()
    image = torch.empty(1, 3, COSTED_SIDE, COSTED_SIDE, device="meta")
    return per_pixel(macs(copy.deepcopy(model).to("meta"), image))


def title(arch: str) -> str:
    """The architecture as its paper writes it, e.g. ENAF-QuickSRNet-Medium."""
    written = {
        "quicksrnet": "QuickSRNet",
        "srresnet": "SRResNet",
        "small": "Small",
        "medium": "Medium",
        "large": "Large",
        "f32": "f32",
        "m11": "m11",
    }
    return "-".join(written.get(part, part.upper()) for part in arch.split("-"))


def _graph(title: str, model: nn.Module) -> bytes:
    """The ONNX form of a network with one exit, compared with PyTorch."""
    if isinstance(model, QuickSRNet):
        made = quicksrnet.graph(model)
    elif isinstance(model, SMSR):
        masked = masked_inference(model)
        made = trace(masked, masked.forward_with_kept, {"image": torch.zeros(EXAMPLE)}, ["upscaled", "kept"])
    else:
        made = trace(model, model.forward, {"image": torch.zeros(EXAMPLE)}, ["upscaled"])
    network = made.SerializeToString()
    check_parity(title, model, network, noise(scale_of(model).denominator))
    return network
