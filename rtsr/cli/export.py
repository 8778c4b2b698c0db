"""`rtsr export`: a training checkpoint in, a network and its card out."""

from pathlib import Path
from typing import Annotated

import typer

from rtsr.cli.app import app
from rtsr.errors import need
from rtsr.resources import Network


@app.command("export")
def export_command(
    checkpoint: Annotated[Path, typer.Argument(help="The file that `rtsr train` keeps its weights in.")],
    recipe: Annotated[Path, typer.Option(help="The recipe that it was trained with, a TOML file.")],
    folder: Annotated[Path, typer.Option(help="Folder for the network and its card.")] = Path("engines"),
    name: Annotated[str, typer.Option(help="Name of both files. Default: the recipe's.")] = "",
) -> None:
    """Export the weights of a checkpoint, compare the result with PyTorch and write its card.

    Example: `rtsr export runs/quicksrnet-small-x2-photo.pt --recipe recipes/quicksrnet-small-x2-photo.toml`
    """
    for module in ("torch", "onnx", "onnxscript", "tomli_w"):
        need(module, "train")
    from rtsr.export import export_checkpoint
    from rtsr.train.recipe import read_recipe

    card = export_checkpoint(checkpoint, read_recipe(recipe), folder, name)
    path = Network(card, folder / f"{card.name}.toml").path
    print(f"{path}: {card.summary}; {card.parameters} parameters, {card.macs_per_pixel:g} MACs/pixel")
