"""`rtsr models`: the networks that ship with rtsr, the engines that need none, and what a card says."""

import json
from fractions import Fraction
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from rtsr import resources
from rtsr.card import Card, card_as_dict
from rtsr.cli.app import app
from rtsr.cli.cards import card_tables
from rtsr.engine import RESAMPLERS
from rtsr.errors import UsageError

models_app = typer.Typer(rich_markup_mode="markdown")
app.add_typer(models_app, name="models")
WIDE = 200
"""More columns of text than the table needs."""
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@models_app.callback(invoke_without_command=True)
def models(context: typer.Context, as_json: Json = False) -> None:
    """List the networks and what they cost, with their PSNR per data set; or show one's card.

    Examples: `rtsr models`, `rtsr models show quicksrnet-small-x2-photo`
    """
    if context.invoked_subcommand is not None:
        if as_json:
            raise UsageError("--json stands behind the name: rtsr models show NAME --json")
        return
    networks = [network.card for network in resources.networks().values()]
    summaries = {name: make(Fraction(2)).card.summary for name, make in RESAMPLERS.items()}
    if as_json:
        engines = [{"name": name, "summary": summary} for name, summary in summaries.items()]
        print(json.dumps({"networks": [card_as_dict(card) for card in networks], "engines": engines}, indent=2))
        return
    console = Console()
    if networks:
        table = _networks(networks)
        # A name that is broken in two cannot be copied: rather a line that the terminal breaks.
        needed = console.measure(table, options=console.options.update(width=WIDE)).minimum
        Console(width=max(console.width, needed)).print(table)
    else:
        console.print("No network is installed.")
    console.print(_engines(summaries))


@models_app.command()
def show(
    name: Annotated[str, typer.Argument(help="A network, as --model takes it, or a card's path, mine/NAME.toml.")],
    as_json: Json = False,
) -> None:
    """Print all that a network's card says: cost, training, quality, and the commands that bring the figures again.

    Example: `rtsr models show quicksrnet-small-photo`
    """
    cards = [network.card for network in resources.find_networks(name)]
    if as_json:
        print(json.dumps([card_as_dict(card) for card in cards], indent=2))
        return
    console = Console()
    for card in cards:
        console.print(*card_tables(card), sep="\n")


def _networks(cards: list[Card]) -> Table:
    table = Table(
        title="Networks (PSNR-Y in dB)", title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0)
    )
    datasets = list(dict.fromkeys(name for card in cards for name in card.quality))
    table.add_column("name", no_wrap=True)
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
