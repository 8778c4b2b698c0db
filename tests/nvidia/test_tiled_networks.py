"""Shipped networks in tiles: what they give is the whole picture's, so halos are wide enough."""

from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

from rtsr.engine.session import open_session
from rtsr.frame import Colour
from rtsr.nvidia.cuda import OutOfGpuMemory
from rtsr.nvidia.lanes import Ticket
from rtsr.nvidia.plan import Tensor
from rtsr.nvidia.tiling import Cut, Pictures
from rtsr.resources import find_network, networks

pytest.importorskip("onnx", reason="needs onnx: pip install 'rtsr[rtx]'")

FAR = 128
"""Input pixels; networks that look further, at all of a frame, are not cut into tiles."""
CAPTURES = {name: network.card for name, network in networks().items() if network.card.flavour == "capture"}
PLAIN = [name for name, card in CAPTURES.items() if not card.exits and card.radius < FAR]


class Processor:
    """Lanes that run the graph with ONNX Runtime, and have no room for more than `most` pixels."""

    count = 2

    def __init__(self, model, most):
        self.session, self.most = open_session(model, 1), most
        self.plan = SimpleNamespace(name="small", inputs=[Tensor("", np.dtype(np.uint8), (1, 1, 16, 16))])
        self.shapes = set()

    def submit(self, *arrays):
        if arrays[0].shape[-1] * arrays[0].shape[-2] > self.most:
            raise OutOfGpuMemory(2, 1, 1)
        self.shapes.add(arrays[0].shape)
        names = [end.name for end in self.session.get_inputs()]
        return Ticket(tuple(self.session.run(None, dict(zip(names, arrays, strict=True)))))

    def collect(self, ticket):
        return ticket.results


def run(model, cut, arrays, most):
    lanes = Processor(model, most)
    pictures = Pictures(lanes, cut, lambda note: None)
    return pictures.collect(pictures.submit(*arrays)), lanes.shapes


def detailed(*shape):
    """Flat patches, edges and noise."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (*shape[:2], -(-shape[2] // 8), -(-shape[3] // 8))).repeat(8, 2).repeat(8, 3)
    return np.clip(coarse[..., : shape[2], : shape[3]] + random.integers(-20, 20, shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", PLAIN)
def test_rgb(name):
    network = find_network(name, networks()[name].card.scale)
    image = detailed(1, 3, 180, 276).astype(np.float32) / np.float32(255)
    model, cut = network.path.read_bytes(), Cut.rgb(network.card)
    (whole,), _ = run(model, cut, (image,), 1 << 30)
    (tiled,), shapes = run(model, cut, (image,), 128 * 128)
    assert len(shapes) == 1 and max(next(iter(shapes))[2:]) <= 128
    np.testing.assert_allclose(tiled, whole, atol=1e-5)


@pytest.mark.parametrize("size", [(180, 276), (181, 275)])
@pytest.mark.parametrize("colour", [Colour("bt709"), Colour("bt601", full_range=True, chroma_left=False)])
@pytest.mark.parametrize("name", PLAIN)
def test_planes(name, colour, size):
    from rtsr.nvidia.graph import prepare

    card = networks()[name].card
    network = find_network(name, card.scale)
    model = prepare(network.path, "fp32", colour, card)
    height, width = size
    planes = [detailed(1, 1, height, width), *[detailed(1, 1, -(-height // 2), -(-width // 2))] * 2]
    whole, _ = run(model, Cut.planes(card), planes, 1 << 30)
    tiled, shapes = run(model, Cut.planes(card), planes, 128 * 128)
    assert len(shapes) > 0 and all(max(shape[2:]) <= 128 for shape in shapes)
    large = [int(np.ceil(side * Fraction(card.scale))) // 2 * 2 for side in size]
    assert list(whole[0].shape[2:]) == large
    for had, wanted in zip(tiled, whole, strict=True):
        assert had.shape == wanted.shape
        difference = np.abs(had.astype(int) - wanted)
        # The last digit of a sum may be another where a runtime adds up in another order.
        assert difference.max() <= 1 and np.mean(difference > 0) < 1e-3
