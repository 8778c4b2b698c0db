"""`rtsr quantize`: the form in 8 bits beside a network, and on its card."""

import shutil
import subprocess
from pathlib import Path

import pytest

from rtsr.card import card_in_8_bits, check_hash, read_card
from rtsr.engine.int8 import trial
from rtsr.errors import CardError, EngineError, SourceError, UsageError
from rtsr.quant.writing import write_int8
from rtsr.resources import Network, folder
from tests.command import assert_one_error_line, rtsr

NAME = "quicksrnet-small-x2-photo"


@pytest.fixture
def network(tmp_path: Path) -> Network:
    """A copy of one that ships, without its form in 8 bits."""
    for suffix in (".onnx", ".toml"):
        shutil.copy(folder("engines") / f"{NAME}{suffix}", tmp_path / f"{NAME}{suffix}")
    path = tmp_path / f"{NAME}.toml"
    path.write_text(path.read_text().partition("[int8]")[0])
    return Network(read_card(path), path)


def quantize(*arguments: object) -> subprocess.CompletedProcess[str]:
    return rtsr("quantize", *map(str, arguments))


def test_it_lies_beside_the_network_and_is_on_its_card(network: Network) -> None:
    done = quantize(network.card_path)
    assert done.returncode == 0 and "not scored; add --data" in done.stdout, done.stderr
    card = read_card(network.card_path)
    check_hash(card, network.path)
    check_hash(card_in_8_bits(card), network.int8_path)
    assert (card.quality, card.origin) == (network.card.quality, network.card.origin)
    assert sorted(path.name for path in network.path.parent.iterdir()) == [
        f"{NAME}.int8.onnx", f"{NAME}.onnx", f"{NAME}.toml"
    ]  # fmt: skip


def test_its_scores_are_measured(network: Network, shared: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for name in ("Set5", "Set14", "BSD100"):  # Of the quickest, under all names.
        (data / name).symlink_to(shared / "data/benchmarks/Set5")
    if not trial(Network(read_card(folder("engines") / f"{NAME}.toml"), folder("engines") / f"{NAME}.toml")).right:
        with pytest.raises(EngineError, match="overflow on this processor"):
            write_int8(network, data)
        return
    card = write_int8(network, data)
    assert card.int8 is not None and card.int8.quality.keys() == network.card.quality.keys()
    assert card.int8.quality["Set5"].psnr == pytest.approx(network.card.quality["Set5"].psnr, abs=0.15)
    assert read_card(network.card_path) == card


def test_nothing_changes_where_it_cannot_be_made(network: Network, tmp_path: Path) -> None:
    before = network.card_path.read_bytes()
    whole = network.path.read_bytes()
    for content in (whole[:1000], (folder("engines") / "quicksrnet-medium-x2-photo.onnx").read_bytes()):
        network.path.write_bytes(content)
        with pytest.raises(CardError, match="is not the file that its card describes"):
            write_int8(network)
    network.path.write_bytes(whole)
    with pytest.raises((SourceError, EngineError)):
        write_int8(network, tmp_path / "nowhere")
    exits = folder("engines") / "enaf-quicksrnet-medium-x2-photo.toml"
    with pytest.raises(UsageError, match="several exits"):
        write_int8(Network(read_card(exits), exits))
    assert network.card_path.read_bytes() == before and not network.int8_path.exists()
    assert_one_error_line(quantize(NAME), 2, "is not a card")
    other = folder("engines") / "rlfn-s-x2-photo.toml"
    assert_one_error_line(quantize(other), 1, "of another kind")
