"""A card is read strictly, and belongs to one file."""

import dataclasses
import json
from fractions import Fraction
from hashlib import sha256
from pathlib import Path

import pytest
import tomli_w

from rtsr.card import (
    Card,
    Estimation,
    Int8,
    Origin,
    Quality,
    card_as_dict,
    card_in_8_bits,
    check_hash,
    hash_of,
    read_card,
)
from rtsr.errors import CardError

TEXT = """
name = "small-x1.5"
arch = "quicksrnet-small"
scale = "3/2"
flavour = "capture"
size_multiple = 2
radius = 8
parameters = 22875
macs_per_pixel = 22000.5

[quality.BSD100]
psnr = 34
ssim = 0.93
images = 100
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "small-x1.5.toml"
    path.write_text(text, "utf-8")
    return path


def test_read(tmp_path):
    card = read_card(write(tmp_path, TEXT))
    assert (card.name, card.scale, card.size_multiple) == ("small-x1.5", Fraction(3, 2), 2)
    assert card.macs_per_pixel == 22000.5
    assert card.quality == {"BSD100": Quality(psnr=34, ssim=0.93, images=100)}
    assert card.value_max == 1 and card.sha256 == ""


def test_dictionary_holds_plain_values(tmp_path):
    card = read_card(write(tmp_path, TEXT))
    plain = json.loads(json.dumps(card_as_dict(card)))
    assert plain["scale"] == "3/2"
    assert plain["quality"] == {"BSD100": {"psnr": 34, "ssim": 0.93, "images": 100}}
    assert plain.keys() == {entry.name for entry in dataclasses.fields(Card)} - {"exits", "estimator", "origin", "int8"}


EXITS = """
[[exits]]
stage_macs = 100
head_macs = 20.5
radius = 3
[exits.quality.Set5]
psnr = 30
ssim = 0.9
images = 5

[[exits]]
stage_macs = 0
head_macs = 50
radius = 4

