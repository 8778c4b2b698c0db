"""Networks made ready for TensorRT: names, types, validity, and what they compute."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from rtsr.engine.session import open_session
from rtsr.errors import EngineError, UsageError
from rtsr.nvidia.graph import PRECISIONS, prepare
from rtsr.nvidia.rehearsal import rounded
from rtsr.resources import folder

SHIPPED = sorted(path for path in folder("engines").glob("**/*.onnx") if not path.name.endswith(".int8.onnx"))
"""But for the forms in 8 bits, which are for processors."""
KINDS = {
    TensorProto.FLOAT: "float32",
    TensorProto.FLOAT16: "float16",
    TensorProto.UINT8: "uint8",
    TensorProto.INT64: "int64",
    TensorProto.BOOL: "bool",
}


def title(path):
    return str(path.relative_to(folder("engines")))


def ends(model, every=False):
    return {
        end.name: (
            KINDS[end.type.tensor_type.elem_type],
            tuple(side.dim_param or side.dim_value for side in end.type.tensor_type.shape.dim),
        )
        for end in (*model.graph.input, *model.graph.output, *(model.graph.value_info if every else ()))
    }


def run(model, **inputs):
    return open_session(model.SerializeToString(), 1).run(None, inputs)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("path", SHIPPED, ids=title)
def test_every_shipped_graph_is_valid_at_every_precision(path, precision):
    made = onnx.load_model_from_string(prepare(path, precision))
    onnx.checker.check_model(made, full_check=True)
    before, after = ends(onnx.load(path)), ends(made)
    assert list(after) == list(before)
    for name, (kind, shape) in after.items():
        features = name.startswith(("features", "next"))
        assert kind == ("float16" if features and precision != "fp32" else "float32"), name
        assert shape == before[name][1]


@pytest.mark.parametrize("path", SHIPPED, ids=title)
def test_everything_between_the_ends_is_half_precision(path):
    made = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(prepare(path, "fp16")), strict_mode=True)
    kinds = {name: kind for name, (kind, _) in ends(made, every=True).items()}
    kinds |= {value.name: KINDS.get(value.data_type) for value in made.graph.initializer}
    layers = [node for node in made.graph.node if node.op_type in ("Conv", "ConvTranspose", "Clip", "LeakyRelu")]
    assert layers
    assert {kinds[name] for node in layers for name in (*node.input, *node.output)} == {"float16"}


def test_single_precision_is_the_file_as_it_is():
    network = SHIPPED[0].read_bytes()
    assert onnx.load_model_from_string(prepare(network, "fp32")) == onnx.load_model_from_string(network)


@pytest.mark.parametrize("path", [path for path in SHIPPED if path.parent == folder("engines")], ids=title)
def test_half_precision_is_within_a_level(path):
    image = np.random.default_rng(0).random((2, 3, 20, 26), np.float32)
    want, *_ = run(onnx.load(path), image=image)
    got, *_ = run(rounded(onnx.load_model_from_string(prepare(path))), image=image)
    assert got.dtype == np.float32
    assert 0 < np.abs(got - want).max() < 1 / 255


def test_networks_that_do_not_ship_are_converted_too(networks):
    from fractions import Fraction

    from tests.networks import exported

    network = exported("rlfn-ntire", Fraction(2), networks)
    white = network.card.value_max
    image = np.random.default_rng(0).random((1, 3, 24, 32), np.float32) * np.float32(white)
    want = run(onnx.load(network.path), image=image)
    got = run(rounded(onnx.load_model_from_string(prepare(network.path))), image=image)
    assert np.abs(got[0] - want[0]).max() < 0.02 * white


@pytest.fixture
def stages():
    """A stage and the head behind it."""
    files = folder("engines") / "enaf-quicksrnet-medium-x2-photo"
    return [onnx.load_model_from_string(prepare(files / name)) for name in ("stage1.onnx", "head1.onnx", "exit1.onnx")]


def test_stages_hand_on_half_precision_and_give_what_the_exit_gives(stages):
    stage, head, whole = stages
    image = np.random.default_rng(0).random((1, 3, 16, 24), np.float32)
    (features,) = run(rounded(stage), image=image)
    np.testing.assert_array_equal(features, features.astype(np.float16))
    (got,) = run(rounded(head), features_0=features)
    np.testing.assert_array_equal(got, run(rounded(whole), image=image)[0])


def small(nodes, values=(), shape=("n", 3, "h", "w")):
    """A network of `nodes` from "image" to "upscaled"."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("image", "upscaled")]
    graph = helper.make_graph(nodes, "small", ends[:1], ends[1:], list(values))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_sums_over_the_picture_and_sizes_stay_in_single_precision():
    # The mean of large values and a size above 2048 are both wrong in half precision.
    nodes = [
        helper.make_node("Mul", ["image", "thousands"], ["bright"]),
        helper.make_node("GlobalAveragePool", ["bright"], ["mean"]),
        helper.make_node("Shape", ["image"], ["shape"]),
        helper.make_node("Cast", ["shape"], ["sizes"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["sizes", "factors"], ["larger"]),
        helper.make_node("Cast", ["larger"], ["size"], to=TensorProto.INT64),
        helper.make_node("Resize", ["mean", "", "", "size"], ["upscaled"], mode="nearest"),
    ]
    values = [
        numpy_helper.from_array(np.float32(3000), "thousands"),
        numpy_helper.from_array(np.float32([1, 1, 1, 2]), "factors"),
    ]
    model = small(nodes, values)
    image = np.ones((1, 3, 2, 2049), np.float32)
    (got,) = run(rounded(onnx.load_model_from_string(prepare(model.SerializeToString()))), image=image)
    assert got.shape == (1, 3, 2, 4098)
    np.testing.assert_array_equal(got, 3000)


def test_constants_inside_nodes_are_converted():
    tensor = numpy_helper.from_array(np.full((1, 3, 1, 1), 0.1, np.float32))
    nodes = [
        helper.make_node("Constant", [], ["tenth"], value=tensor),
        helper.make_node("Constant", [], ["third"], value_float=1 / 3),
        helper.make_node("Add", ["image", "tenth"], ["more"]),
        helper.make_node("Add", ["more", "third"], ["upscaled"]),
    ]
    made = onnx.load_model_from_string(prepare(small(nodes).SerializeToString()))
    (got,) = run(rounded(made), image=np.zeros((1, 3, 2, 2), np.float32))
    np.testing.assert_allclose(got, 0.1 + 1 / 3, atol=3e-4)
    assert (got != np.float32(0.1) + np.float32(1 / 3)).all()


def test_half_precision_is_rounded_where_a_graph_rounds():
    nodes = [
        helper.make_node("Add", ["image", "large"], ["sum"]),
        helper.make_node("Sub", ["sum", "large"], ["upscaled"]),
    ]
    model = small(nodes, [numpy_helper.from_array(np.float32(2048), "large")])
    made = onnx.load_model_from_string(prepare(model.SerializeToString()))
    image = np.full((1, 3, 1, 1), 0.75, np.float32)
    np.testing.assert_array_equal(run(rounded(made), image=image)[0], 0)  # 2048 + 0.75 is 2048 in half precision


def test_errors_say_what_is_wrong(tmp_path):
    with pytest.raises(UsageError, match="unknown precision 'fp8'; known: fp32, fp16"):
        prepare(SHIPPED[0], "fp8")
    with pytest.raises(EngineError, match=r"cannot read .*gone\.onnx: No such file"):
        prepare(tmp_path / "gone.onnx")
    with pytest.raises(EngineError, match="the network is damaged, or no ONNX file"):
        prepare(b"\xff\xfe nonsense")
    with pytest.raises(EngineError, match="holds no graph"):
        prepare(b"")
    broken = onnx.load(SHIPPED[0])
    broken.graph.node[0].input[1] = "missing"
    with pytest.raises(EngineError, match="missing"):
        prepare(broken.SerializeToString())
    with pytest.raises(EngineError, match="no valid graph at fp32"):
        prepare(broken.SerializeToString(), "fp32")


def test_graphs_inside_of_graphs_are_refused_at_half_precision():
    inner = helper.make_graph(
        [helper.make_node("Identity", ["image"], ["same"])],
        "inner",
        [],
        [helper.make_tensor_value_info("same", TensorProto.FLOAT, None)],
    )
    yes = numpy_helper.from_array(np.array(True), "yes")
    branch = helper.make_node("If", ["yes"], ["upscaled"], then_branch=inner, else_branch=inner)
    content = small([branch], [yes]).SerializeToString()
    with pytest.raises(EngineError, match="the operator If holds a graph of its own; take fp32"):
        prepare(content)
    assert prepare(content, "fp32")
