"""`rtsr eval` and `rtsr models` as they are typed."""

import json
import sys
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from rtsr import resources
from rtsr.card import Card, Quality
from rtsr.cli import main
from rtsr.cli.scores import evaluation_table, evaluation_values
from rtsr.engine.fake import FakeStagedEngine
from rtsr.quality.evaluate import Evaluation, Score


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
        (["--engine", "magic"], 2, "unknown engine 'magic'; known: auto, onnx, rtx, tensorrt, bicubic, lanczos, fsr"),
        (["--engine", "fsr", "--model", "x"], 2, "fsr runs no network"),
        (["--scale", "3"], 2, "quicksrnet-small has no network for scale 3"),
        (["--model", "nothing"], 2, "unknown model 'nothing'; known: "),
        (["--engine", "bicubic", "--scale", "9"], 2, "scale 9 is out of range"),
        (["--engine", "bicubic", "--dataset", "/nowhere"], 1, "there is no folder /nowhere; name one of pictures"),
    ],
)
def test_one_line_says_what_is_wrong(rtsr, dataset, options, status, message):
    got, out, err = rtsr("eval", "--scale", "2", "--dataset", dataset, *options)
    assert (got, out) == (status, "")
    assert err.startswith(f"error: {message}") and err.count("\n") == 1


def test_the_default_network_is_that_of_upscale(rtsr, dataset):
    status, out, err = rtsr("eval", "--scale", "2", "--dataset", dataset, "--json", "--threads", "1")
    assert (status, err) == (0, "")
    result = json.loads(out)
    assert result["model"] == "quicksrnet-small-x2-capture"
    named = json.loads(rtsr("eval", "--scale", "2", "--dataset", dataset, "--json", "--model", "quicksrnet-small")[1])
    assert named == result


@pytest.fixture
def staged(monkeypatch):
    """`--model fake-staged`: a network with three exits that needs no file."""
    engine = FakeStagedEngine(Fraction(2))
    monkeypatch.setattr(
        resources, "find_network", lambda model, scale: resources.Network(engine.card, Path("fake.toml"))
    )
    monkeypatch.setattr("rtsr.engine.choice.open_engine", lambda card, path, threads, provider: engine)
    return "--model", "fake-staged", "--scale", "2"


def test_each_exit_separately(rtsr, dataset, staged):
    status, out, err = rtsr("eval", *staged, "--dataset", dataset, "--json")
    assert (status, err) == (0, "")
    result = json.loads(out)
    assert [entry["exit"] for entry in result["exits"]] == [0, 1, 2, 3]
    assert [entry["macs_per_pixel"] for entry in result["exits"]] == [0, 120, 220, 320]
    assert [image["name"] for image in result["exits"][2]["images"]] == ["a", "b"]
    for k, entry in enumerate(result["exits"]):
        alone = json.loads(rtsr("eval", *staged, "--dataset", dataset, "--json", "--exit", k)[1])
        assert alone["model"] == f"fake-staged, exit {k}"
        assert (alone["psnr"], alone["ssim"], alone["images"]) == (entry["psnr"], entry["ssim"], entry["images"])


def test_table_of_exits(rtsr, dataset, staged):
    status, out, _ = rtsr("eval", *staged, "--dataset", dataset)
    assert status == 0
    assert "fake-staged x2 on Mine, mean of 2" in out and "0 (bicubic)" in out and "69%" in out


def test_sparsity_is_shown_where_there_is_one():
    for sparsity, shown in ((None, False), (0.25, True)):
        result = Evaluation("n", "Set5", Fraction(2), (Score("a", 30.0, 0.9, sparsity),))
        assert ("sparsity" in evaluation_values(result)) == shown
        assert [column.header for column in evaluation_table(result).columns].count("sparsity") == shown
    assert evaluation_values(result)["sparsity"] == 0.25
    assert evaluation_values(result)["images"] == [{"name": "a", "psnr": 30.0, "ssim": 0.9, "sparsity": 0.25}]


def test_patches_as_json(rtsr, dataset, staged):
    status, out, err = rtsr("eval", *staged, "--dataset", dataset, "--patches", "--eta", "1", "--json")
    assert (status, err) == (0, "")
    result = json.loads(out, parse_constant=pytest.fail)
    assert (result["patches"], result["gamma"], result["estimator_macs"]) == (2, 1.0, 10240)
    assert [entry["cost"] for entry in result["exits"]] == [0, 122880, 225280, 327680]
    (point,) = result["points"]
    assert point["eta"] == 1 and sum(point["shares"]) == 1
    assert point["cost"] == pytest.approx(np.dot(point["shares"], [0, 122880, 225280, 327680]))
    assert point["cost_share"] == pytest.approx(point["cost"] / 327680)
    assert [sum(image["patches"]) for image in point["images"]] == [1, 1]


def test_sweep_without_blank_and_with_own_costs(rtsr, dataset, staged):
    arguments = "--sweep-eta", "0:600:200", "--no-blank", "--costs", "0,1,2,10"
    result = json.loads(rtsr("eval", *staged, "--dataset", dataset, *arguments, "--json")[1])
    assert result["gamma"] == 0
    assert [point["eta"] for point in result["points"]] == [0, 200, 400, 600]
    costs = [point["cost"] for point in result["points"]]
    assert costs[0] == 10 and costs == sorted(costs, reverse=True) and costs[-1] == 0


