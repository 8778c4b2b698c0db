"""Networks from elsewhere: a released checkpoint or a bare ONNX file in, a checked network and its card out."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rtsr.card import Card
from rtsr.errors import ImportFailed, SinkError, UsageError
from rtsr.export import export, title
from rtsr.export.check import TOLERANCE, check_parity, noise
from rtsr.export.files import check_name, write_network
from rtsr.importing.checkpoint import SUFFIXES, read_weights
from rtsr.importing.cost import macs_per_pixel, parameters, radius
from rtsr.importing.fitting import fit, fitting
from rtsr.importing.graph import Foreign, read_graph
from rtsr.importing.probe import LEAST_SIDE, Findings, Run, probe, runner
from rtsr.importing.recognise import recognise
from rtsr.importing.running import load
from rtsr.importing.wrap import wrap
from rtsr.models.multi_exit import ESTIMATED_PATCH, MultiExit

FLAVOURS = ("photo", "capture")
HALF_TOLERANCE = 1e-2
"""Largest difference from a graph in half precision, which depends on what is rounded where."""


def import_network(
    file: Path,
    folder: Path,
    arch: str | None = None,
    scale: Fraction | None = None,
    name: str = "",
    flavour: str = "photo",
    overwrite: bool = False,
) -> Card:
    """Write the network in `file` and its card into `folder`, under `name` or the file's; returns the card.

    A checkpoint (.pth, .pt, .t7, .ckpt, .safetensors) holds weights of `arch` at `scale`; where `arch` is not given, of
    the architecture that they fit, of rtsr's own or of those that spandrel recognises. Of an ONNX file (.onnx) scale,
    sizes, channels and value range are found by running it. `scale` is held against what the network does.

    Raises ImportFailed for what is wrong with the file, UsageError for what was asked, SinkError where there is a
    network of that name and not `overwrite`, MissingDependency where spandrel or safetensors is needed and missing.
    """
    suffix = file.suffix.lower()
    if suffix not in (*SUFFIXES, ".onnx"):
        raise UsageError(f"{file} is of no known kind; known: {', '.join((*SUFFIXES, '.onnx'))}")
    if flavour not in FLAVOURS:
        raise UsageError(f"unknown flavour {flavour!r}; known: {', '.join(FLAVOURS)}")
    if not file.is_file():
        raise ImportFailed(f"{file} is {'a folder' if file.is_dir() else 'not there'}; name a network's file")
    name = name or file.stem
    target = folder / f"{name}.onnx"
    if target.exists() and target.samefile(file):
        raise UsageError(f"what is made of {file} would replace it; choose another --name or --folder")
    check_name(name)
    taken = next((path for path in (target, target.with_suffix(".toml"), folder / name) if path.exists()), None)
    if taken is not None and not overwrite:
        raise SinkError(f"{taken} exists already; choose another --name or --folder, or allow it with --overwrite")
    if suffix == ".onnx":
        if arch is not None:
            raise UsageError(f"{file} is a graph with an architecture of its own; leave out --arch")
        foreign = read_graph(file)
        return _write(file, foreign, probe(foreign, file), scale, Card(name, "onnx", Fraction(1), flavour), folder)
    weights = read_weights(file)
    own = next(fitting(weights), None) if arch is None else None
    if own is not None:
        arch, scale = own[0], scale or own[1]
    if arch is None:
        arch, foreign, findings = recognise(weights, file)
        return _write(file, foreign, findings, scale, Card(name, arch, Fraction(1), flavour), folder)
    if scale is None:
        raise UsageError("--scale is missing: say at which scale --arch was trained")
    model = fit(arch, scale, weights, file)
    if isinstance(model, MultiExit):
        model.estimator_sign = sign_of(model)
    summary = f"{title(arch)} x{float(scale):g}, imported"
    return export(model, name, arch, flavour, folder, summary, f"weights of {file.name}")


@torch.no_grad()
def sign_of(model: MultiExit) -> int:
    """1 where the estimates of `model` are the higher the better, else -1.

    They stand for PSNR in dB, which is positive; released estimators give its negative.
    """
    patches = torch.rand(8, 3, ESTIMATED_PATCH, ESTIMATED_PATCH, generator=torch.Generator().manual_seed(0))
    return 1 if model.estimator(patches).mean() > 0 else -1


def _write(
    file: Path, foreign: Foreign, findings: Findings, claimed: Fraction | None, card: Card, folder: Path
) -> Card:
    """Bring a graph under rtsr's contract and write it, with all that was found on its `card`."""
    if claimed not in (None, findings.scale):
        raise ImportFailed(f"{file} upscales by {findings.scale}, not by {claimed}; correct --scale or leave it out")
    plain, count = runner(foreign, file), parameters(foreign.model)
    made = wrap(foreign, findings)
    wrapped, network = load(made, file), made.SerializeToString()
    if findings.channels == 3:
        _check(file, plain, network, findings, TOLERANCE if foreign.dtype == "float32" else HALF_TOLERANCE)
    works = "RGB" if findings.channels == 3 else "luma"
    card = replace(
        card,
        scale=findings.scale,
        size_multiple=findings.multiple,
        radius=radius(wrapped, findings),
        parameters=count,
        macs_per_pixel=macs_per_pixel(made, findings.multiple, file),
        summary=f"{card.arch} x{float(findings.scale):g} on {works} up to {findings.white}, imported",
        training=f"weights of {file.name}",
    )
    return write_network(card, network, folder)


def _check(file: Path, plain: Run, network: bytes, findings: Findings, allowed: float) -> None:
    """Raise EngineError unless the wrapped graph gives what the `plain` one does in its own values."""
    white = np.float32(findings.white)

    def reference(image: Tensor) -> Tensor:
        return torch.from_numpy(plain(image.numpy() * white) / white).clamp(0, 1)

    pictures = noise(findings.multiple, -(-LEAST_SIDE // findings.multiple))
    check_parity(file.name, reference, network, pictures, origin="the file's own", allowed=allowed)
