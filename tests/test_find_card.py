"""A network is found by its name, its architecture, architecture and flavour, or the path of its card."""

from fractions import Fraction
from pathlib import Path

import pytest

from rtsr import resources
from rtsr.card import Card, Exit
from rtsr.errors import CardError, UsageError
from rtsr.resources import Network

X2, X15 = Fraction(2), Fraction(3, 2)


@pytest.fixture(autouse=True)
def shipped(monkeypatch):
    facts = [("small", X15, "capture"), ("small", X2, "capture"), ("small", X2, "photo"), ("tiny", X2, "photo")]
    cards = [Card(f"{arch}-x{float(scale):g}-{flavour}", arch, scale, flavour) for arch, scale, flavour in facts]
    known = {card.name: Network(card, Path(f"{card.name}.toml")) for card in cards}
    monkeypatch.setattr(resources, "networks", lambda: known)


@pytest.mark.parametrize(
    ("model", "scale", "name"),
    [
        ("small-x2-photo", X2, "small-x2-photo"),
        ("small", X2, "small-x2-capture"),
        ("small", X15, "small-x1.5-capture"),
        ("small-photo", X2, "small-x2-photo"),
        ("small-capture", X15, "small-x1.5-capture"),
    ],
)
def test_finds(model, scale, name):
    assert resources.find_network(model, scale).card.name == name


@pytest.mark.parametrize("model", ["large", "tiny", ""])
def test_names_what_is_known(model):
    for find in (resources.find_network, resources.find_reaching_network):
        with pytest.raises(UsageError, match="known: small-capture, small-photo, tiny-photo"):
            find(model, X2)


@pytest.mark.parametrize(("model", "scale"), [("small-x2-photo", X15), ("small-photo", X15), ("small", Fraction(3))])
def test_a_scale_without_a_network(model, scale):
    with pytest.raises(UsageError, match="has no network for scale"):
        resources.find_network(model, scale)


@pytest.mark.parametrize(
    ("scale", "name"),
    [
        (Fraction(5, 4), "small-x1.5-capture"),
        (X15, "small-x1.5-capture"),
        (Fraction(7, 4), "small-x2-capture"),
        (Fraction(3), "small-x2-capture"),
    ],
)
def test_the_next_larger_network_reaches_a_scale(scale, name):
    assert resources.find_reaching_network("small", scale).card.name == name


def test_nothing_shipped(monkeypatch):
    monkeypatch.setattr(resources, "networks", dict)
    with pytest.raises(UsageError, match="none is installed"):
        resources.find_network("small", X2)


CARD = 'name = "mine-x2"\narch = "onnx"\nscale = "2"\nflavour = "photo"\n'


def test_a_path_to_a_card_finds_the_network_beside_it(tmp_path):
    path = tmp_path / "mine-x1.5.toml"
    path.write_text(CARD)
    for find in (resources.find_network, resources.find_reaching_network):
        found = find(str(path), X2)
        assert (found.card.name, found.path) == ("mine-x2", tmp_path / "mine-x1.5.onnx")
    assert resources.find_reaching_network(str(path), Fraction(3)).card.scale == 2
    with pytest.raises(UsageError, match="has no network for scale 3/2"):
        resources.find_network(str(path), X15)


def test_a_network_with_exits_is_a_folder():
    card = Card("mine", "enaf", X2, "photo", exits=(Exit(1.0, 1.0, 2),))
    assert Network(card, Path("some/mine-x1.5.toml")).path == Path("some/mine-x1.5")


def test_a_path_to_no_card(tmp_path):
    with pytest.raises(UsageError, match=r"there is no card .*nothing\.toml"):
        resources.find_network(str(tmp_path / "nothing.toml"), X2)
    (tmp_path / "bad.toml").write_text("name = 3")
    with pytest.raises(CardError, match=r"bad\.toml is damaged"):
        resources.find_network(str(tmp_path / "bad.toml"), X2)
