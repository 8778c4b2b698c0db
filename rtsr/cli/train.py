"""`rtsr train`: a recipe in, a network and its card out."""

import shlex
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from rtsr.cli.app import app
from rtsr.engine.session import check_threads
from rtsr.errors import TrainError, UsageError, need


@app.command("train")
def train_command(
    config: Annotated[Path, typer.Option(help="The recipe, a TOML file; see the folder recipes.")],
    data: Annotated[Path, typer.Option(help="Folder that holds the recipe's image folders.")],
    runs: Annotated[Path, typer.Option(help="Folder for checkpoints.")] = Path("runs"),
    folder: Annotated[Path, typer.Option(help="Folder for the finished network and its card.")] = Path("engines"),
    minutes: Annotated[float | None, typer.Option(help="Stop after this many; the next call goes on.")] = None,
    every: Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")] = 2000,
    threads: Annotated[int | None, typer.Option(min=1, help="Cores to use. Default: all.")] = None,
    device: Annotated[str, typer.Option(help="auto (CUDA where there is any), cpu or cuda.")] = "auto",
    precision: Annotated[
        str, typer.Option(help="float32, or faster: bf16 on cuda and newer processors, tf32 on cuda.")
    ] = "float32",
) -> None:
    """Train a network, phase by phase, and at the end export it and score it; a run that was stopped goes on.

    Example: `rtsr train --config recipes/quicksrnet-small-x2-photo.toml --data images`
    """
    for module in ("onnx", "tomli_w", "PIL.Image"):
        need(module, "train")
    torch = need("torch", "train")
    from rtsr.resources import Network
    from rtsr.train.hardware import choose_hardware
    from rtsr.train.recipe import read_recipe
    from rtsr.train.session import Session

    check_threads(threads)
    if threads is not None:
        torch.set_num_threads(threads)
    if not data.is_dir():
        raise TrainError(f"there is no folder {data}; name the one with the recipe's images with --data")
    if minutes is not None and minutes <= 0:
        raise UsageError("minutes must be above 0")

    def log(line: str) -> None:
        print(f"{time.strftime('%H:%M:%S')}  {line}", file=sys.stderr, flush=True)

    session = Session(read_recipe(config), data, runs, folder, log, choose_hardware(device, precision))
    if not session.train(every, minutes):
        print(f"stopped after {minutes:g} minutes; the same command goes on from the last checkpoint in {runs}")
        return
    exactly = "" if precision == "float32" else f" --precision {precision}"
    card = session.export(f"rtsr train --config {shlex.quote(str(config))} --data DIR{exactly}")
    print(
        f"{Network(card, folder / f'{card.name}.toml').path}: {card.summary}; "
        + ", ".join(f"{k} {q.psnr:.2f} dB" for k, q in card.quality.items())
    )