def test_tables_of_patches(rtsr, dataset, staged):
    status, out, _ = rtsr("eval", *staged, "--dataset", dataset, "--sweep-eta", "0,60")
    assert status == 0
    assert "fake-staged x2 on Mine: 2 patches, all at one exit" in out
    assert "each patch at its exit, gamma 1" in out and "MMACs/patch" in out and "100.0%" in out


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_plot(rtsr, dataset, staged, tmp_path, suffix):
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    plot = tmp_path / f"curve.{suffix}"
    assert rtsr("eval", *staged, "--dataset", dataset, "--sweep-eta", "0:60:5", "--plot", plot)[0] == 0
    assert plot.read_bytes()[:5] in (b"\x89PNG\r", b"<?xml")
    if suffix == "png":
        assert cv2.imread(str(plot)).std() > 10


def test_plot_without_matplotlib(rtsr, dataset, staged, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    plot = tmp_path / "curve.png"
    status, out, err = rtsr("eval", *staged, "--dataset", dataset, "--patches", "--plot", plot)
    assert (status, out) == (1, "") and not plot.exists()
    assert "pip install 'rtsr[plot]'" in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--exit", "4"], 2, "fake-staged has exits 0 (bicubic) to 3, not 4"),
        (["--exit", "1", "--patches"], 2, "--exit takes whole images"),
        (["--eta", "1"], 2, "--eta, --gamma, --no-blank, --costs and --plot go with --patches or --sweep-eta"),
        (["--plot", "a.png"], 2, "--eta, --gamma, --no-blank, --costs and --plot go with --patches or --sweep-eta"),
        (["--eta", "1", "--sweep-eta", "1"], 2, "--eta is one, --sweep-eta several"),
        (["--patches", "--gamma", "1", "--no-blank"], 2, "--no-blank is --gamma 0"),
        (["--patches", "--eta", "-1"], 2, "eta and gamma are finite and not negative"),
        (["--patches", "--costs", "0,1"], 2, "fake-staged takes 4 costs"),
        (["--patches", "--costs", "a"], 2, "'a' is not a list of costs"),
        (["--sweep-eta", "x"], 2, "'x' is not a list of etas"),
        (["--patches", "--plot", "curve.txt"], 2, "a plot is written as .pdf, .png, .svg, not curve.txt"),
        (["--patches", "--plot", "/nowhere/curve.png"], 1, "there is no folder /nowhere"),
        (["--patches", "--dataset", "/nowhere"], 1, "there is no folder /nowhere"),
        (["--patches", "--only", "c"], 1, "there are no images with such names"),
    ],
)
def test_one_line_says_what_is_wrong_with_exits_and_patches(rtsr, dataset, staged, options, status, message):
    if any(str(option).startswith("--plot") for option in options):
        pytest.importorskip("matplotlib", reason="needs matplotlib")
    got, out, err = rtsr("eval", *staged, "--dataset", dataset, *options)
    assert (got, out) == (status, "")
    assert err.startswith(f"error: {message}") and err.count("\n") == 1


@pytest.mark.parametrize("options", [["--exit", "1"], ["--patches"], ["--sweep-eta", "0,1"]])
def test_exits_and_patches_need_a_network_with_several(rtsr, dataset, options):
    status, out, err = rtsr("eval", "--engine", "bicubic", "--scale", "2", "--dataset", dataset, *options)
    assert (status, out) == (2, "")
    assert err == "error: bicubic has but one exit; leave out --exit, --patches and --sweep-eta\n"


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


def test_precision_measures_the_network_as_gpus_compute_it(rtsr, dataset):
    pytest.importorskip("onnx")
    where = ("--model", "quicksrnet-small-photo", "--scale", "2", "--dataset", dataset, "--json")
    found = {}
    for precision in ("fp32", "fp16", "int8"):
        status, out, err = rtsr("eval", *where, "--precision", precision)
        assert (status, err) == (0, "")
        found[precision] = json.loads(out)
    assert [result["model"] for result in found.values()] == [
        "quicksrnet-small-x2-photo",
        "quicksrnet-small-x2-photo (fp16)",
        "quicksrnet-small-x2-photo (int8)",
    ]
    assert len({result["psnr"] for result in found.values()}) == 3
    assert found["fp16"]["psnr"] == pytest.approx(found["fp32"]["psnr"], abs=0.01)


def test_precision_goes_with_networks_and_is_known(rtsr, dataset):
    where = ("--scale", "2", "--dataset", dataset)
    status, _, err = rtsr("eval", "--engine", "bicubic", *where, "--precision", "fp16")
    assert (status, err) == (2, "error: bicubic runs no network: leave out --precision, or --engine\n")
    status, _, err = rtsr("eval", "--model", "quicksrnet-small-photo", *where, "--precision", "half")
    assert (status, err) == (2, "error: unknown precision 'half'; known: fp32, fp16, int8\n")
    network = ("--model", "quicksrnet-small-photo", *where)
    status, _, err = rtsr("eval", *network, "--provider", "cpu", "--precision", "fp16")
    assert (status, "leave out either it or --provider" in err) == (2, True)
