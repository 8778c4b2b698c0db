"""`rtsr eval`: how good an engine is on a folder of images."""

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.console import Console

from rtsr import resources
from rtsr.cli.app import app
from rtsr.cli.progress import share_bar
from rtsr.cli.scores import (
    evaluation_table,
    evaluation_values,
    exits_table,
    exits_values,
    tradeoff_tables,
    tradeoff_values,
)
from rtsr.engine import RESAMPLERS
from rtsr.engine.base import Engine, MultiExitEngine
from rtsr.engine.choice import Means
from rtsr.engine.exits import OneExit
from rtsr.errors import UsageError, need
from rtsr.preset import ENGINES
from rtsr.provider import PROVIDERS
from rtsr.quality.evaluate import evaluate, evaluate_exits
from rtsr.quality.plot import check_plot, plot_tradeoff
from rtsr.quality.tradeoff import ETA, GAMMA, parse_etas, weigh
from rtsr.scale import parse_scale
from rtsr.upscaler import DEFAULT_MODEL

EXAMPLES = """Measure PSNR and SSIM of an engine over a data set; of a network with several exits, for each exit.

With --patches a network with an estimator chooses an exit for each patch, and what that saves is measured.
With --precision the network is measured as GPUs compute it, every value rounded as it is there; this runs on the
processor, and slowly. With --engine onnx --precision int8 it is measured in 8 bits as processors compute it.

Examples:

    rtsr eval --model quicksrnet-small-photo --scale 2 --dataset Set5

    rtsr eval --model quicksrnet-small-photo --scale 2 --dataset Set5 --precision fp16

    rtsr eval --model mine/enaf-fsrcnn.toml --scale 4 --dataset photographs --patches --eta 0.5

    rtsr eval --model mine/enaf-fsrcnn.toml --scale 4 --dataset photographs --sweep-eta 0:2:0.1 --plot curve.png
"""


