"""ONNX files from elsewhere: what they are is found out, and what cannot be used says so in one line."""

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, external_data_helper, helper

from rtsr.card import Card, read_card
from rtsr.engine.onnx import OnnxEngine
from rtsr.errors import ImportFailed, UsageError
from rtsr.importing import import_network
from rtsr.models.rlfn import WHOLE_FRAME
from rtsr.resources import folder
from tests.importing.graphs import FREE, bicubic, graph, resize, written

X2, X1_5 = Fraction(2), Fraction(3, 2)


@pytest.fixture
def image():
    """A smooth picture, two of them in one batch."""
    coarse = np.random.default_rng(1).uniform(0.1, 0.9, (2, 5, 6, 3)).astype(np.float32)
    large = np.stack([cv2.resize(each, (36, 24), interpolation=cv2.INTER_CUBIC) for each in coarse])
    return np.ascontiguousarray(large.transpose(0, 3, 1, 2))


def enlarged(image: np.ndarray, scale: float, plus: float = 0) -> np.ndarray:
    """Bicubic interpolation in [0, 1] by OpenCV."""
    size = (int(image.shape[3] * scale), int(image.shape[2] * scale))
    each = [cv2.resize(part, size, interpolation=cv2.INTER_CUBIC) for part in image.transpose(0, 2, 3, 1)]
    return np.clip(np.stack(each).transpose(0, 3, 1, 2) + plus, 0, 1)


def run(made: onnx.ModelProto, tmp_path: Path, image: np.ndarray, **options) -> tuple[Card, np.ndarray]:
    """The card of the imported graph, and what it makes of `image`."""
    card = import_network(written(made, tmp_path / "net.onnx"), tmp_path / "out", **options)
    assert read_card(tmp_path / "out" / f"{card.name}.toml") == card
    with OnnxEngine(card, tmp_path / "out" / f"{card.name}.onnx") as engine:
        return card, engine.infer(image)


@pytest.mark.parametrize("scale", [1.5, 2, 3, 4])
def test_the_scale_is_found(tmp_path, image, scale):
    card, result = run(bicubic(scale), tmp_path, image)
    assert (card.scale, card.size_multiple) == (Fraction(scale), 2 if scale == 1.5 else 1)
    np.testing.assert_allclose(result, enlarged(image, scale), atol=1e-5)
    assert (card.name, card.arch, card.flavour, card.radius) == ("net", "onnx", "photo", 2)
    assert card.summary == f"onnx x{scale:g} on RGB up to 1, imported"


def test_white_is_found_to_be_255(tmp_path, image):
    card, result = run(bicubic(plus=9, white=255), tmp_path, image)
    np.testing.assert_allclose(result, enlarged(image, 2, 9 / 255), atol=1e-5)
    assert "up to 255" in card.summary
    other, result = run(bicubic(plus=0.03), tmp_path, image, overwrite=True)
    np.testing.assert_allclose(result, enlarged(image, 2, 0.03), atol=1e-5)
    assert "up to 1," in other.summary


@pytest.mark.parametrize("shape", [("n", 1, "h", "w"), (1, 1, 40, 50), ("n", "c", "h", "w")])
def test_a_network_for_luma_gets_colours(tmp_path, image, shape):
    made = bicubic(shape=shape) if shape[1] == 1 else only_luma(shape)
    card, result = run(made, tmp_path, image)
    np.testing.assert_allclose(result, enlarged(image, 2), atol=1e-5)
    assert card.summary == "onnx x2 on luma up to 1, imported"


def only_luma(shape: tuple) -> onnx.ModelProto:
    """Does not say that it takes one channel, and takes no other number: a convolution that changes nothing."""
    node, constants = resize(2, source="same")
    identity = np.zeros((1, 1, 3, 3), np.float32)
    identity[0, 0, 1, 1] = 1
    conv = helper.make_node("Conv", ["input", "identity"], ["same"], pads=[1, 1, 1, 1])
    return graph([conv, node], shape, constants={**constants, "identity": identity})


