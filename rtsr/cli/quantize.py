"""`rtsr quantize`: networks in 8 bits for the processor."""

from pathlib import Path
from typing import Annotated

import typer

from rtsr.cli.app import app
from rtsr.errors import UsageError, need
from rtsr.resources import find_networks

EXAMPLES = """Write the form in 8 bits of a network beside it, for processors that multiply whole numbers faster.

`--precision int8` runs it. Its scores, measured with --data, are on the card beside those in floats: rtsr models show.

Example: `rtsr quantize mine/quicksrnet-medium-x2-photo.toml --data DIR`
"""


@app.command("quantize", help=EXAMPLES)
def quantize_command(
    models: Annotated[list[str], typer.Argument(metavar="CARD", help="Cards of networks like QuickSRNet, .toml.")],
    data: Annotated[Path | None, typer.Option(help="Folder of the data sets that the card has scores of.")] = None,
) -> None:
    for module in ("onnx", "tomli_w"):
        need(module, "train")
    from rtsr.quant.writing import write_int8

    for model in models:
        if not model.endswith(".toml"):
            raise UsageError(f"{model} is not a card; name a network's .toml file, beside which there is its .onnx")
        (network,) = find_networks(model)
        card = write_int8(network, data)
        assert card.int8 is not None
        lost = (
            f"{title} {card.int8.quality[title].psnr:.3f} dB ({found.psnr:.3f} in floats)"
            for title, found in card.quality.items()
            if title in card.int8.quality
        )
        print(f"{network.int8_path}: {', '.join(lost) or 'not scored; add --data'}")
