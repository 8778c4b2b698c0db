"""Shipped weights come back as they were trained."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from rtsr.errors import TrainError
from rtsr.export.quicksrnet import graph
from rtsr.models import build
from rtsr.models.quicksrnet import QuickSRNet
from rtsr.train.inherit import inherit
from rtsr.train.shipped import shipped_weights
from tests.networks import exported, random_network


@pytest.mark.parametrize("scale", [Fraction(3, 2), Fraction(2)])
def test_an_exported_network_gives_its_weights_back(tmp_path: Path, scale: Fraction) -> None:
    model = build("quicksrnet-small", scale)
    assert isinstance(model, QuickSRNet)
    for weights in model.parameters():
        torch.nn.init.normal_(weights)
    (tmp_path / "n.onnx").write_bytes(graph(model).SerializeToString())
    state = shipped_weights(tmp_path / "n.onnx")
    assert state.keys() == model.state_dict().keys()
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())


def test_a_traced_network_gives_its_weights_back(tmp_path: Path) -> None:
    network, model = exported("rlfn-s", Fraction(3, 2), tmp_path), random_network("rlfn-s", Fraction(3, 2))
    start = build("rlfn-s", Fraction(3, 2))
    inherit(start, shipped_weights(network.path))
    assert all(torch.equal(start.state_dict()[name], value) for name, value in model.state_dict().items())


def test_masked_weights_are_refused(tmp_path: Path) -> None:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("image", "upscaled", "kept")]
    weights = numpy_helper.from_array(np.ones(1, np.float32), "body.weight")
    nodes = [helper.make_node("Mul", ["image", "body.weight"], [end.name]) for end in ends[1:]]
    made = helper.make_model(helper.make_graph(nodes, "masked", ends[:1], ends[1:], [weights]))
    onnx.save(made, tmp_path / "n.onnx")
    with pytest.raises(TrainError, match="start from a checkpoint"):
        shipped_weights(tmp_path / "n.onnx")


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "n.onnx").write_bytes(b"not a network")
    with pytest.raises(TrainError, match="must be a network exported by rtsr"):
        shipped_weights(tmp_path / "n.onnx")
