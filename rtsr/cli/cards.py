"""A card in tables to read."""

from collections.abc import Iterator

from rich.table import Table

from rtsr.card import UNSEEN, Card, Quality

FULL_HD = 1920 * 1080


def card_tables(card: Card) -> Iterator[Table]:
    """What the network is; what it was trained on; what it reaches; and, in words, how to measure that again."""
    yield _rows(card.summary or card.name, _facts(card))
    if card.training or card.origin:
        yield _rows("Training", _training(card))
    if card.exits:
        yield _exits(card)
    if card.quality:
        yield _quality(card)
        yield _rows("Measure again", [("", command) for command in commands(card)])


def commands(card: Card) -> list[str]:
    """The commands that bring the card's figures again; DIR holds the data sets."""
    kept = card.origin.hold_out if card.origin else ()
    made = []
    for name in card.quality:
        command = (
            f"rtsr eval --model {card.name} --scale {float(card.scale):g} --dataset DIR/{name.removesuffix(UNSEEN)}"
        )
        only = [f" --only {part}" for part in kept] if name.endswith(UNSEEN) else []
        made.append(command + "".join(only))
        if card.int8 and name in card.int8.quality:
            made.append(f"{made[-1]} --engine onnx --precision int8")
    return made


def _facts(card: Card) -> list[tuple[str, str]]:
    times = f"{float(card.scale):g}"
    full = card.macs_per_pixel * FULL_HD / float(card.scale) ** 2
    facts = [
        ("name", card.name),
        ("architecture", card.arch),
        ("flavour", card.flavour),
        ("scale", times),
        ("parameters", f"{card.parameters:,}"),
        ("multiply-adds", f"{card.macs_per_pixel:,.0f} an input pixel, {full / 1e9:.1f} G to 1920x1080"),
        ("looks", f"{card.radius} input pixels far"),
    ]
    if card.size_multiple > 1:
        facts.append(("sides", f"multiples of {card.size_multiple}"))
    if card.estimator:
        facts.append(("estimator", f"{card.estimator.macs:,.0f} multiply-adds an input pixel"))
    return [*facts, ("sha256", card.sha256)]


def _training(card: Card) -> Iterator[tuple[str, str]]:
    command, _, steps = card.training.partition("; ")
    yield "command", command
    if steps:
        yield "steps", steps
    origin = card.origin
    if origin is None:
        return
    yield "data", ", ".join(origin.data)
    if origin.hold_out:
        yield "kept out", ", ".join(origin.hold_out)
    if origin.start:
        yield "grown from", origin.start
    yield "hours", f"{origin.hours:.2f} on {origin.hardware}" if origin.hours else "not recorded"


def _rows(title: str, rows: list[tuple[str, str]] | Iterator[tuple[str, str]]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, value)
    return table


def _exits(card: Card) -> Table:
    table = Table(title="Exits", title_justify="left")
    for title in ("exit", "stage MACs/px", "head MACs/px", "to here and out", "looks, px", "over bicubic, dB"):
        table.add_column(title, justify="right")
    reached = 0.0
    for k, entry in enumerate(card.exits, 1):
        reached += entry.stage_macs
        costs = (f"{cost:,.0f}" for cost in (entry.stage_macs, entry.head_macs, reached + entry.head_macs))
        table.add_row(f"{k}", *costs, f"{entry.radius}", f"{entry.gain:+.3f}" if entry.gain else "-")
    return table


def _quality(card: Card) -> Table:
    """PSNR and SSIM by precision, exit and data set."""
    table = Table(title="Quality, on luma of 8-bit results", title_justify="left")
    for title in ("precision", "exit", "data set", "images", "PSNR-Y dB", "SSIM-Y"):
        table.add_column(title, justify="left" if title in ("precision", "data set") else "right")
    scored = [(f"{k}", entry.quality) for k, entry in enumerate(card.exits, 1)] or [("-", card.quality)]
    for name in card.quality:
        for title, found in scored:
            if name in found:
                table.add_row("fp32", title, name, *_figures(found[name]))
        if card.int8 and name in card.int8.quality:
            table.add_row("int8", "-", name, *_figures(card.int8.quality[name]))
    return table


def _figures(quality: Quality) -> tuple[str, str, str]:
    return f"{quality.images}", f"{quality.psnr:.3f}", f"{quality.ssim:.4f}"
