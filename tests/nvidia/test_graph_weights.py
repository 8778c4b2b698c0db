"""8-bit weights: what is quantised, and how it is rounded."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from rtsr.nvidia.graph import prepare
from rtsr.nvidia.weights import quantise
from rtsr.resources import folder


def weights(shape=(8, 16, 3, 3), seed=0):
    """As trained networks have them: small, with a large tap in the middle of some kernels."""
    random = np.random.default_rng(seed)
    made = random.normal(0, 0.05, shape).astype(np.float32)
    made[:, 0, shape[2] // 2, shape[3] // 2] += 1
    return made


def dequantised(weight):
    steps, scales = quantise(weight)
    assert steps.dtype == np.int8
    assert scales.dtype == np.float32
    return steps * scales[:, None, None, None], scales[:, None, None, None]


def test_sums_over_kernels_and_outputs_are_right_to_half_a_step():
    weight = weights()
    got, scale = dequantised(weight)
    # Half precision rounds the scale, and with it what the largest weight is worth.
    assert np.abs((got - weight) / scale).max() <= 1.5
    kernels = ((got - weight) / scale).sum(axis=(2, 3))
    assert np.abs(kernels).max() <= 1.5
    assert np.abs(kernels.sum(axis=1)).max() <= 0.6
    plain = np.round(weight / scale) * scale
    assert np.abs(((plain - weight) / scale).sum(axis=(1, 2, 3))).max() > 2


def test_few_weights_are_rounded_the_other_way():
    weight = weights()
    got, scale = dequantised(weight)
    assert np.mean(np.round(got / scale) != np.round(weight / scale)) < 0.15


@pytest.mark.parametrize("value", [0.0, 1.0, -3.0])
def test_weights_that_are_all_alike_are_exact(value):
    weight = np.full((2, 3, 3, 3), value, np.float32)
    np.testing.assert_allclose(dequantised(weight)[0], weight, rtol=1e-3)


def test_kernels_of_one_tap_and_scales_of_their_own():
    weight = weights((4, 32, 1, 1)) * np.float32([1, 10, 100, 0.01])[:, None, None, None]
    got, scale = dequantised(weight)
    np.testing.assert_allclose(scale.ravel(), np.abs(weight).max(axis=(1, 2, 3)) / 127, rtol=1e-3)
    assert np.abs(((got - weight) / scale).sum(axis=(1, 2, 3))).max() <= 0.6


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


@pytest.mark.parametrize(("name", "count"), [("stage1", 0), ("stage2", 2), ("stage3", 3), ("head3", 0), ("exit3", 5)])
def test_stages_are_quantised_as_the_whole_exit_is(name, count):
    files = folder("engines") / "enaf-quicksrnet-medium-x2-photo"
    made, whole = (
        onnx.load_model_from_string(prepare(files / f"{part}.onnx", "int8")).graph for part in (name, "exit3")
    )
    assert sum(node.op_type == "DequantizeLinear" for node in made.node) == count
    steps = [value.raw_data for value in whole.initializer if value.data_type == TensorProto.INT8]
    assert all(value.raw_data in steps for value in made.initializer if value.data_type == TensorProto.INT8)
