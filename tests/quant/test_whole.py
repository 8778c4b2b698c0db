"""QuickSRNet in whole numbers: what becomes them, and that they stand for the same."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from rtsr.engine.int8 import CLOSE, trial
from rtsr.engine.session import open_session
from rtsr.errors import EngineError
from rtsr.quant.pictures import pictures
from rtsr.quant.whole import Whole, in_whole_numbers
from rtsr.resources import folder, networks

NAMES = [
    "quicksrnet-small-x2-photo",
    "quicksrnet-large-x2-photo",
    "quicksrnet-medium-x1.5-capture",
    "quicksrnet-small-x4-photo",
]


def shipped(name: str) -> ModelProto:
    return onnx.load(folder("engines") / f"{name}.onnx")


@pytest.fixture(scope="module", params=NAMES)
def made(request: pytest.FixtureRequest) -> tuple[str, ModelProto, Whole]:
    """Name, in floats and in whole numbers."""
    floats = shipped(request.param)
    return request.param, floats, in_whole_numbers(floats)


@pytest.fixture(scope="module")
def pair(made: tuple[str, ModelProto, Whole]) -> tuple[str, ModelProto, ModelProto]:
    name, floats, whole = made
    return name, floats, whole.model


def as_defined(model: ModelProto, image: np.ndarray) -> np.ndarray:
    """What `model` gives node by node: sums of floats between what is rounded, nothing fused, on every processor."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"image": image})[0])


def constants(model: ModelProto) -> dict[str, np.ndarray]:
    return {value.name: numpy_helper.to_array(value) for value in model.graph.initializer}


def test_all_but_the_first_is_in_8_bits(pair: tuple[str, ModelProto, ModelProto]) -> None:
    _, floats, whole = pair
    layers = sum(node.op_type == "Conv" for node in floats.graph.node)
    kinds = [values.dtype for name, values in constants(whole).items() if name.endswith("/whole") and values.ndim == 4]
    assert kinds == [np.dtype(np.int8)] * (layers - 1)
    sums = [values.dtype for name, values in constants(whole).items() if name.endswith("/whole") and values.ndim == 1]
    assert sums == [np.dtype(np.int32)] * (layers - 1)
    rounded = [node for node in whole.graph.node if node.op_type == "QuantizeLinear"]
    assert len(rounded) == layers
    assert all(len(values) % 16 == 0 for name, values in constants(whole).items() if name.endswith("/whole"))
    assert constants(whole)["step"] == np.float32(1 / 255) and constants(whole)["zero"].dtype == np.uint8
    ends = [[(end.name, end.type) for end in ends] for ends in (whole.graph.input, whole.graph.output)]
    assert ends == [[(end.name, end.type) for end in ends] for ends in (floats.graph.input, floats.graph.output)]
    assert len(whole.SerializeToString()) < len(floats.SerializeToString()) / 2


def test_what_comes_out_is_the_same_but_for_rounding(pair: tuple[str, ModelProto, ModelProto]) -> None:
    _, floats, whole = pair
    image = pictures(3, seed=9)[:, :, :48, :64]
    one, other = (as_defined(model, image) for model in (floats, whole))
    off = float(np.sqrt(np.mean(np.square(one - other))))
    assert 1e-4 < off < CLOSE / 2


def test_noise_is_how_far_results_are_off(made: tuple[str, ModelProto, Whole]) -> None:
    name, floats, whole = made
    one, other = (as_defined(model, pictures(3)) for model in (floats, whole.model))
    assert whole.noise == pytest.approx(np.square(255 * (one - other)).mean(), rel=0.02)
    card = networks()[name].card
    assert card.int8 is not None and card.int8.noise == pytest.approx(whole.noise, rel=0.05)


def test_what_ships_is_what_is_made(pair: tuple[str, ModelProto, ModelProto]) -> None:
    """But for a few steps of weights, which sums of floats on other machines may round to the other side."""
    name, _, whole = pair
    made, ships = constants(whole), constants(onnx.load(networks()[name].int8_path))
    assert made.keys() == ships.keys()
    for key, values in made.items():
        if key.endswith("/whole") and values.ndim == 4:
            assert np.mean(values != ships[key]) < 0.02, key
        else:
            np.testing.assert_allclose(values, ships[key], rtol=1e-5, atol=0)


def test_onnx_runtime_computes_it_as_it_is_defined(pair: tuple[str, ModelProto, ModelProto]) -> None:
    """Where the processor has the instructions for it; else the trial says that it does not."""
    name, _, whole = pair
    image = 0.5 + pictures(3, seed=9)[:, :, :48, :64] / 2
    expected = as_defined(whole, image)
    found = open_session(whole.SerializeToString(), 1).run(None, {"image": image})[0]
    off = float(np.sqrt(np.mean(np.square(found - expected))))
    assert (off < 1e-3) == trial(networks()[name], 1).right


def changed(name: str, value: np.ndarray) -> ModelProto:
    """The small network with another constant."""
    model = shipped(NAMES[0])
    (place,) = [i for i, known in enumerate(model.graph.initializer) if known.name == name]
    model.graph.initializer[place].CopyFrom(numpy_helper.from_array(value, name))
    return model


def without_bias() -> ModelProto:
    model = shipped(NAMES[0])
    del model.graph.node[2].input[2]
    return model


def another_way() -> ModelProto:
    """The third layer reads what the first made."""
    model = shipped(NAMES[0])
    model.graph.node[4].input[0] = model.graph.node[1].output[0]
    return model


def only_two_layers() -> ModelProto:
    model = shipped(NAMES[0])
    del model.graph.node[4:-1]
    del model.graph.node[:4]
    model.graph.node[0].input[0] = "image"
    return model


def nothing_behind() -> ModelProto:
    """The last clip makes the result."""
    model = shipped(NAMES[0])
    del model.graph.node[-1]
    model.graph.output[0].name = model.graph.node[-1].output[0]
    return model


def round_the_clip() -> ModelProto:
    """The result is made of what the last clip has not seen."""
    model = shipped(NAMES[0])
    model.graph.node[-1].input[0] = model.graph.node[-3].output[0]
    return model


def groups() -> ModelProto:
    """The last layer has two groups."""
    model = changed("weight3", np.zeros((12, 16, 3, 3), np.float32))
    model.graph.node[-3].attribute.append(helper.make_attribute("group", 2))
    return model


def other_operators() -> ModelProto:
    picture = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, "h", "w"])
    node = helper.make_node("Relu", ["image"], ["upscaled"])
    result = helper.make_tensor_value_info("upscaled", TensorProto.FLOAT, ["n", 3, "h", "w"])
    return helper.make_model(helper.make_graph([node], "g", [picture], [result]))


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(lambda: changed("white", np.float32(2)), id="another clip"),
        pytest.param(lambda: changed("weight1", np.zeros((32, 32, 1, 1), np.float32)), id="another kernel"),
        pytest.param(without_bias, id="no bias"),
        pytest.param(another_way, id="no chain"),
        pytest.param(only_two_layers, id="nothing between"),
        pytest.param(nothing_behind, id="nothing behind"),
        pytest.param(round_the_clip, id="round the clip"),
        pytest.param(groups, id="groups"),
        pytest.param(lambda: changed("weight0", np.zeros((32, 1, 3, 3), np.float32)), id="luma"),
        pytest.param(other_operators, id="no convolutions"),
    ],
)
def test_networks_of_another_kind_are_refused(model) -> None:
    with pytest.raises(EngineError, match="this one is of another kind"):
        in_whole_numbers(model())
