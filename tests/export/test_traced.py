"""Networks that PyTorch's exporter writes: any size and batch, equal to PyTorch, and no trace of the machine."""

from fractions import Fraction

import numpy as np
import onnx
import pytest
import torch
from onnx import helper
from torch import nn
from torch.nn import functional as F

from rtsr.engine import open_engine
from rtsr.errors import EngineError
from rtsr.export import export
from rtsr.export.check import check_parity, noise
from rtsr.export.graphs import chain
from rtsr.export.traced import trace
from rtsr.models.rlfn import WHOLE_FRAME
from tests.networks import exported, random_network

X1_5, X2, X4 = Fraction(3, 2), Fraction(2), Fraction(4)


@pytest.mark.parametrize(("arch", "scale"), [("rlfn-ntire", X4), ("rlfn-s", X1_5), ("smsr", X2)])
def test_the_file_equals_pytorch_at_any_size(arch, scale, networks):
    network, model = exported(arch, scale, networks), random_network(arch, scale)
    random = np.random.default_rng(5)
    step = scale.denominator
    with open_engine(network.card, network.path) as engine, torch.inference_mode():
        for n, rows, columns in ((1, 1, 1), (2, 3, 8), (3, 16, 15), (1, 29, 40)):
            image = random.random((n, 3, rows * step, columns * step), np.float32)
            expected = model(torch.from_numpy(image)).numpy()
            np.testing.assert_allclose(engine.infer(image), expected, rtol=0, atol=1e-4)
    assert len(np.unique(expected)) > 3
    assert network.card.parameters == sum(weights.numel() for weights in model.parameters())
    assert network.card.radius == WHOLE_FRAME


def test_masks_are_measured(networks):
    network, model = exported("smsr", X2, networks), random_network("smsr", X2)
    images = np.random.default_rng(6).random((2, 3, 20, 31), np.float32)
    images[1] *= 0.1
    with open_engine(network.card, network.path) as engine:
        upscaled, kept = engine.measure(images)
        np.testing.assert_array_equal(upscaled, engine.infer(images))
    with torch.inference_mode():
        expected = model.kept(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(kept, expected, atol=1e-6)
    assert kept.shape == (2,) and 0 < kept.min() < kept.max() < 1
    plain = exported("quicksrnet-small", X2, networks)
    with pytest.raises(EngineError, match="has no masks"):
        open_engine(plain.card, plain.path).measure(images)


def test_a_graph_tells_nothing_of_the_machine_and_is_the_same_each_time(networks, tmp_path):
    network = exported("rlfn-ntire", X4, networks)
    content = network.path.read_bytes()
    for word in (b"site-packages", b"networks.py", b"torch", b"aten.", b"forward"):
        assert word not in content.lower(), word
    again = export(random_network("rlfn-ntire", X4), "net", "rlfn-ntire", "photo", tmp_path)
    assert again.sha256 == network.card.sha256
    made = onnx.load_from_string(content)
    assert (made.ir_version, made.opset_import[0].version, made.producer_name) == (8, 18, "rtsr")


class Bicubic(nn.Module):
    """Bicubic interpolation; a module that writes out what the exporter has to get right."""

    scale = X2

    def forward(self, image):
        return F.interpolate(image, scale_factor=2, mode="bicubic", align_corners=False).clamp(0, 1)


def test_bicubic_is_pytorchs(tmp_path):
    card = export(Bicubic(), "net", "bicubic", "none", tmp_path)
    (resize,) = [node for node in onnx.load(tmp_path / "net.onnx").graph.node if node.op_type == "Resize"]
    facts = {attribute.name: helper.get_attribute_value(attribute) for attribute in resize.attribute}
    assert (facts["mode"], facts["coordinate_transformation_mode"]) == (b"cubic", b"half_pixel")
    assert facts["cubic_coeff_a"] == -0.75 and not facts.get("antialias")
    assert (card.radius, card.parameters, card.macs_per_pixel) == (2, 0, 0)


class OnlyForOneSize(Bicubic):
    """Adds a pattern of a fixed size."""

    def __init__(self):
        super().__init__()
        self.pattern = nn.Parameter(torch.rand(1, 3, 24, 36))

    def forward(self, image):
        return super().forward(image + self.pattern)


class OnlyForLargePictures(Bicubic):
    """Takes another way for small pictures, which the trace of a large one does not know."""

    def forward(self, image):
        return super().forward(image) if image.shape[2] > 20 else super().forward(image) * 0.5


@pytest.mark.parametrize("kind", [OnlyForOneSize, OnlyForLargePictures])
def test_what_is_not_for_any_size_is_refused(tmp_path, kind):
    with pytest.raises(EngineError, match=r"any size|differs from PyTorch") as error:
        export(kind(), "net", "odd", "none", tmp_path)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


class Block(nn.Module):
    """A convolution, PReLU and depth-to-space to three channels."""

    def __init__(self, slopes):
        super().__init__()
        self.conv, self.act = nn.Conv2d(3, 12, 3, padding=1), nn.PReLU(slopes, 0.3)

    def forward(self, image):
        return F.pixel_shuffle(self.conv(self.act(image)), 2)


@pytest.mark.parametrize(
    ("slopes", "ops"), [(1, ["LeakyRelu", "Conv", "ConvTranspose"]), (3, ["PRelu", "Conv", "ConvTranspose"])]
)
def test_fast_forms_give_the_same(slopes, ops):
    block = Block(slopes)
    block.act.weight.data = torch.rand(slopes)
    made = trace(block, block.forward, {"image": torch.zeros(2, 3, 24, 36)}, ["upscaled"])
    assert [node.op_type for node in made.graph.node] == ops
    check_parity("block", block, made.SerializeToString(), [image - 0.5 for image in noise(1)])


def test_chained_graphs_do_what_they_do_in_turn():
    first, second = Block(1), Block(3)
    image = {"image": torch.zeros(2, 3, 24, 36)}
    parts = [trace(block, block.forward, image, ["upscaled"]) for block in (first, second)]
    whole = chain(parts).SerializeToString()
    check_parity("both", lambda image: second(first(image)), whole, noise(1))
    both = {value.name for value in onnx.load_from_string(whole).graph.initializer}
    assert "conv.weight" in both and "1/conv.weight" in both
