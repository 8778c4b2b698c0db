"""`rtsr eval`: how good an engine is on a folder of images."""

import json
import math
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from rtsr import resources
from rtsr.cli.app import app
from rtsr.engine import RESAMPLERS, open_engine
from rtsr.engine.base import Engine
from rtsr.errors import UsageError
from rtsr.evaluate import Evaluation, evaluate
from rtsr.preset import ENGINES
from rtsr.scale import parse_scale


@app.command("eval")
def evaluate_command(
    dataset: Annotated[Path, typer.Option(help="Folder with HR/NAME.png, or with rendered pairs.")],
    scale: Annotated[str, typer.Option(help="Output side over input side, e.g. 1.5 or 2.")],
    model: Annotated[str | None, typer.Option(help="A network; see `rtsr models`; or a card's path.")] = None,
    engine: Annotated[str, typer.Option(help=f"What computes: {', '.join(ENGINES)}.")] = "auto",
    only: Annotated[list[str] | None, typer.Option(help="Only images with this in their name. Repeatable.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure PSNR and SSIM of an engine over a data set.

    Example: `rtsr eval --model quicksrnet-small-photo --scale 2 --dataset Set5`
    """
    with _open(engine, model, scale) as opened:
        result = evaluate(opened, dataset, parse_scale(scale), tuple(only or ()))
    if as_json:
        print(json.dumps(_as_dict(result), indent=2))
    else:
        Console().print(_table(result))


def _open(engine: str, model: str | None, scale: str) -> Engine:
    if engine not in ENGINES:
        raise UsageError(f"unknown engine {engine!r}; known: {', '.join(ENGINES)}")
    if engine in RESAMPLERS:
        if model is not None:
            raise UsageError(f"{engine} runs no network: leave out --model, or --engine")
        return RESAMPLERS[engine](parse_scale(scale))
    if model is None:
        raise UsageError("--model is missing; `rtsr models` lists what there is")
    network = resources.find_network(model, parse_scale(scale))
    return open_engine(network.card, network.path)


def _as_dict(result: Evaluation) -> dict[str, object]:
    return {
        "model": result.model,
        "dataset": result.dataset,
        "scale": str(result.scale),
        "psnr": _finite(result.psnr),
        "ssim": result.ssim,
        "images": [
            {"name": score.name, "psnr": _finite(score.psnr), "ssim": score.ssim} for score in result.scores
        ],
    }  # fmt: skip


def _finite(psnr: float) -> float | None:
    """JSON has no infinity: null stands for no difference at all."""
    return psnr if math.isfinite(psnr) else None


def _table(result: Evaluation) -> Table:
    table = Table(title=f"{result.model} x{float(result.scale):g} on {result.dataset}", show_footer=True)
    table.add_column("image", footer=f"mean of {len(result.scores)}", overflow="fold")
    table.add_column("PSNR-Y dB", footer=f"{result.psnr:.2f}", justify="right")
    table.add_column("SSIM-Y", footer=f"{result.ssim:.4f}", justify="right")
    for score in result.scores:
        table.add_row(score.name, f"{score.psnr:.2f}", f"{score.ssim:.4f}")
    return table
