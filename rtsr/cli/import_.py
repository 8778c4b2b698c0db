"""`rtsr import`: a network from elsewhere in, an ONNX file and its card out."""

from pathlib import Path
from typing import Annotated

import typer

from rtsr.cli.app import app
from rtsr.errors import need
from rtsr.resources import Network
from rtsr.scale import parse_scale

EXAMPLES = """Import released weights or an ONNX file, compare the result with what it came from and write its card.

Weights are read without running what a file may bring along. Of an ONNX file, and of weights whose architecture is
recognised, scale, sizes, channels (RGB or luma) and value range ([0, 1] or [0, 255]) are found out.

Examples:

    rtsr import rlfn_s_x2.pth --arch rlfn-s --scale 2

    rtsr import 2x_compact.safetensors --name compact-x2

    rtsr import model.onnx --folder mine && rtsr upscale in.mp4 --scale 2 --model mine/model.toml
"""


@app.command("import", help=EXAMPLES)
def import_command(
    file: Annotated[Path, typer.Argument(help="A checkpoint (.pth, .pt, .t7, .ckpt, .safetensors) or an .onnx file.")],
    arch: Annotated[
        str | None,
        typer.Option(help="Architecture of a checkpoint, e.g. rlfn-s. Default: the one that its weights fit."),
    ] = None,
    scale: Annotated[
        str | None, typer.Option(help="Its scale: needed with --arch, else held against what is found.")
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the network and its card. Default: the file's.")] = "",
    folder: Annotated[Path, typer.Option(help="Folder for the network and its card.")] = Path("engines"),
    flavour: Annotated[str, typer.Option(help="What it was trained for: photo or capture.")] = "photo",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a network of that name.")] = False,
) -> None:
    for module in ("torch", "onnx", "onnxscript", "tomli_w"):
        need(module, "import")
    from rtsr.importing import import_network

    card = import_network(file, folder, arch, parse_scale(scale) if scale else None, name, flavour, overwrite)
    network = Network(card, folder / f"{card.name}.toml")
    print(
        f"{network.path}: {card.summary}; {card.parameters} parameters, {card.macs_per_pixel:g} MACs/pixel; "
        f"use it with --model {network.card_path}"
    )
