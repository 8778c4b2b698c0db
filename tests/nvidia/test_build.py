"""Building engines with TensorRT-RTX, without a GPU: every shipped network, and what cannot be built."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product
from types import SimpleNamespace

import onnx
import pytest
from onnx import TensorProto, helper

from rtsr import resources
from rtsr.errors import EngineError
from rtsr.frame import KR_KB, Colour
from rtsr.nvidia.build import Tensor, build, tensors
from rtsr.nvidia.cache import ready
from rtsr.nvidia.graph import PRECISIONS
from rtsr.nvidia.profile import Profile
from rtsr.nvidia.recipe import Recipe
from rtsr.nvidia.validity import judge

CAPABILITIES = ("7.5", "8.6", "8.9", "12.0")
PROFILE = Profile.holding(1280, 720)
SHIPPED = {name: path for network in resources.networks().values() for name, path in resources.parts(network).items()}
NETWORKS = list(resources.networks().values())
WHOLE = [network for network in NETWORKS if not network.card.exits]
ENDS = {(n.card.scale, n.card.size_multiple, bool(n.card.exits)): n for n in reversed(NETWORKS)}.values()
"""One network for each way in which frames become its input and its output become frames."""
# The ends are the same in every precision, so in the others one of each is enough.
ENDED = [(n, precision) for n in NETWORKS for precision in PRECISIONS if precision == "fp16" or n in ENDS]
SMALL = "quicksrnet-small-x2-capture"
KINDS = {TensorProto.FLOAT: "float32", TensorProto.FLOAT16: "float16", TensorProto.UINT8: "uint8"}


def named(value: resources.Network | str) -> str:
    return value if isinstance(value, str) else value.card.name


def model(*nodes, inputs=(("image", TensorProto.FLOAT, ["n", 3, "h", "w"]),), values=(), opset=18) -> bytes:
    """A model that ends in `upscaled`."""
    ends = [helper.make_tensor_value_info(*end) for end in inputs]
    graph = helper.make_graph(list(nodes), "made", ends, [helper.make_tensor_value_info("upscaled", 1, None)], values)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("mine", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def declared(content: bytes) -> tuple[Tensor, ...]:
    """The ends of an ONNX file as it declares them."""
    graph = onnx.load_model_from_string(content).graph
    return tuple(
        Tensor(
            end.name,
            output,
            KINDS[end.type.tensor_type.elem_type],
            tuple(side.dim_value or -1 for side in end.type.tensor_type.shape.dim),
        )
        for ends, output in ((graph.input, False), (graph.output, True))
        for end in ends
    )


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_shipped_network_builds_for_every_gpu(rtx, name, precision):
    content = ready(SHIPPED[name], Recipe(PROFILE, precision))
    ends = tensors(rtx, content)
    assert ends == declared(content)
    features = "float32" if precision == "fp32" else "float16"
    wanted = {
        "image": ("float32", (-1, 3, -1, -1)),
        "upscaled": ("float32", (-1, 3, -1, -1)),
        "kept": ("float32", (-1,)),
        "patches": ("float32", (-1, 3, 32, 32)),
        "estimates": ("float32", (-1, 4)),
        "features_0": (features, (-1, 32, -1, -1)),
        "next_0": (features, (-1, 32, -1, -1)),
    }
    assert {end.name: (end.dtype, end.shape) for end in ends} == {end.name: wanted[end.name] for end in ends}
    # One plan for all of them compiles for each; alone they are built below.
    plan, times = build(rtx, content, PROFILE, CAPABILITIES)
    assert times == b"" and len(plan) > 100_000
    assert all(end.name.encode() in plan for end in ends)
    assert judge(rtx, plan).state in ("valid", "unknown")


@pytest.mark.parametrize(("precision", "capability"), list(product(PRECISIONS, CAPABILITIES)))
def test_each_gpu_alone(rtx, precision, capability):
    content = ready(SHIPPED[SMALL], Recipe(PROFILE, precision))
    plan, _ = build(rtx, content, PROFILE, (capability,))
    everybody, _ = build(rtx, content, PROFILE, CAPABILITIES)
    assert 100_000 < len(plan) <= len(everybody)


def test_the_plan_says_which_version_built_it(rtx):
    plan, _ = build(rtx, SHIPPED[SMALL].read_bytes(), PROFILE, ("8.9",))
    assert (
        bytes(int(part) for part in rtx.version.split(".")) in plan[: rtx.module.Runtime(rtx.logger).engine_header_size]
    )


@pytest.mark.parametrize(
    "profile", [Profile.for_frames(16, 16), Profile.holding(3840, 2160), replace(PROFILE, batch=8)]
)
def test_small_large_and_batched(rtx, profile):
    assert build(rtx, SHIPPED[SMALL].read_bytes(), profile, ("8.9",))[0]


@pytest.mark.parametrize(("network", "precision"), ENDED, ids=named)
def test_every_network_builds_with_planes_at_its_ends(rtx, network, precision):
    (file,) = resources.whole(network).values()
    content = ready(file, Recipe(PROFILE, precision, Colour("bt709"), network.card))
    ends = tensors(rtx, content)
    assert {end.name for end in ends if not end.output} == {"y", "u", "v"}
    assert {end.name for end in ends if end.output} == {"y_up", "u_up", "v_up"}
    assert all((end.dtype, end.shape) == ("uint8", (-1, 1, -1, -1)) for end in ends)
    assert len(build(rtx, content, PROFILE, CAPABILITIES)[0]) > 100_000


@pytest.mark.parametrize(("network", "precision"), ENDED, ids=named)
def test_every_network_builds_with_nv12_at_its_ends(rtx, network, precision):
    (file,) = resources.whole(network).values()
    content = ready(file, Recipe(PROFILE, precision, Colour("bt709"), network.card, nv12=True))
    names = ("y", "uv", "y_up", "uv_up")
    assert [(end.name, end.dtype, end.shape) for end in tensors(rtx, content)] == [
        (name, "uint8", (-1, 1, -1, -1)) for name in names
    ]
    plan, _ = build(rtx, content, PROFILE, CAPABILITIES)
    assert all(name.encode() in plan for name in names)


@pytest.mark.parametrize("matrix", KR_KB)
@pytest.mark.parametrize("full", [False, True])
def test_every_colour_builds(rtx, matrix, full):
    colour = Colour(matrix, full_range=full, chroma_left=not full)
    content = ready(WHOLE[0].path, Recipe(PROFILE, "fp16", colour, WHOLE[0].card))
    assert build(rtx, content, Profile.for_frames(641, 361), ("8.9",))[0]


@pytest.mark.parametrize(
    ("nodes", "operator", "at"),
    [
        ([helper.make_node("Sparkle", ["image"], ["upscaled"], "shine", domain="mine")], "Sparkle", "shine"),
        ([helper.make_node("Unique", ["image"], ["upscaled"])], "Unique", "node 0"),
        (
            [
                helper.make_node("Sparkle", ["image"], ["bright"], "shine", domain="mine"),
                helper.make_node("Sparkle", ["bright"], ["brighter"], "shimmer", domain="mine"),
                helper.make_node("Unique", ["brighter"], ["upscaled"], "last"),
            ],
            "Sparkle, Unique",
            "shine, shimmer, last",
        ),
    ],
)
def test_an_operator_that_is_lacking_is_named_in_one_line(rtx, nodes, operator, at):
    with pytest.raises(EngineError) as caught:
        build(rtx, model(*nodes), PROFILE, ("8.9",))
    said = str(caught.value)
    assert f"cannot run the operator {operator} as the model uses it (at {at})" in said and "\n" not in said


@pytest.mark.parametrize("content", [b"", b"no model at all" * 9, SHIPPED[SMALL].read_bytes()[:9000]])
def test_what_is_no_model(rtx, content):
    with pytest.raises(EngineError, match=r"^TensorRT-RTX (cannot read the model|finds no network)[^\n]*again$"):
        build(rtx, content, PROFILE, ("8.9",))


def test_other_dimensions(rtx):
    flat = model(
        helper.make_node("Relu", ["image"], ["upscaled"]), inputs=[("image", TensorProto.FLOAT, ["n", "length"])]
    )
    with pytest.raises(EngineError, match="input image has 2 dimensions"):
        build(rtx, flat, PROFILE, ("8.9",))


def test_gpus_that_are_not_supported(rtx):
    with pytest.raises(EngineError, match=r"compute capability 9\.0; it supports 7\.5"):
        build(rtx, SHIPPED[SMALL].read_bytes(), PROFILE, ("8.9", "9.0"))


def test_no_gpu_where_one_is_needed(rtx):
    try:
        plan, _ = build(rtx, SHIPPED[SMALL].read_bytes(), PROFILE)
    except EngineError as error:
        said = str(error)
        assert said.startswith("TensorRT-RTX finds no usable GPU (") and "\n" not in said
        assert said.endswith(
            "; install or update the NVIDIA driver; or say what GPU to build for, e.g. --capability 8.9"
        )
    else:  # There is one.
        assert judge(rtx, plan).state == "valid"


def test_a_library_that_makes_no_builder(rtx):
    """As TensorRT does without a GPU."""

    def nothing(logger: object) -> None:
        rtx.said.append("CUDA initialization failure with error: 35")
        raise TypeError("pybind11::init(): factory function returned nullptr")

    without = replace(rtx, kind="tensorrt", module=SimpleNamespace(Builder=nothing))
    with pytest.raises(EngineError, match=r"^TensorRT finds no usable GPU \(CUDA initialization .* NVIDIA driver$"):
        build(without, SHIPPED[SMALL].read_bytes(), PROFILE)


def test_flags_and_codes_that_a_version_lacks_are_done_without(rtx):
    class Bare:
        """The library without TensorFloat-32, and with the first codes of its parser only."""

        BuilderFlag = SimpleNamespace()
        ErrorCode = SimpleNamespace(
            UNSUPPORTED_NODE=rtx.module.ErrorCode.UNSUPPORTED_NODE, INVALID_NODE=rtx.module.ErrorCode.INVALID_NODE
        )

        def __getattr__(self, name: str) -> object:
            return getattr(rtx.module, name)

    bare = replace(rtx, module=Bare())
    assert build(bare, ready(SHIPPED[SMALL], Recipe(PROFILE)), PROFILE, ("8.9",))[0]
    with pytest.raises(EngineError, match="cannot run the operator Unique"):
        build(bare, model(helper.make_node("Unique", ["image"], ["upscaled"])), PROFILE, ("8.9",))


def test_a_failed_build_says_why(rtx):
    """TensorRT-RTX has no float32 matrix product for Turing, which `rtsr.nvidia.dense` goes round."""
    product_ = model(
        helper.make_node("MatMul", ["image", "image"], ["upscaled"]),
        inputs=[("image", TensorProto.FLOAT, [1, 3, "h", "h"])],
    )
    square = Profile((64, 64), (64, 64), (64, 64))
    with pytest.raises(EngineError, match=r"^TensorRT-RTX [\d.]+ cannot build the engine: [^\n]*Turing"):
        build(rtx, product_, square, ("7.5",))
    assert build(rtx, product_, square, ("8.9",))[0]


def test_one_library_for_many_threads(rtx):
    bad = model(helper.make_node("Unique", ["image"], ["upscaled"]))
    good = SHIPPED[SMALL].read_bytes()

    def attempt(content: bytes) -> str:
        try:
            return str(len(build(rtx, content, PROFILE, ("8.9",))[0]))
        except EngineError as error:
            return str(error)

    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(attempt, [good, bad] * 4))
    assert len(set(said[::2])) == 1 and said[0].isdecimal()
    assert all("operator Unique" in line for line in said[1::2])
