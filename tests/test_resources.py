"""Shipped files are found in the repository and in an installed package."""

from pathlib import Path

import pytest

from rtsr import resources
from rtsr.card import card_in_8_bits, check_hash
from rtsr.errors import CardError, UsageError

CARD = 'name = "{name}"\narch = "quicksrnet-small"\nscale = "{scale}"\nflavour = "photo"\nmacs_per_pixel = {macs}\n'


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """An empty repository's package folder."""
    package = tmp_path / "rtsr"
    package.mkdir()
    monkeypatch.setattr(resources, "PACKAGE", package)
    return package


def test_packaged_folder_comes_first(package):
    beside = package.parent / "presets"
    beside.mkdir()
    assert resources.folder("presets") == beside
    (package / "presets").mkdir()
    assert resources.folder("presets") == package / "presets"


def test_networks_are_sorted_by_scale_then_cost(package):
    engines = package / "engines"
    engines.mkdir()
    for name, scale, macs in [("b", "2", 9.0), ("c", "2", 1.0), ("a", "4", 1.0), ("d", "3/2", 5.0)]:
        (engines / f"{name}.toml").write_text(CARD.format(name=name, scale=scale, macs=macs))
    found = resources.networks()
    assert list(found) == ["d", "c", "b", "a"]
    assert found["d"].path == engines / "d.onnx"


def test_nothing_shipped_is_no_error(package):
    assert resources.networks() == {}
    assert resources.preset_names() == []


def test_damaged_card_is_named(package):
    (package / "engines").mkdir()
    (package / "engines" / "bad.toml").write_text("name = 3")
    with pytest.raises(CardError, match=r"bad\.toml is damaged"):
        resources.networks()


def test_preset_by_name_or_path(package):
    (package / "presets").mkdir()
    shipped = package / "presets" / "mine.toml"
    shipped.write_text('summary = "a"')
    assert resources.preset_names() == ["mine"]
    assert resources.preset_path("mine") == shipped
    assert resources.preset_path("elsewhere/mine.toml") == Path("elsewhere/mine.toml")
    with pytest.raises(UsageError, match=r"unknown preset 'yours'; known: mine, or a path to a \.toml file"):
        resources.preset_path("yours")


def test_shipped_cards_match_their_networks():
    for name, network in resources.networks().items():
        assert network.card.name == name
        check_hash(network.card, network.path)
        if network.card.int8:
            check_hash(card_in_8_bits(network.card), network.int8_path)


def test_the_networks_that_users_are_promised_are_here():
    promised = {
        f"quicksrnet-{size}-{scale}-{flavour}"
        for size in ("small", "medium")
        for scale in ("x1.5", "x2")
        for flavour in ("capture", "photo")
    }
    assert promised <= resources.networks().keys()
    assert all(resources.networks()[name].card.int8 for name in promised)
