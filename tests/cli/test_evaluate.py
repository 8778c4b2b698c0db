"""`rtsr eval` and `rtsr models` as they are typed."""

import json
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from rtsr import resources
from rtsr.card import Card, Quality
from rtsr.cli import main


@pytest.fixture
def dataset(tmp_path):
    folder = tmp_path / "Mine"
    (folder / "HR").mkdir(parents=True)
    image = np.random.default_rng(0).integers(0, 256, (36, 48, 3), np.uint8)
    cv2.imwrite(str(folder / "HR" / "a.png"), image)
    cv2.imwrite(str(folder / "HR" / "b.png"), image // 2)
    return folder


@pytest.fixture
def rtsr(capsys):
    """Runs the command line; gives exit status, standard output and standard error."""

    def run(*arguments):
        with pytest.raises(SystemExit) as done:
            main([str(argument) for argument in arguments])
        return done.value.code or 0, *capsys.readouterr()

    return run


@pytest.mark.parametrize("engine", ["bicubic", "lanczos", "fsr"])
@pytest.mark.parametrize(("scale", "written"), [("2", "2"), ("1.5", "3/2")])
def test_json_holds_every_image_and_the_mean(rtsr, dataset, engine, scale, written):
    status, out, err = rtsr("eval", "--engine", engine, "--scale", scale, "--dataset", dataset, "--json")
    assert (status, err) == (0, "")
    result = json.loads(out)
    assert (result["model"], result["scale"], result["dataset"]) == (engine, written, "Mine")
    assert [image["name"] for image in result["images"]] == ["a", "b"]
    assert result["psnr"] == pytest.approx(np.mean([image["psnr"] for image in result["images"]]))
    assert result["ssim"] == pytest.approx(np.mean([image["ssim"] for image in result["images"]]))


def test_json_has_no_infinity(rtsr, dataset):
    for name in ("a", "b"):
        cv2.imwrite(str(dataset / "HR" / f"{name}.png"), np.full((36, 48, 3), 9, np.uint8))
    _, out, _ = rtsr("eval", "--engine", "bicubic", "--scale", "2", "--dataset", dataset, "--json")
    assert json.loads(out, parse_constant=pytest.fail)["psnr"] is None


def test_table(rtsr, dataset):
    status, out, _ = rtsr("eval", "--engine", "bicubic", "--scale", "3/2", "--dataset", dataset)
    assert status == 0
    assert "bicubic x1.5 on Mine" in out and "mean of 2" in out


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--engine", "magic"], 2, "unknown engine 'magic'; known: auto, onnx, bicubic, lanczos, fsr"),
        (["--engine", "fsr", "--model", "x"], 2, "fsr runs no network"),
        ([], 2, "--model is missing"),
        (["--model", "nothing"], 2, "unknown model 'nothing'; known: "),
        (["--engine", "bicubic", "--scale", "9"], 2, "scale 9 is out of range"),
        (["--engine", "bicubic", "--dataset", "/nowhere"], 1, "there is no folder /nowhere"),
    ],
)
def test_one_line_says_what_is_wrong(rtsr, dataset, options, status, message):
    got, out, err = rtsr("eval", "--scale", "2", "--dataset", dataset, *options)
    assert (got, out) == (status, "")
    assert err.startswith(f"error: {message}") and err.count("\n") == 1


def test_models_without_networks(rtsr, monkeypatch):
    monkeypatch.setattr(resources, "networks", dict)
    assert "No network is installed." in rtsr("models")[1]
    listed = json.loads(rtsr("models", "--json")[1])
    assert listed["networks"] == []
    assert [engine["name"] for engine in listed["engines"]] == ["bicubic", "lanczos", "fsr"]


def test_models_with_networks(rtsr, monkeypatch):
    cards = [
        Card("n-x2", "n", Fraction(2), "photo", parameters=22860, macs_per_pixel=22752.0,
             quality={"Set5": Quality(36.7, 0.95, 5)}),
        Card("n-x1.5", "n", Fraction(3, 2), "capture", quality={"Pairs": Quality(31.25, 0.9, 2)}),
    ]  # fmt: skip
    known = {card.name: resources.Network(card, Path(f"{card.name}.toml")) for card in cards}
    monkeypatch.setattr(resources, "networks", lambda: known)
    out = rtsr("models")[1]
    for expected in ("n-x2", "22,860", "22.8", "36.70", "31.25", "Set5", "Pairs", "bicubic"):
        assert expected in out
    listed = json.loads(rtsr("models", "--json")[1])["networks"]
    assert [card["scale"] for card in listed] == ["2", "3/2"]
    assert listed[0]["quality"]["Set5"]["psnr"] == 36.7
