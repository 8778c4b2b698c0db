"""Dense layers as convolutions."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from rtsr.engine.session import open_session
from rtsr.nvidia.dense import convolved
from rtsr.resources import folder


def dense(bias=True, opset=17, **settings) -> bytes:
    """A model with a single Gemm, (n, 5) to (n, 3)."""
    rng = np.random.default_rng(0)
    shape = (3, 5) if settings.get("transB") else (5, 3)
    values = [numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), "w")]
    if bias:
        values.append(numpy_helper.from_array(rng.normal(size=3).astype(np.float32), "b"))
    node = helper.make_node("Gemm", ["x", "w", "b"][: 2 + bias], ["y"], **settings)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 5])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])
    graph = helper.make_graph([node], "dense", [x], [y], values)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8).SerializeToString()


def run(model: bytes, **inputs: np.ndarray) -> np.ndarray:
    return np.asarray(open_session(model, 1).run(None, inputs)[0])


@pytest.mark.parametrize("settings", [{}, {"transB": 1}, {"bias": False}, {"alpha": 1.0, "beta": 1.0, "transA": 0}])
def test_the_same_sums(settings):
    model, x = dense(**settings), np.random.default_rng(1).normal(size=(4, 5)).astype(np.float32)
    made = convolved(model)
    kinds = [node.op_type for node in onnx.load_model_from_string(made).graph.node]
    assert kinds == ["Unsqueeze", "Conv", "Flatten"]
    onnx.checker.check_model(onnx.load_model_from_string(made), full_check=True)
    np.testing.assert_allclose(run(made, x=x), run(model, x=x), atol=1e-5)


@pytest.mark.parametrize("settings", [{"alpha": 2.0}, {"beta": 0.5}, {"opset": 11}])
def test_others_stay_as_they_are(settings):
    model = dense(**settings)
    assert convolved(model) is model


@pytest.mark.parametrize("path", sorted(folder("engines").glob("*/estimator.onnx")), ids=lambda path: path.parent.name)
def test_shipped_estimators_have_none_left_and_say_the_same(path):
    made = convolved(path.read_bytes())
    assert "Gemm" not in {node.op_type for node in onnx.load_model_from_string(made).graph.node}
    patches = np.random.default_rng(2).random((7, 3, 32, 32), np.float32)
    np.testing.assert_allclose(run(made, patches=patches), run(path.read_bytes(), patches=patches), atol=1e-4)