def test_luma_is_upscaled_by_the_network_and_chroma_is_not(tmp_path, image):
    brighter = 0.04
    _, result = run(bicubic(plus=brighter, shape=("n", 1, "h", "w")), tmp_path, image)
    np.testing.assert_allclose(result, enlarged(image, 2, brighter), atol=1e-5)  # grey is added: chroma is untouched


def test_half_precision_stays_inside(tmp_path, image):
    card, result = run(halved(), tmp_path, image)
    np.testing.assert_allclose(result, enlarged(image, 2), atol=2e-3)
    assert result.dtype == np.float32 and card.parameters == 9 * 9 + 4
    ends = onnx.load(tmp_path / "out" / "net.onnx").graph
    assert {end.type.tensor_type.elem_type for end in (*ends.input, *ends.output)} == {TensorProto.FLOAT}


def halved() -> onnx.ModelProto:
    """A convolution in float16 that changes nothing, around an interpolation in float32."""
    identity = np.zeros((3, 3, 3, 3), np.float16)
    identity[range(3), range(3), 1, 1] = 1
    node, constants = resize(2, source="wide", result="large")
    nodes = [
        helper.make_node("Conv", ["input", "identity"], ["same"], pads=[1, 1, 1, 1]),
        helper.make_node("Cast", ["same"], ["wide"], to=TensorProto.FLOAT),
        node,
        helper.make_node("Cast", ["large"], ["output"], to=TensorProto.FLOAT16),
    ]
    return graph(nodes, kind=TensorProto.FLOAT16, constants={"identity": identity, **constants})


def test_sides_that_must_be_multiples_are_found(tmp_path, image):
    nodes = [
        helper.make_node("SpaceToDepth", ["input"], ["deep"], blocksize=4),
        helper.make_node("DepthToSpace", ["deep"], ["flat"], blocksize=4),
        resize(2, source="flat")[0],
    ]
    card, result = run(graph(nodes, constants=resize(2)[1]), tmp_path, image)
    assert card.size_multiple == 4
    np.testing.assert_allclose(result, enlarged(image, 2), atol=1e-5)


def test_a_size_that_is_written_down_but_not_needed_is_freed(tmp_path, image):
    card, result = run(bicubic(shape=(1, 3, 48, 64)), tmp_path, image)
    assert card.scale == 2 and result.shape == (2, 3, 48, 72)


def test_names_may_be_rtsrs_own(tmp_path, image):
    nodes = [
        helper.make_node("Identity", ["input"], ["upscaled"]),
        helper.make_node("Identity", ["upscaled"], ["image"]),
        resize(2, source="image")[0],
    ]
    _, result = run(graph(nodes, constants=resize(2)[1]), tmp_path, image)
    np.testing.assert_allclose(result, enlarged(image, 2), atol=1e-5)


@pytest.mark.parametrize("kind", ["plain", "up to 255", "luma", "half"])
def test_what_was_imported_can_be_imported_again(tmp_path, image, kind):
    made = {
        "plain": bicubic(),
        "up to 255": bicubic(plus=9, white=255),
        "luma": bicubic(shape=("n", 1, "h", "w")),
        "half": halved(),
    }[kind]
    card, result = run(made, tmp_path, image)
    for name in ("again", "and again"):
        card = import_network(tmp_path / "out" / f"{card.name}.onnx", tmp_path / "out", name=name)
        with OnnxEngine(card, tmp_path / "out" / f"{name}.onnx") as engine:
            np.testing.assert_allclose(engine.infer(image), result, atol=1e-5)


def test_graphs_within_graphs_keep_their_names(tmp_path, image):
    """An `If` whose branches read the input and a constant of the graph around them."""
    node, constants = resize(2, result="inner")
    branch = helper.make_graph([node], "b", [], [helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)])
    choice = helper.make_node("If", ["yes"], ["output"], then_branch=branch, else_branch=branch)
    _, result = run(graph([choice], constants={**constants, "yes": np.array(True)}), tmp_path, image)
    np.testing.assert_allclose(result, enlarged(image, 2), atol=1e-5)


