"""`rtsr models` and `rtsr models show`."""

import json
import shlex
from pathlib import Path

import pytest

from rtsr import resources
from rtsr.card import card_as_dict
from rtsr.cli import main
from rtsr.cli.cards import commands
from rtsr.engine.int8 import trial


@pytest.fixture
def rtsr(capsys, monkeypatch):
    """Runs the command line; gives exit status, standard output and standard error."""
    monkeypatch.setenv("COLUMNS", "160")

    def run(*arguments: str):
        with pytest.raises(SystemExit) as done:
            main(list(arguments))
        return done.value.code or 0, *capsys.readouterr()

    return run


@pytest.mark.parametrize("name", list(resources.networks()))
def test_show_prints_the_whole_card(rtsr, name: str) -> None:
    card = resources.networks()[name].card
    status, shown, err = rtsr("models", "show", name)
    assert (status, err) == (0, "")
    origin = card.origin
    assert origin is not None and origin.data
    words = [name, card.arch, card.flavour, f"{card.parameters:,}", f"{card.macs_per_pixel:,.0f}", card.sha256, "fp32"]
    words += [card.training.partition("; ")[0], *origin.data, *origin.hold_out, origin.start]
    entries = card.exits or (card,)
    words += [f"{q.psnr:.3f}" for entry in entries for q in entry.quality.values()]
    words += [f"{q.ssim:.4f}" for entry in entries for q in entry.quality.values()]
    assert [word for word in words if word not in shown] == []


def test_names_are_whole_however_narrow_the_terminal(rtsr, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    status, shown, err = rtsr("models")
    assert (status, err) == (0, "")
    named = [line.split()[0] for line in shown.splitlines() if line.strip()]
    assert [name for name in resources.networks() if name not in named] == []


def test_a_networks_file_is_no_card(rtsr) -> None:
    network = resources.networks()["quicksrnet-small-x2-photo"]
    status, _, err = rtsr("models", "show", str(network.path))
    assert status == 2 and err.endswith(f"name its card, {network.card_path}\n")


def test_a_family_is_shown_scale_by_scale(rtsr) -> None:
    status, shown, _ = rtsr("models", "show", "quicksrnet-small")
    assert status == 0 and "quicksrnet-small-x1.5-capture" in shown and "quicksrnet-small-x2-capture" in shown
    found = json.loads(rtsr("models", "show", "quicksrnet-small", "--json")[1])
    known = resources.networks()
    assert found == [json.loads(json.dumps(card_as_dict(known[entry["name"]].card))) for entry in found]
    assert len(found) == 2


def test_what_is_unknown_is_said_in_a_line(rtsr) -> None:
    status, shown, err = rtsr("models", "show", "nothing")
    assert (status, shown) == (2, "") and err.startswith("error: unknown model 'nothing'") and err.count("\n") == 1
    assert rtsr("models", "--json", "show", "quicksrnet-small")[0] == 2


@pytest.mark.parametrize("flavour", ["photo", "capture"])
def test_the_commands_bring_the_figures_again(rtsr, shared: Path, flavour: str) -> None:
    """The quickest data set of each flavour."""
    network = resources.networks()[f"quicksrnet-small-x2-{flavour}"]
    card, title = network.card, "Set5" if flavour == "photo" else "pairs (unseen maps)"
    floats, whole = [c for c in commands(card) if "Set5" in c or "pairs" in c]
    folder = shared / "data" / ("benchmarks" if flavour == "photo" else ".")
    for command, expected in ((floats, card.quality[title]), (whole, card.int8.quality[title])):
        if command == whole and not trial(network).right:
            continue
        _, *arguments = shlex.split(command.replace("DIR", str(folder)))
        result = json.loads(rtsr(*arguments, "--json")[1])
        assert len(result["images"]) == expected.images
        assert result["psnr"] == pytest.approx(expected.psnr, abs=2e-3)
        assert result["ssim"] == pytest.approx(expected.ssim, abs=2e-4)
