"""A network is found by its name, its architecture, or architecture and flavour."""

from fractions import Fraction

import pytest

from rtsr import resources
from rtsr.card import Card
from rtsr.errors import UsageError

X2, X15 = Fraction(2), Fraction(3, 2)


@pytest.fixture(autouse=True)
def shipped(monkeypatch):
    facts = [("small", X15, "capture"), ("small", X2, "capture"), ("small", X2, "photo"), ("tiny", X2, "photo")]
    cards = [Card(f"{arch}-x{float(scale):g}-{flavour}", arch, scale, flavour) for arch, scale, flavour in facts]
    monkeypatch.setattr(resources, "cards", lambda: {card.name: card for card in cards})


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
    assert resources.find_card(model, scale).name == name


@pytest.mark.parametrize("model", ["large", "tiny", ""])
def test_names_what_is_known(model):
    for find in (resources.find_card, resources.find_reaching_card):
        with pytest.raises(UsageError, match="known: small-capture, small-photo, tiny-photo"):
            find(model, X2)


@pytest.mark.parametrize(("model", "scale"), [("small-x2-photo", X15), ("small-photo", X15), ("small", Fraction(3))])
def test_a_scale_without_a_network(model, scale):
    with pytest.raises(UsageError, match="has no network for scale"):
        resources.find_card(model, scale)


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
    assert resources.find_reaching_card("small", scale).name == name


def test_nothing_shipped(monkeypatch):
    monkeypatch.setattr(resources, "cards", dict)
    with pytest.raises(UsageError, match="none is installed"):
        resources.find_card("small", X2)