def test_old_opsets_are_converted(tmp_path, image):
    node = helper.make_node("Upsample", ["input", "scales"], ["output"], mode="linear")
    made = graph([node], opset=9, constants={"scales": np.array([1, 1, 2, 2], np.float32)})
    made.ir_version = 3  # in which constants are inputs too
    made.graph.input.append(helper.make_tensor_value_info("scales", TensorProto.FLOAT, [4]))
    card, result = run(made, tmp_path, image)
    assert card.scale == 2
    np.testing.assert_allclose(result.mean(), image.mean(), atol=0.01)


def test_a_network_of_our_own_is_found_to_be_what_its_card_says(tmp_path):
    shipped = read_card(folder("engines") / "quicksrnet-small-x1.5-photo.toml")
    card = import_network(folder("engines") / f"{shipped.name}.onnx", tmp_path, name="mine", flavour="capture")
    assert (card.scale, card.size_multiple, card.radius) == (shipped.scale, shipped.size_multiple, shipped.radius)
    # 27 channels are spread to their places by a transposed convolution of 9 weights each.
    assert card.parameters == shipped.parameters + 27 * 9 + 2 and card.flavour == "capture"
    assert card.macs_per_pixel == pytest.approx(shipped.macs_per_pixel + 27 * 9 / 4)
    image = np.random.default_rng(2).random((2, 3, 20, 30), np.float32)
    ours, theirs = (
        OnnxEngine(read_card(at.with_suffix(".toml")), at).infer(image)
        for at in (tmp_path / "mine.onnx", folder("engines") / f"{shipped.name}.onnx")
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_attention_over_the_whole_picture_is_noticed(tmp_path, image):
    nodes = [
        helper.make_node("GlobalAveragePool", ["input"], ["mean"]),
        helper.make_node("Sub", ["input", "mean"], ["rest"]),
        helper.make_node("Add", ["rest", "mean"], ["sum"]),
        helper.make_node("Mul", ["mean", "small"], ["hint"]),
        helper.make_node("Add", ["sum", "hint"], ["all"]),
        resize(2, source="all")[0],
    ]
    made = graph(nodes, constants={**resize(2)[1], "small": np.array(0.01, np.float32)})
    assert run(made, tmp_path, image)[0].radius == WHOLE_FRAME


def with_outside_weights(path: Path, location: str, file: Path, offset: str = "0", length: str = "4") -> Path:
    """A graph whose constant lies in `file`, which it calls `location`."""
    made = bicubic()
    (plus,) = [value for value in made.graph.initializer if value.name == "plus"]
    plus.ClearField("raw_data")
    file.write_bytes(np.array(0.02, np.float32).tobytes())
    plus.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        entry = plus.external_data.add()
        entry.key, entry.value = key, value
    path.write_bytes(made.SerializeToString())
    return path


def test_weights_beside_the_file_are_taken_in(tmp_path, image):
    (tmp_path / "deep").mkdir()
    file = with_outside_weights(tmp_path / "net.onnx", "deep/weights.bin", tmp_path / "deep" / "weights.bin")
    card = import_network(file, tmp_path / "out")
    made = onnx.load(tmp_path / "out" / "net.onnx", load_external_data=False)
    assert not any(external_data_helper.uses_external_data(value) for value in made.graph.initializer)
    result = OnnxEngine(card, tmp_path / "out" / "net.onnx").infer(image)
    np.testing.assert_allclose(result, enlarged(image, 2, 0.02), atol=1e-5)


@pytest.mark.parametrize("way", ["../weights.bin", "absolute", "link.bin"])
def test_weights_outside_the_folder_are_refused(tmp_path, way):
    secret = tmp_path / "weights.bin"
    (tmp_path / "net").mkdir()
    location = str(secret) if way == "absolute" else way
    file = with_outside_weights(tmp_path / "net" / "net.onnx", location, secret)
    (tmp_path / "net" / "link.bin").symlink_to(secret)
    refused(file, tmp_path, "outside its folder")


def test_weights_behind_a_link_within_the_folder(tmp_path, image):
    file = with_outside_weights(tmp_path / "net.onnx", "link.bin", tmp_path / "weights.bin")
    (tmp_path / "link.bin").symlink_to("weights.bin")
    card = import_network(file, tmp_path / "out")
    result = OnnxEngine(card, tmp_path / "out" / "net.onnx").infer(image)
    np.testing.assert_allclose(result, enlarged(image, 2, 0.02), atol=1e-5)


@pytest.mark.parametrize(
    ("offset", "length"),
    [("abc", "4"), ("-4", "4"), ("1", "4"), ("1000000000", "4"), ("0", "3"), ("0", str(10**18)), ("0", "many")],
)
def test_weights_that_are_not_where_they_should_be(tmp_path, offset, length):
    file = with_outside_weights(tmp_path / "net.onnx", "weights.bin", tmp_path / "weights.bin", offset, length)
    refused(file, tmp_path, rf"weights\.bin does not hold plus .*\(offset {offset}, length {length}\); download both")


def test_weights_that_are_missing_or_cut_off(tmp_path):
    weights = tmp_path / "weights.bin"
    file = with_outside_weights(tmp_path / "net.onnx", "weights.bin", weights)
    weights.write_bytes(b"ab")
    refused(file, tmp_path, "does not hold plus where it is said to")
    weights.unlink()
    refused(file, tmp_path, r"weights in weights\.bin, which is missing")
    weights.symlink_to("/proc/self/mem")
    refused(file, tmp_path, "outside its folder .*; copy them into it")


def refused(file: Path, tmp_path: Path, message: str, **options) -> None:
    """`file` is refused in one line that names it, and nothing is written."""
    with pytest.raises(ImportFailed, match=message) as error:
        import_network(file, tmp_path / "out", **options)
    assert str(file) in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def baked(sizes: list[int]) -> onnx.ModelProto:
    """A graph with a Reshape to what one size of picture needs."""
    node, constants = resize(2, source="same")
    reshape = helper.make_node("Reshape", ["input", "sizes"], ["same"])
    return graph([reshape, node], tuple(sizes), constants={**constants, "sizes": np.array(sizes, np.int64)})


def negated() -> onnx.ModelProto:
    node, constants = resize(2, result="large")
    return graph([node, helper.make_node("Neg", ["large"], ["output"])], constants=constants)


def plain(op: str, *inputs: str, domain: str = "", **options) -> onnx.ModelProto:
    """A graph of one node."""
    ends = {name: options.pop(name) for name in ("shape", "kind", "more") if name in options}
    return graph([helper.make_node(op, ["input", *inputs], ["output"], domain=domain, **options)], **ends)


def uneven(*scales: float, shape: tuple = FREE) -> onnx.ModelProto:
    """An interpolation by `scales`, one for each axis."""
    node = helper.make_node("Resize", ["input", "", "scales"], ["output"])
    return graph([node], shape, constants={"scales": np.array(scales, np.float32)})


def versioned(ir: int = 8, opset: int = 17) -> onnx.ModelProto:
    made = bicubic()
    made.ir_version, made.opset_import[0].version = ir, opset
    return made


def within(name: str) -> onnx.ModelProto:
    """A graph with a branch that uses the value `name`."""
    inner = helper.make_node("Add", ["input", name], ["inner"])
    branch = helper.make_graph([inner], "b", [], [helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)])
    choice = helper.make_node("If", ["yes"], ["output"], then_branch=branch, else_branch=branch)
    return graph([choice], constants={"yes": np.array(True)})