[estimator]
patch = 32
macs = 3000
sign = -1
"""


def test_exits_and_estimator_are_read_and_written(tmp_path):
    card = read_card(write(tmp_path, TEXT + EXITS))
    assert [(exit.stage_macs, exit.head_macs, exit.radius) for exit in card.exits] == [(100, 20.5, 3), (0, 50, 4)]
    assert card.exits[0].quality == {"Set5": Quality(psnr=30, ssim=0.9, images=5)}
    assert card.estimator == Estimation(patch=32, macs=3000, sign=-1)
    assert read_card(write(tmp_path, tomli_w.dumps(card_as_dict(card)))) == card


@pytest.mark.parametrize(
    ("old", "new"), [("sign = -1", "sign = 0"), ("radius = 3", "radius = -3"), ("patch = 32", "colour = 3")]
)
def test_wrong_exits_are_refused(tmp_path, old, new):
    with pytest.raises(CardError, match="damaged"):
        read_card(write(tmp_path, TEXT + EXITS.replace(old, new)))


ORIGIN = """
[origin]
data = ["train_game", "pairs"]
hold_out = ["one_map"]
start = "small-x2"
hours = 1.5
hardware = "2 threads of a processor"
"""


def test_an_origin_is_read_and_written(tmp_path):
    card = read_card(write(tmp_path, TEXT + ORIGIN))
    assert card.origin == Origin(("train_game", "pairs"), ("one_map",), "small-x2", 1.5, "2 threads of a processor")
    assert read_card(write(tmp_path, tomli_w.dumps(card_as_dict(card)))) == card


@pytest.mark.parametrize(
    ("old", "new"),
    [('"one_map"', "1"), ("hours = 1.5", "hours = -1"), ("hours = 1.5", "hours = nan"), ("hours", "days")],
)
def test_wrong_origins_are_refused(tmp_path, old, new):
    with pytest.raises(CardError, match="damaged"):
        read_card(write(tmp_path, TEXT + ORIGIN.replace(old, new)))


INT8 = """
[int8]
sha256 = "abc"
noise = 1.5
[int8.quality.BSD100]
psnr = 33.9
ssim = 0.929
images = 100
"""


def test_a_form_in_8_bits_is_read_and_written(tmp_path):
    card = read_card(write(tmp_path, TEXT + INT8))
    assert card.int8 == Int8("abc", 1.5, {"BSD100": Quality(33.9, 0.929, 100)})
    assert card_as_dict(card)["int8"] == {
        "sha256": "abc",
        "noise": 1.5,
        "quality": card_as_dict(card)["int8"]["quality"],
    }
    whole = card_in_8_bits(card)
    assert (whole.sha256, whole.quality, whole.int8) == ("abc", card.int8.quality, None)


def test_8_bits_that_were_not_measured_are_thought_bad(tmp_path):
    card = read_card(write(tmp_path, TEXT + INT8.replace("noise = 1.5", "")))
    assert card.int8 is not None and card.int8.noise >= 2


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"abc"', "5"),
        ("noise = 1.5", "noise = nan"),
        ("noise = 1.5", "noise = inf"),
        ("noise = 1.5", "noise = -1"),
        ("psnr = 33.9", 'psnr = "good"'),
        ("[int8]", "[int8]\nx = 1"),
    ],
)
def test_wrong_forms_are_refused(tmp_path, old, new):
    with pytest.raises(CardError, match="damaged"):
        read_card(write(tmp_path, TEXT + INT8.replace(old, new)))


def test_a_folder_has_one_hash_for_all_its_files(tmp_path):
    for name in ("stage1.onnx", "head1.onnx"):
        (tmp_path / name).write_bytes(name.encode())
    whole = hash_of(tmp_path)
    (tmp_path / "notes.txt").write_text("not part of the network")
    assert hash_of(tmp_path) == whole
    (tmp_path / "head1.onnx").rename(tmp_path / "head2.onnx")
    assert hash_of(tmp_path) != whole


def test_output_side():
    assert Card("a", "quicksrnet-small", Fraction(3, 2), "capture", size_multiple=2).output_side(720) == 1080
    assert Card("a", "quicksrnet-small", Fraction(2), "photo").output_side(541) == 1082


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("radius", "radios", "unknown.*radios.*allowed.*radius"),
        ('name = "small-x1.5"', "", "name"),
        ('scale = "3/2"', "", "scale"),
        ('"3/2"', '"3/0"', "ZeroDivision"),
        ('"3/2"', '"wide"', "wide"),
        ('"3/2"', '"9"', "between 1 and 8"),
        ('"3/2"', '"1/2"', "between 1 and 8"),
        ('"capture"', '"film"', "flavour is capture, photo or none, not 'film'"),
        ("size_multiple = 2", "size_multiple = 0", "positive"),
        ("radius = 8", "radius = -1", "not negative"),
        ("radius = 8", "radius = 8.5", "radius has the wrong type: 8.5"),
        ("radius = 8", "radius = true", "radius has the wrong type: True"),
        ('arch = "quicksrnet-small"', "arch = 3", "arch has the wrong type: 3"),
        ("psnr = 34", 'psnr = "34"', "psnr has the wrong type"),
        ("psnr = 34", "pnsr = 34", "pnsr"),
        ("[quality.BSD100]", "[quality]", "damaged"),
        ("radius = 8", "radius =", "Invalid value"),
    ],
)
def test_damaged_cards_are_refused(tmp_path, old, new, message):
    assert old in TEXT
    path = write(tmp_path, TEXT.replace(old, new, 1))
    with pytest.raises(CardError, match=message) as caught:
        read_card(path)
    assert str(path) in str(caught.value) and "reinstall rtsr" in str(caught.value)


def test_missing_card_is_a_card_error(tmp_path):
    with pytest.raises(CardError, match="No such file"):
        read_card(tmp_path / "none.toml")


def test_hash_ties_a_card_to_its_network(tmp_path):
    network = tmp_path / "a.onnx"
    network.write_bytes(b"weights")
    card = Card("a", "quicksrnet-small", Fraction(2), "photo", sha256=sha256(b"weights").hexdigest())
    check_hash(card, network)
    network.write_bytes(b"others")
    with pytest.raises(CardError, match="not the file that its card describes"):
        check_hash(card, network)
    with pytest.raises(CardError, match="cannot be read"):
        check_hash(card, tmp_path / "none.onnx")
