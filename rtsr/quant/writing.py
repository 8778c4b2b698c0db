"""The form in 8 bits of a network on disk: a file beside it, and a part of its card."""

import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
import tomli_w

from rtsr.card import UNSEEN, Card, Int8, Quality, card_as_dict, check_hash, hash_of
from rtsr.engine.int8 import open_int8
from rtsr.errors import EngineError, UsageError
from rtsr.quality.evaluate import evaluate
from rtsr.quant.whole import in_whole_numbers
from rtsr.resources import Network


def write_int8(network: Network, data: Path | None = None) -> Card:
    """Write `NAME.int8.onnx` beside `network`, note it on its card, and return that.

    Where `data` holds the data sets that the card has scores of, they are scored in 8 bits, too. Nothing has changed
    where an error is raised: CardError where the file is not the card's, UsageError for a network with several exits,
    EngineError for one of another form, where nothing can be written, or where there are scores to measure and this
    processor does not compute 8 bits right, SourceError where a data set is not in `data`.
    """
    card = network.card
    if card.exits:
        raise UsageError(f"{card.name} has several exits; 8 bits are for networks with one")
    check_hash(card, network.path)
    whole = in_whole_numbers(onnx.load(network.path))
    try:
        with TemporaryDirectory(dir=network.card_path.parent) as scratch:
            made = Network(card, Path(scratch) / network.card_path.name)
            made.int8_path.write_bytes(whole.model.SerializeToString())
            int8 = Int8(hash_of(made.int8_path), round(whole.noise, 3))
            card = replace(card, int8=int8)
            if data is not None:
                shutil.copy(network.path, made.path)
                scores = _scores(Network(card, made.card_path), data)
                card = replace(card, int8=replace(int8, quality=scores))
            made.card_path.write_text(tomli_w.dumps(card_as_dict(card)), "utf-8")
            made.int8_path.replace(network.int8_path)
            made.card_path.replace(network.card_path)
    except OSError as cause:
        raise EngineError(
            f"cannot write beside {network.card_path}: {cause.strerror}; copy both files elsewhere"
        ) from cause
    return card


def _scores(network: Network, data: Path) -> dict[str, Quality]:
    """What `network` reaches in 8 bits on the data sets of its card."""
    card, found = network.card, {}
    with open_int8(network, None, "cpu") as engine:
        for title in card.quality:
            name = title.removesuffix(UNSEEN)
            folder = data / name if (data / name).is_dir() else data / "benchmarks" / name
            kept = card.origin.hold_out if card.origin and title.endswith(UNSEEN) else ()
            scored = evaluate(engine, folder, card.scale, kept)
            found[title] = Quality(round(scored.psnr, 3), round(scored.ssim, 4), len(scored.scores))
    return found