WRONG = {
    "an operator of others": (plain("Magic", domain="com.example"), "ONNX Runtime cannot load"),
    "an operator that is none": (plain("Magic"), "ONNX Runtime cannot load .*; export it with standard operators"),
    "two inputs": (plain("Add", "noise", more=(["noise"], [])), r"2 inputs \(input, noise\)"),
    "two outputs": (plain("Neg", more=([], ["mask"])), r"2 outputs \(output, mask\)"),
    "rank 3": (plain("Neg", shape=(3, "h", "w")), r"another rank \(3, h, w\)"),
    "no rank": (plain("Neg", shape=None), r"another rank \(not said\)"),
    "four channels": (bicubic(shape=("n", 4, "h", "w")), "4 channels"),
    "bytes": (plain("Identity", kind=TensorProto.UINT8), "works on uint8"),
    "one size": (baked([1, 3, 40, 48]), "1x3x40x48 but not of other sizes"),
    "one picture at a time": (baked([1, 3, -1, 48]), "free batch, height and width"),
    "results of rank 3": (
        plain("ReduceMean", axes=[1], keepdims=0),
        r"makes results of rank 3, .* to give \(n, channels, h, w\)",
    ),
    "channels last": (uneven(1, 2, 2, 1, shape=("n", "h", "w", 3)), "takes pictures with channels last; export"),
    "channels last in results": (plain("Transpose", perm=[0, 2, 3, 1]), "channels last; export it to take and give"),
    "channels last, unsaid": (uneven(1, 2, 2, 1, shape=("a", "b", "c", "d")), "6 channels; export it to take and give"),
    "two scales": (uneven(1, 1, 2, 3), "upscales height by 2 and width by 3; export it with one scale"),
    "no ratio": (bicubic(1.3), r"makes sizes of no one scale \(about 1\.3\)"),
    "a newer IR": (versioned(ir=99), "its IR version 99 is newer than .*; update onnxruntime"),
    "a newer opset": (versioned(opset=99), "its opset 99 is newer than .*; update onnxruntime"),
    "a value of nothing": (plain("Add", "nowhere"), "nothing in it makes 'nowhere', which it uses"),
    "a value of nothing within": (within("nowhere"), "nothing in it makes 'nowhere', which it uses"),
    "no upscaling": (plain("Identity"), "changes sizes by 1;"),
    "too much of it": (bicubic(8), "changes sizes by 8; .* up to 4"),
    "another picture": (negated(), "upscales no pictures"),
    "not numbers": (bicubic(plus=np.nan), "upscales no pictures"),
}