@app.command("eval", help=EXAMPLES)
def evaluate_command(
    dataset: Annotated[Path, typer.Option(help="Folder with HR/NAME.png, with rendered pairs, or of large pictures.")],
    scale: Annotated[str, typer.Option(help="Output side over input side, e.g. 1.5 or 2.")],
    model: Annotated[
        str | None, typer.Option(help=f"A network; see `rtsr models`; or a card's path. Default: {DEFAULT_MODEL}.")
    ] = None,
    engine: Annotated[str, typer.Option(help=f"What computes: {', '.join(ENGINES)}.")] = "auto",
    provider: Annotated[
        str | None, typer.Option(help=f"What ONNX Runtime runs on: {', '.join(PROVIDERS)}. Default: auto.")
    ] = None,
    precision: Annotated[str, typer.Option(help="As GPUs compute it: fp16 or int8; int8 of --engine onnx.")] = "fp32",
    only: Annotated[list[str] | None, typer.Option(help="Only images with this in their name. Repeatable.")] = None,
    stop_at: Annotated[int | None, typer.Option("--exit", help="One exit of several alone; 0 is bicubic.")] = None,
    patches: Annotated[bool, typer.Option("--patches", help="Choose an exit for each patch.")] = False,
    eta: Annotated[
        float | None, typer.Option(help=f"Patches: dB that the last exit's cost is worth. Default: {ETA}.")
    ] = None,
    sweep: Annotated[
        str | None, typer.Option("--sweep-eta", help="Patches, for several etas: 0,0.5,1 or first:last:step.")
    ] = None,
    gamma: Annotated[float | None, typer.Option(help=f"Patches: bicubic's dB on blank ones. Default: {GAMMA}.")] = None,
    no_blank: Annotated[bool, typer.Option("--no-blank", help="Patches: as --gamma 0.")] = False,
    costs: Annotated[
        str | None, typer.Option(help="Patches: each exit's cost, 0,1.5,4, in place of multiply-adds.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Patches: write PSNR over cost, a PNG, SVG or PDF.")] = None,
    threads: Annotated[int | None, typer.Option(help="Cores to use. Default: all.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    choice = _choice(patches, eta, sweep, gamma, no_blank, costs, plot)
    if choice and stop_at is not None:
        raise UsageError("--exit takes whole images; leave out either it or --patches")
    with _open(Means(engine, provider, threads), model, scale, precision) as opened, share_bar(dataset.name) as watch:
        where = dataset, parse_scale(scale)
        how = tuple(only or ()), watch
        if choice:
            weighed = weigh(_with_exits(opened), *where, choice.etas, choice.gamma, choice.costs, *how)
            values, tables = tradeoff_values(weighed), tradeoff_tables(weighed, bool(choice.costs))
            if plot:
                plot_tradeoff(weighed, plot)
        elif opened.card.exits and stop_at is None:
            every = evaluate_exits(_with_exits(opened), *where, *how)
            values, tables = exits_values(every, opened.card), [exits_table(every, opened.card)]
        else:
            whole = evaluate(opened if stop_at is None else OneExit(_with_exits(opened), stop_at), *where, *how)
            values, tables = evaluation_values(whole), [evaluation_table(whole)]
    if as_json:
        print(json.dumps(values, indent=2))
    else:
        Console().print(*tables, sep="\n")


@dataclass(frozen=True, slots=True)
class Choice:
    """How exits are chosen patch by patch."""

    etas: tuple[float, ...]
    gamma: float
    costs: tuple[float, ...]
    """In place of the card's multiply-adds; empty for those."""


def _choice(
    patches: bool,
    eta: float | None,
    sweep: str | None,
    gamma: float | None,
    no_blank: bool,
    costs: str | None,
    plot: Path | None,
) -> Choice | None:
    """What the options say of patches; None where whole images are measured."""
    if not patches and sweep is None:
        if eta is not None or gamma is not None or no_blank or costs or plot:
            raise UsageError("--eta, --gamma, --no-blank, --costs and --plot go with --patches or --sweep-eta")
        return None
    if eta is not None and sweep is not None:
        raise UsageError("--eta is one, --sweep-eta several; leave out either")
    if no_blank and gamma is not None:
        raise UsageError("--no-blank is --gamma 0; leave out either")
    if plot:
        check_plot(plot)
    etas = parse_etas(sweep) if sweep is not None else (ETA if eta is None else eta,)
    return Choice(etas, 0.0 if no_blank else GAMMA if gamma is None else gamma, _numbers(costs))


def _open(means: Means, model: str | None, scale: str, precision: str) -> Engine:
    if means.engine in RESAMPLERS:
        if model is not None:
            raise UsageError(f"{means.engine} runs no network: leave out --model, or --engine")
        if precision != "fp32":
            raise UsageError(f"{means.engine} runs no network: leave out --precision, or --engine")
        return RESAMPLERS[means.engine](parse_scale(scale))
    network = resources.find_network(model or DEFAULT_MODEL, parse_scale(scale))
    if precision == "int8" and (means.engine == "onnx" or means.provider == "cpu"):
        return replace(means, precision=precision).open(network)
    if precision == "fp32":
        return means.open(network, lambda line: print(line, file=sys.stderr))
    if means.provider is not None:
        raise UsageError("--precision is measured on the processor, by rounding; leave out either it or --provider")
    need("onnx", "rtx")
    from rtsr.nvidia.rehearsal import rehearse

    return rehearse(network, precision, means.threads)


def _with_exits(engine: Engine) -> MultiExitEngine:
    if not engine.card.exits:
        raise UsageError(f"{engine.card.name} has but one exit; leave out --exit, --patches and --sweep-eta")
    return cast(MultiExitEngine, engine)


def _numbers(costs: str | None) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in costs.split(",")) if costs else ()
    except ValueError as cause:
        raise UsageError(f"{costs!r} is not a list of costs; write 0,1.5,4") from cause
