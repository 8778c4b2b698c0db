"""`rtsr models`: the networks that ship with rtsr, and the engines that need none."""

import json
from fractions import Fraction
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from rtsr import resources
from rtsr.card import Card, card_as_dict
from rtsr.cli.app import app
from rtsr.engine import RESAMPLERS


@app.command("models")
def models_command(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the networks and what they cost, with their PSNR per data set.

    Example: `rtsr models`
    """
    networks = [network.card for network in resources.networks().values()]
    summaries = {name: make(Fraction(2)).card.summary for name, make in RESAMPLERS.items()}
    if as_json:
        engines = [{"name": name, "summary": summary} for name, summary in summaries.items()]
        print(json.dumps({"networks": [card_as_dict(card) for card in networks], "engines": engines}, indent=2))
        return
    console = Console()
    if networks:
        console.print(_networks(networks))
    else:
        console.print("No network is installed.")
    console.print(_engines(summaries))


def _networks(cards: list[Card]) -> Table:
    table = Table(title="Networks (PSNR-Y in dB)")
    datasets = list(dict.fromkeys(name for card in cards for name in card.quality))
    table.add_column("name", overflow="fold")
    for title in ("scale", "flavour", "parameters", "kMACs/px", *datasets):
        table.add_column(title, justify="left" if title == "flavour" else "right")
    for card in cards:
        scores = [f"{card.quality[name].psnr:.2f}" if name in card.quality else "-" for name in datasets]
        table.add_row(
            card.name,
            f"{float(card.scale):g}",
            card.flavour,
            f"{card.parameters:,}",
            f"{card.macs_per_pixel / 1000:.1f}",
            *scores,
        )
    return table


def _engines(summaries: dict[str, str]) -> Table:
    table = Table(title="Engines without a network, for any scale")
    table.add_column("name")
    table.add_column("what")
    for name, summary in summaries.items():
        table.add_row(name, summary)
    return table
