"""What is exported equals PyTorch, and its card says what it is."""

from dataclasses import replace
from fractions import Fraction
from hashlib import sha256

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from rtsr.card import Quality, check_hash, read_card
from rtsr.cli import main
from rtsr.engine.onnx import OnnxEngine
from rtsr.errors import EngineError, TrainError, UsageError
from rtsr.export import export, export_checkpoint
from rtsr.export.check import radius
from rtsr.models import build
from rtsr.models.quicksrnet import QuickSRNet
from rtsr.train.recipe import Recipe
from tests.models.test_quicksrnet import random_network

X2, X1_5 = Fraction(2), Fraction(3, 2)
RECIPE = Recipe("tiny-capture", "quicksrnet-small", X1_5, "capture", pairs="pairs", steps=9)


@pytest.fixture
def checkpoint(tmp_path):
    """A checkpoint as training writes it, and the network whose weights it holds as the average."""
    average = random_network("quicksrnet-small", X1_5)
    path = tmp_path / "tiny.pt"
    states = {"model": build("quicksrnet-small", X1_5).state_dict(), "average": average.state_dict()}
    torch.save({**states, "optimiser": {}, "step": 7}, path)
    return path, average


@pytest.mark.parametrize(
    ("scale", "shape"),
    [
        (X2, (1, 3, 16, 24)), (X2, (1, 3, 17, 23)), (X2, (3, 3, 5, 8)), (X2, (1, 3, 1, 1)), (Fraction(3), (1, 3, 7, 9)),
        (X1_5, (1, 3, 16, 24)), (X1_5, (2, 3, 18, 14)), (X1_5, (1, 3, 2, 2)),
    ],
)  # fmt: skip
def test_the_file_equals_pytorch(tmp_path, scale, shape):
    model = random_network("quicksrnet-small", scale)
    card = export(model, "net", "quicksrnet-small", "photo", tmp_path)
    image = np.random.default_rng(3).random(shape, np.float32)
    with torch.inference_mode():
        expected = model(torch.from_numpy(image)).numpy()
    with OnnxEngine(card, tmp_path / "net.onnx") as engine:
        np.testing.assert_allclose(engine.infer(image), expected, rtol=0, atol=1e-4)
    assert len(np.unique(expected)) > 3


@pytest.mark.parametrize(
    ("arch", "scale", "parameters", "macs", "reach"),
    [
        ("quicksrnet-small", X2, 22860, 22752, 4), ("quicksrnet-small", X1_5, 22875, 20160, 4),
        ("quicksrnet-medium", X2, 50604, 50400, 7), ("quicksrnet-medium", X1_5, 50619, 47808, 7),
        ("quicksrnet-f32-m11", X2, 106092, 105696, 13), ("quicksrnet-large", X2, 414924, 414144, 13),
    ],
)  # fmt: skip
def test_the_card_counts(tmp_path, arch, scale, parameters, macs, reach):
    quality = {"Set5": Quality(36.5, 0.95, 5)}
    made = build(arch, scale)
    assert isinstance(made, QuickSRNet)
    card = export(made, "net", arch, "photo", tmp_path, "a summary", "a command", quality)
    assert read_card(tmp_path / "net.toml") == card
    check_hash(card, tmp_path / "net.onnx")
    assert (card.parameters, card.macs_per_pixel, card.radius) == (parameters, macs, reach)
    assert (card.arch, card.scale, card.size_multiple, card.value_max) == (arch, scale, scale.denominator, 1)
    assert (card.flavour, card.summary, card.training, card.quality) == ("photo", "a summary", "a command", quality)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.onnx", "net.toml"]


@pytest.mark.parametrize("scale", [X2, X1_5])
def test_the_radius_is_enough_and_not_too_much(scale):
    model = random_network("quicksrnet-small", scale)
    reach, middle = radius(model), 20
    image = torch.full((1, 3, 40, 40), 0.5)
    with torch.inference_mode():
        changes = []
        for place in (middle, middle + 1):
            other = image.clone()
            other[..., place, place] = 1
            moved = (model(other) != model(image)).any(1)[0].nonzero() / float(scale)
            changes.append(int((moved.floor() - place).abs().max()))
    assert max(changes) == reach


def test_the_graph_is_for_any_size_and_old_runtimes(tmp_path):
    export(random_network("quicksrnet-small", X2), "net", "quicksrnet-small", "photo", tmp_path)
    made = onnx.load(tmp_path / "net.onnx")
    assert (made.ir_version, made.opset_import[0].version) == (8, 17)
    for end, name in ((made.graph.input[0], "image"), (made.graph.output[0], "upscaled")):
        sides = end.type.tensor_type.shape.dim
        assert end.name == name
        assert [side.dim_value for side in sides] == [0, 3, 0, 0]
        assert all(sides[i].dim_param for i in (0, 2, 3))


