"""Networks with several exits as files: what PyTorch gives, what the card counts, and what a name stands for."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

from rtsr.card import check_hash, read_card
from rtsr.engine import open_engine
from rtsr.errors import EngineError, UsageError
from rtsr.export import export
from rtsr.export.files import write_network
from rtsr.models.cost import macs
from rtsr.upscaler import Upscaler
from tests.networks import exported, random_network

X1_5, X2, X4 = Fraction(3, 2), Fraction(2), Fraction(4)
FILES = {"enaf-fsrcnn": 10, "enaf-carn": 8, "enaf-quicksrnet-medium": 10}


@pytest.mark.parametrize(
    ("arch", "scale"),
    [("enaf-fsrcnn", X4), ("enaf-carn", X4), ("enaf-quicksrnet-medium", X2), ("enaf-quicksrnet-medium", X1_5)],
)
def test_every_exit_and_the_estimates_equal_pytorch(arch, scale, networks):
    network, model = exported(arch, scale, networks), random_network(arch, scale)
    random = np.random.default_rng(3)
    with open_engine(network.card, network.path) as engine, torch.inference_mode():
        for shape in ((1, 3, 2, 2), (3, 3, 10, 8), (1, 3, 34, 12)):
            image = random.random(shape, np.float32)
            for k in range(1, 4):
                expected = model(torch.from_numpy(image), exit=k).numpy()
                np.testing.assert_allclose(engine.exit(k, image), expected, rtol=0, atol=1e-4)
                assert len(np.unique(expected)) > 3
        patches = random.random((2, 3, 32, 32), np.float32)
        np.testing.assert_allclose(engine.estimate(patches), model.estimator(torch.from_numpy(patches)), atol=1e-4)
    check_hash(network.card, network.path)
    assert len(list(network.path.iterdir())) == FILES[arch]


def test_the_card_counts_what_each_exit_costs(networks):
    network, model = (
        exported("enaf-quicksrnet-medium", X2, networks),
        random_network("enaf-quicksrnet-medium", X2),
    )
    card, layer = network.card, 32 * 32 * 9
    # The first convolution; a middle layer more; four more. Each head is a convolution to twelve channels.
    assert [entry.stage_macs for entry in card.exits] == [3 * 32 * 9, layer, 4 * layer]
    assert [entry.head_macs for entry in card.exits] == [32 * 12 * 9] * 3
    assert [entry.radius for entry in card.exits] == [2, 3, 7]
    assert card.macs_per_pixel == 50400 and card.radius == 7
    assert card.parameters == sum(weights.numel() for weights in model.parameters())
    assert card.estimator is not None and (card.estimator.patch, card.estimator.sign) == (32, 1)
    assert card.estimator.macs == macs(model.estimator, torch.zeros(1, 3, 32, 32)) / 32**2


def test_an_estimators_sign_is_on_the_card(tmp_path):
    model = random_network("enaf-quicksrnet-medium", X2)
    model.estimator_sign = -1
    card = export(model, "net", "enaf-quicksrnet-medium", "photo", tmp_path)
    assert card.estimator is not None and card.estimator.sign == -1


def test_a_picture_goes_through_the_api_by_the_cards_path(networks):
    network = exported("enaf-quicksrnet-medium", X2, networks)
    with Upscaler(2, model=network.card_path) as upscale:
        large = upscale(np.full((20, 30, 3), 90, np.uint8))
        assert large.shape == (40, 60, 3) and upscale.describe().startswith(f"{network.card.name} (ONNX Runtime, CPU")


def test_replacing_a_network_leaves_nothing_of_the_old_one(networks, tmp_path):
    card = exported("enaf-quicksrnet-medium", X2, networks).card
    write_network(card, {"stage9.onnx": b"old", "head1.onnx": b"old"}, tmp_path)
    (tmp_path / f"{card.name}.part").mkdir()  # as an interrupted export leaves it
    (tmp_path / f"{card.name}.part" / "rest.onnx").write_bytes(b"rest")
    (tmp_path / f"{card.name}.old").mkdir()
    written = write_network(card, {"head1.onnx": b"new"}, tmp_path)
    assert [path.name for path in (tmp_path / card.name).iterdir()] == ["head1.onnx"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [card.name, f"{card.name}.toml"]
    check_hash(written, tmp_path / card.name)
    assert read_card(tmp_path / f"{card.name}.toml") == written


def test_an_export_that_fails_changes_nothing(networks, tmp_path):
    model = random_network("enaf-quicksrnet-medium", X2)
    export(model, "net", "enaf-quicksrnet-medium", "photo", tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    model.conv_mid[4].weight.data[0, 0, 0, 0] = torch.nan
    with pytest.raises(EngineError, match="net, exit 3: PyTorch makes values that are not numbers"):
        export(model, "net", "enaf-quicksrnet-medium", "photo", tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == before


@pytest.mark.parametrize("name", ["a/b", "../b", "/b", ""])
def test_names_with_folders_are_refused(networks, tmp_path, name):
    card = exported("enaf-quicksrnet-medium", X2, networks).card
    with pytest.raises(UsageError, match="cannot name a file"):
        write_network(replace(card, name=name), b"", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written(networks, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(EngineError, match=r"cannot write .* choose another --folder"):
        write_network(exported("enaf-quicksrnet-medium", X2, networks).card, b"", tmp_path / "file")
