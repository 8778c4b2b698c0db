"""8-bit weights: what is quantised, and how it is rounded."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from rtsr.engine.session import open_session
from rtsr.errors import EngineError
from rtsr.nvidia.graph import prepare
from rtsr.nvidia.rehearsal import rounded
from rtsr.nvidia.weights import quantised
from rtsr.quant.pictures import pictures
from rtsr.quant.steps import quantise, windows
from rtsr.resources import folder

STAGES = folder("engines") / "enaf-quicksrnet-medium-x2-photo"


def weights(shape=(8, 16, 3, 3), seed=0):
    """As trained networks have them: small, with a large tap in the middle of some kernels."""
    random = np.random.default_rng(seed)
    made = random.normal(0, 0.05, shape).astype(np.float32)
    made[:, 0, shape[2] // 2, shape[3] // 2] += 1
    return made


@pytest.fixture(scope="module")
def seen():
    """What a 3x3 convolution sees of features that are soft, as those of pictures are."""
    return windows(pictures(16), (3, 3), pads=(1, 1, 1, 1))


def errors(weight, seen, steps, scales):
    """Root mean square of the change of what a layer gives, by output."""
    change = steps.astype(np.float64).reshape(len(weight), -1) * scales[:, None] - weight.reshape(len(weight), -1)
    return np.sqrt(np.mean((seen @ change.T) ** 2, axis=0))


def test_what_a_layer_gives_changes_far_less_than_by_rounding_to_nearest(seen):
    weight = weights()
    steps, scales = quantise(weight, seen)
    assert (steps.dtype, steps.shape, scales.dtype, scales.shape) == (np.int8, weight.shape, np.float32, (8,))
    np.testing.assert_array_equal(scales, scales.astype(np.float16))
    np.testing.assert_allclose(scales, np.abs(weight).max(axis=(1, 2, 3)) / 127, rtol=1e-3)
    nearest = np.clip(np.round(weight / scales[:, None, None, None]), -127, 127)
    ours, plain = (errors(weight, seen, found, scales) for found in (steps, nearest))
    assert ours.mean() < plain.mean() / 4
    assert (ours < plain).all()


def test_steps_stay_near_the_weights(seen):
    weight = weights()
    steps, scales = quantise(weight, seen)
    assert np.abs(steps - weight / scales[:, None, None, None]).max() < 8


@pytest.mark.parametrize("value", [0.0, 1.0, -3.0])
def test_weights_that_are_all_alike_are_exact(value, seen):
    weight = np.full((2, 16, 3, 3), value, np.float32)
    steps, scales = quantise(weight, seen)
    np.testing.assert_allclose(steps * scales[:, None, None, None], weight, rtol=1e-3)


def test_each_output_has_its_scale_and_dark_inputs_do_no_harm(seen):
    weight = weights() * np.float32([1, 10, 100, 0.01, 1, 1, 1, 1])[:, None, None, None]
    dark = seen.copy()
    dark[:, 9:27] = 0
    for found in (dark, np.zeros_like(seen)):
        steps, scales = quantise(weight, found)
        assert np.isfinite(scales).all()
        np.testing.assert_allclose(scales, np.abs(weight).max(axis=(1, 2, 3)) / 127, rtol=1e-3)
        assert np.abs(steps[:, 3:] - (weight / scales[:, None, None, None])[:, 3:]).max() < 127


@pytest.mark.parametrize(
    "settings",
    [{}, {"pads": (1, 2, 0, 1)}, {"strides": (2, 3)}, {"pads": (1, 1, 1, 1), "strides": (2, 2), "dilations": (2, 1)}],
)
def test_windows_are_what_a_convolution_sees(settings):
    seen = np.random.default_rng(0).random((2, 3, 9, 11), np.float32)
    weight = np.random.default_rng(1).random((1, 3, 3, 2), np.float32)
    ends = [onnx.helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "xy"]
    node = onnx.helper.make_node("Conv", ["x", "w"], ["y"], **{key: list(value) for key, value in settings.items()})
    graph = onnx.helper.make_graph([node], "conv", ends[:1], ends[1:], [numpy_helper.from_array(weight, "w")])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    (want,) = open_session(model.SerializeToString(), 1).run(None, {"x": seen})
    got = windows(seen, (3, 2), **settings) @ weight.ravel()
    np.testing.assert_allclose(np.sort(got), np.sort(np.ravel(want)), rtol=1e-5)


def test_pairare_the_same_everywhere_and_soft():
    made = pictures()
    np.testing.assert_array_equal(made, pictures())
    assert made.shape == (2, 3, 160, 160)
    assert made.dtype == np.float32
    assert (made.min(), made.max()) == (0, 1)
    for picture in made:
        assert picture.std() > 0.1
        assert np.corrcoef(picture[:, :, 1:].ravel(), picture[:, :, :-1].ravel())[0, 1] > 0.7
        assert np.corrcoef(picture.reshape(3, -1)).min() > 0.1


def test_convolutions_between_others_are_quantised_and_nothing_else():
    made = onnx.load_model_from_string(prepare(folder("engines") / "quicksrnet-small-x1.5-photo.onnx", "int8"))
    values = {value.name: value for value in made.graph.initializer}
    sources = {node.output[0]: node for node in made.graph.node}
    layers = [node for node in made.graph.node if node.op_type.startswith("Conv")]
    kinds = [sources[node.input[1]].op_type if node.input[1] in sources else "float" for node in layers]
    assert [node.op_type for node in layers] == ["Conv"] * 4 + ["ConvTranspose"]
    assert kinds == ["float", "DequantizeLinear", "DequantizeLinear", "float", "float"]
    for node in made.graph.node:
        if node.op_type == "DequantizeLinear":
            steps, scale = (values[name] for name in node.input)
            assert (steps.data_type, scale.data_type) == (TensorProto.INT8, TensorProto.FLOAT16)
            assert numpy_helper.to_array(scale).shape == (32,)
    assert made.opset_import[0].version == 19


def run(path, *arrays):
    session = open_session(rounded(onnx.load_model_from_string(prepare(path, "int8"))).SerializeToString(), 1)
    return session.run(None, dict(zip((end.name for end in session.get_inputs()), arrays, strict=True)))


def test_stages_are_quantised_and_give_nearly_what_the_exit_gives():
    counts = {"stage1": 0, "stage2": 1, "stage3": 4, "head3": 0, "exit3": 5}
    for name, count in counts.items():
        made = onnx.load_model_from_string(prepare(STAGES / f"{name}.onnx", "int8"))
        assert sum(node.op_type == "DequantizeLinear" for node in made.graph.node) == count, name
    image = pictures(seed=1)[:1, :, :48, :64]
    flow = [image]
    for name in ("stage1", "stage2", "stage3", "head3"):
        flow = run(STAGES / f"{name}.onnx", *flow)
    (exact,) = open_session(STAGES / "exit3.onnx", 1).run(None, {"image": image})
    staged, whole = (
        np.sqrt(np.mean((got - exact) ** 2)) * 255 for got in (flow[0], run(STAGES / "exit3.onnx", image)[0])
    )
    # In levels. Stages measured on anything but the features of those before them are off by several.
    assert 0 < whole < 1
    assert 0 < staged < 1


def test_a_stage_without_those_before_it_is_refused(tmp_path):
    content = (STAGES / "stage2.onnx").read_bytes()
    alone = tmp_path / "stage2.onnx"
    alone.write_bytes(content)
    for network in (content, alone):
        with pytest.raises(EngineError, match="name its file, with those beside it"):
            prepare(network, "int8")
        assert prepare(network, "fp16")


def test_layers_that_share_a_weight_with_another_between_them():
    random = np.random.default_rng(0)
    layers = [("image", "F"), ("a", "W"), ("b", "X"), ("c", "W"), ("d", "Y"), ("e", "L")]
    ends = ["a", "b", "c", "d", "e", "upscaled"]
    nodes = [
        onnx.helper.make_node("Conv", inputs, [end], pads=[1, 1, 1, 1])
        for inputs, end in zip(layers, ends, strict=True)
    ]
    shapes = {"F": (8, 3), "W": (8, 8), "X": (8, 8), "Y": (8, 8), "L": (3, 8)}
    values = [
        numpy_helper.from_array(random.normal(0, 0.1, (*shape, 3, 3)).astype(np.float32), name)
        for name, shape in shapes.items()
    ]
    pair = [
        onnx.helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3, "h", "w"])
        for name in ("image", "upscaled")
    ]
    graph = onnx.helper.make_graph(nodes, "shared", pair[:1], pair[1:], values)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    made = quantised(model)
    assert [node.op_type for node in made.graph.node].count("DequantizeLinear") == 3
    image = random.random((1, 3, 12, 14), np.float32)
    want, got = (open_session(net.SerializeToString(), 1).run(None, {"image": image})[0] for net in (model, made))
    assert 0 < np.abs(got - want).max() < 0.02 * np.abs(want).max()
