"""ONNX Runtime as an engine: the contract, and what is said about files that cannot be used."""

from dataclasses import replace
from fractions import Fraction
from hashlib import sha256

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from rtsr.card import Card
from rtsr.engine.choice import Means
from rtsr.engine.onnx import OnnxEngine
from rtsr.errors import CardError, EngineError, UsageError

torch = pytest.importorskip("torch")
from rtsr.export import export  # noqa: E402
from tests.models.test_quicksrnet import random_network  # noqa: E402


@pytest.fixture(scope="module", params=["2", "3/2"])
def network(request, tmp_path_factory):
    """A card and its network's file."""
    folder = tmp_path_factory.mktemp("engines")
    card = export(
        random_network("quicksrnet-small", Fraction(request.param)), "net", "quicksrnet-small", "photo", folder
    )
    return card, folder / "net.onnx"


@pytest.fixture
def tiles():
    return np.random.default_rng(7).random((3, 3, 24, 36), np.float32)


def saved(path, content: bytes) -> Card:
    """A card whose hash is right for `content`, written to `path`."""
    path.write_bytes(content)
    return Card("odd", "none", Fraction(2), "photo", sha256=sha256(content).hexdigest())


def graph(op: str, name: str, result: str, sort: int, shape: list) -> bytes:
    ends = [helper.make_tensor_value_info(end, sort, shape) for end in (name, result)]
    made = helper.make_graph([helper.make_node(op, [name], [result])], "g", ends[:1], ends[1:])
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(made, opset_imports=opsets, ir_version=8).SerializeToString()


def test_gives_the_scaled_size_in_float32_within_0_and_1(network, tiles):
    card, path = network
    before = tiles.copy()
    with OnnxEngine(card, path) as engine:
        out = engine.infer(tiles)
    assert out.shape == (3, 3, 24 * card.scale, 36 * card.scale)
    assert out.dtype == np.float32
    assert out.flags.c_contiguous
    assert out.min() == 0 and out.max() == 1
    np.testing.assert_array_equal(tiles, before)


def test_a_batch_equals_its_images_one_by_one_on_one_core_too(network, tiles):
    together = OnnxEngine(*network).infer(tiles)
    with OnnxEngine(*network, threads=1) as engine:
        for tile, expected in zip(tiles, together, strict=True):
            np.testing.assert_allclose(engine.infer(tile[None])[0], expected, atol=1e-6)


def test_results_are_not_overwritten_by_the_next_run(network, tiles):
    with OnnxEngine(*network) as engine:
        first = engine.infer(tiles)
        kept = first.copy()
        engine.infer(1 - tiles)
    np.testing.assert_array_equal(first, kept)


def test_a_tile_with_a_halo_of_the_radius_equals_the_whole(network):
    card, path = network
    image = np.random.default_rng(8).random((1, 3, 48, 60), np.float32)
    with OnnxEngine(card, path) as engine:
        whole = engine.infer(image)
        halo = -(-card.radius // card.size_multiple) * card.size_multiple
        tile = engine.infer(image[:, :, 12 - halo : 24 + halo, 24 - halo : 36 + halo])
    edge, side, top, left = (int(length * card.scale) for length in (halo, 12, 12, 24))
    inner = tile[:, :, edge : edge + side, edge : edge + side]
    np.testing.assert_allclose(inner, whole[:, :, top : top + side, left : left + side], atol=1e-6)


def test_a_network_for_values_up_to_255_is_fed_and_read_in_them(tmp_path):
    low = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, "h", "w"])
    high = helper.make_tensor_value_info("upscaled", TensorProto.FLOAT, ["n", 3, "h2", "w2"])
    nodes = [
        helper.make_node("Constant", [], ["limit"], value_float=100.0),
        helper.make_node("Constant", [], ["scales"], value_floats=[1.0, 1.0, 2.0, 2.0]),
        helper.make_node("Min", ["image", "limit"], ["dimmed"]),
        helper.make_node("Resize", ["dimmed", "", "scales"], ["upscaled"], mode="nearest"),
    ]
    made = helper.make_graph(nodes, "g", [low], [high])
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    card = saved(tmp_path / "net.onnx", model.SerializeToString())
    tile = np.full((1, 3, 2, 2), 0.8, np.float32)
    bright = OnnxEngine(card, tmp_path / "net.onnx").infer(tile)
    dim = OnnxEngine(replace(card, value_max=255.0), tmp_path / "net.onnx").infer(tile)
    np.testing.assert_allclose(bright, np.full((1, 3, 4, 4), 0.8), atol=1e-6)
    np.testing.assert_allclose(dim, np.full((1, 3, 4, 4), 100 / 255), atol=1e-6)
    assert dim.dtype == np.float32


def test_shapes_that_do_not_fit_are_refused(network):
    card, path = network
    engine = OnnxEngine(card, path)
    with pytest.raises(EngineError, match="pad"):
        engine.infer(np.zeros((1, 4, 8, 8), np.float32))
    if card.size_multiple == 2:
        with pytest.raises(EngineError, match="divide by 2"):
            engine.infer(np.zeros((1, 3, 8, 9), np.float32))


def test_a_run_that_fails_is_an_engine_error(network):
    with pytest.raises(EngineError, match="net failed on"):
        OnnxEngine(*network).infer(np.zeros((1, 3, 8, 8)))  # pyright: ignore[reportArgumentType]


def test_another_file_than_the_cards_is_refused(network, tmp_path):
    card, path = network
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "net.onnx").write_bytes(content)
    with pytest.raises(CardError, match="not the file that its card describes"):
        OnnxEngine(card, tmp_path / "net.onnx")
    with pytest.raises(CardError, match="cannot be read"):
        OnnxEngine(card, tmp_path / "missing.onnx")


@pytest.mark.parametrize("size", [0, 100, 50_000])
def test_a_damaged_file_is_one_clear_line(network, tmp_path, size, capfd):
    path = tmp_path / "net.onnx"
    card = saved(path, network[1].read_bytes()[:size])
    with pytest.raises(EngineError, match="export again") as error:
        OnnxEngine(card, path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "result", "sort", "shape"),
    [
        ("picture", "upscaled", TensorProto.FLOAT, ["n", 3, "h", "w"]),
        ("image", "picture", TensorProto.FLOAT, ["n", 3, "h", "w"]),
        ("image", "upscaled", TensorProto.FLOAT16, ["n", 3, "h", "w"]),
        ("image", "upscaled", TensorProto.FLOAT, ["n", 1, "h", "w"]),
        ("image", "upscaled", TensorProto.FLOAT, [1, 3, 270, 480]),
        ("image", "upscaled", TensorProto.FLOAT, ["n", 3, "h"]),
    ],
)
def test_a_graph_of_another_kind_is_refused(tmp_path, name, result, sort, shape):
    content = graph("Neg", name, result, sort, shape)
    onnx.checker.check_model(onnx.load_from_string(content))
    card = saved(tmp_path / "net.onnx", content)
    with pytest.raises(EngineError, match="not an upscaler"):
        OnnxEngine(card, tmp_path / "net.onnx")


@pytest.mark.parametrize("threads", [0, -1, 257, 100_000, 1.5, "2", True])
def test_threads_that_cannot_be(network, threads):
    with pytest.raises(UsageError, match="threads is a whole number of 1 to 256"):
        OnnxEngine(*network, threads=threads)
    with pytest.raises(UsageError, match="threads is a whole number of 1 to 256"):
        Means(threads=threads)