@pytest.mark.parametrize("title", WRONG)
def test_graphs_that_cannot_be_used(tmp_path, title, capfd):
    made, message = WRONG[title]
    (tmp_path / "net.onnx").write_bytes(made.SerializeToString())
    refused(tmp_path / "net.onnx", tmp_path, message)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("content", [b"", b"hello", b"\x08\x07" * 200, bicubic().SerializeToString()[:60]])
def test_damaged_files(tmp_path, content):
    (tmp_path / "net.onnx").write_bytes(content)
    refused(tmp_path / "net.onnx", tmp_path, "is damaged, or no ONNX file")


def test_files_that_are_none(tmp_path):
    (tmp_path / "net.onnx").mkdir()
    refused(tmp_path / "net.onnx", tmp_path, "is a folder")
    refused(tmp_path / "other.onnx", tmp_path, "is not there")
    (tmp_path / "memory.onnx").symlink_to("/proc/self/mem")  # a file whose reading fails, even for root
    refused(tmp_path / "memory.onnx", tmp_path, "cannot read .*: ")


def test_what_was_asked_for_wrongly(tmp_path):
    file = written(bicubic(), tmp_path / "net.onnx")
    refused(file, tmp_path, "upscales by 2, not by 3/2", scale=X1_5)
    for options, message in (
        ({"arch": "rlfn"}, "leave out --arch"),
        ({"flavour": "film"}, "unknown flavour 'film'; known: photo, capture"),
        ({"name": "a/b"}, "cannot name a file"),
        ({"name": ".."}, "cannot name a file"),
    ):
        with pytest.raises(UsageError, match=message):
            import_network(file, tmp_path / "out", **options)
    with pytest.raises(UsageError, match=r"no known kind; known: \.pth, .*\.onnx"):
        import_network(tmp_path / "net.bin", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert import_network(file, tmp_path / "out", scale=X2).scale == 2
