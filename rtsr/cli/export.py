"""`rtsr export`: a training checkpoint in, an ONNX file and its card out."""

from pathlib import Path
from typing import Annotated

import typer

from rtsr.cli.app import app
from rtsr.errors import need


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
    for module in ("torch", "onnx", "tomli_w"):
        need(module, "train")
    from rtsr.export import export_checkpoint
    from rtsr.resources import Network
    from rtsr.train.recipe import read_recipe

    card = export_checkpoint(checkpoint, read_recipe(recipe), folder, name)
    print(
        f"{Network(card, folder / f'{card.name}.toml').path}: {card.summary}; {card.parameters} parameters, "
        f"{card.macs_per_pixel:g} MACs/pixel"
    )