def test_the_same_weights_give_the_same_file(tmp_path):
    cards = [
        export(random_network("quicksrnet-small", X2), "net", "quicksrnet-small", "photo", tmp_path / name)
        for name in "ab"
    ]
    assert cards[0] == cards[1]
    assert cards[0].sha256 == sha256((tmp_path / "a" / "net.onnx").read_bytes()).hexdigest()


class Dimmer(QuickSRNet):
    """Computes what the exported graph does not know of."""

    def forward(self, image):
        return super().forward(image) * 0.999


def test_a_graph_that_differs_from_pytorch_is_not_written(tmp_path):
    with pytest.raises(EngineError, match="differs from PyTorch"):
        export(Dimmer(X2, channels=32, blocks=2), "net", "quicksrnet-small", "photo", tmp_path)
    assert not list(tmp_path.iterdir())


def test_weights_that_are_not_numbers_are_refused(tmp_path):
    model = random_network("quicksrnet-small", X2)
    model.conv_first.weight.data[0, 0, 0, 0] = torch.nan
    with pytest.raises(EngineError, match="PyTorch makes values that are not numbers"):
        export(model, "net", "quicksrnet-small", "photo", tmp_path)


def test_a_checkpoint_gives_its_average(checkpoint, tmp_path):
    path, average = checkpoint
    card = export_checkpoint(path, RECIPE, tmp_path / "out")
    assert card.name == "tiny-capture"
    assert card.summary == "QuickSRNet-Small x1.5, capture"
    assert card.training == "7 of 9 steps of the recipe tiny-capture"
    image = np.random.default_rng(5).random((1, 3, 8, 8), np.float32)
    with torch.inference_mode():
        expected = average(torch.from_numpy(image)).numpy()
    engine = OnnxEngine(card, tmp_path / "out" / "tiny-capture.onnx")
    np.testing.assert_allclose(engine.infer(image), expected, atol=1e-4)


def test_checkpoints_that_cannot_be_used_say_so(checkpoint, tmp_path):
    path, _ = checkpoint
    other = Recipe("other", "quicksrnet-medium", X1_5, "capture", pairs="pairs")
    with pytest.raises(TrainError, match=r"does not hold quicksrnet-medium x1\.5"):
        export_checkpoint(path, other, tmp_path)
    damaged = tmp_path / "damaged.pt"
    damaged.write_bytes(path.read_bytes()[:2000])
    foreign = tmp_path / "foreign.pt"
    torch.save({"weights": nn.Linear(2, 2).state_dict()}, foreign)
    for bad in (damaged, foreign):
        with pytest.raises(TrainError, match=f"{bad.name} is no checkpoint of `rtsr train`.*: rtsr import"):
            export_checkpoint(bad, RECIPE, tmp_path)
    with pytest.raises(TrainError, match=r"there is no checkpoint .*missing\.pt"):
        export_checkpoint(tmp_path / "missing.pt", RECIPE, tmp_path)
    with pytest.raises(UsageError, match="unknown architecture"):
        export_checkpoint(path, Recipe("x", "bigger-net", X2, "photo", ("p",)), tmp_path)


def test_an_earlier_phase_is_not_exported(checkpoint, tmp_path):
    path, _ = checkpoint
    phases = replace(RECIPE, name="later", earlier=(replace(RECIPE, name="later-phase1"),))
    with pytest.raises(TrainError, match=r"earlier phase.*export later\.pt"):
        export_checkpoint(path.rename(tmp_path / "later-phase1.pt"), phases, tmp_path)


def test_the_command_exports(checkpoint, tmp_path, capsys):
    path, _ = checkpoint
    recipe = tmp_path / "tiny-capture.toml"
    recipe.write_text('arch = "quicksrnet-small"\nscale = "3/2"\nflavour = "capture"\npairs = "pairs"\n')
    with pytest.raises(SystemExit) as end:
        main(["export", str(path), "--recipe", str(recipe), "--folder", str(tmp_path / "out"), "--name", "mine"])
    assert not end.value.code
    assert "mine.onnx: QuickSRNet-Small x1.5, capture; 22875 parameters, 20160" in capsys.readouterr().out.replace(
        "\n", " "
    )
    assert read_card(tmp_path / "out" / "mine.toml").name == "mine"
    with pytest.raises(SystemExit) as end:
        main(["export", str(tmp_path / "missing.pt"), "--recipe", str(recipe)])
    assert end.value.code == 1
    assert capsys.readouterr().err.startswith("error: there is no checkpoint")
