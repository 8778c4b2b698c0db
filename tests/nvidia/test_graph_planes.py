"""Planes in, planes out: the same as `Upscaler.frame`, whose colour conversion runs outside of the network."""

import itertools
from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from rtsr.card import Card
from rtsr.colour import from_rgb, to_rgb
from rtsr.engine.session import open_session
from rtsr.errors import EngineError
from rtsr.frame import KR_KB, Colour, Frame
from rtsr.nvidia.build import build, tensors
from rtsr.nvidia.graph import prepare
from rtsr.nvidia.profile import Profile
from rtsr.nvidia.rehearsal import rounded
from rtsr.resources import folder
from rtsr.source.pyav import PyAVSource
from rtsr.upscaler import Upscaler, target_size

SAMPLE = folder("sample") / "freedoom_360p.mp4"
NETWORKS = {Fraction(3, 2): "quicksrnet-small-x1.5-capture", Fraction(2): "quicksrnet-small-x2-capture"}
COLOURS = [Colour(matrix, full, left) for matrix in KR_KB for full in (False, True) for left in (False, True)]


def network(scale):
    return folder("engines") / f"{NETWORKS[scale]}.onnx"


def textured(height, width, colour, seed=0):
    """A frame with soft edges and every level, so that all that colour conversion does shows."""
    random = np.random.default_rng(seed)

    def plane(rows, columns):
        soft = cv2.GaussianBlur(random.normal(128, 300, (rows, columns)), (0, 0), 1.2)
        return np.clip(soft.reshape(rows, columns), 0, 255).round().astype(np.uint8)

    half = -(-height // 2), -(-width // 2)
    return Frame(plane(height, width), plane(*half), plane(*half), colour)


def run(model, *frames):
    """What the graph `model`, ONNX content, makes of `frames`: y, u and v, each (n, h, w)."""
    planes = {name: np.stack([getattr(frame, name)[None] for frame in frames]) for name in "yuv"}
    session = open_session(model, 1)
    assert [end.name for end in session.get_outputs()] == ["y_up", "u_up", "v_up"]
    results = session.run(None, planes)
    assert all(result.dtype == np.uint8 and result.shape[1] == 1 for result in results)
    return [result[:, 0] for result in results]


def differences(got, want):
    """The largest difference of each plane; shapes must be the same."""
    wanted = want.y, want.u, want.v
    assert [plane.shape for plane in got] == [plane.shape for plane in wanted]
    return [int(np.abs(a.astype(int) - b).max()) for a, b in zip(got, wanted, strict=True)]


@pytest.fixture(scope="module")
def upscalers():
    made = {scale: Upscaler(scale, model=name, threads=1) for scale, name in NETWORKS.items()}
    yield made
    for upscaler in made.values():
        upscaler.close()


@pytest.mark.parametrize("colour", COLOURS, ids=lambda c: f"{c.matrix}-{c.full_range:d}{c.chroma_left:d}")
@pytest.mark.parametrize("scale", NETWORKS, ids=str)
def test_every_colour_and_size_is_as_upscaler_makes_it(scale, colour, upscalers):
    model = prepare(network(scale), "fp32", colour)
    # Sides that leave 0, 2, 1 and 3 over 4: at x1.5 the network's sides, or the upscaled ones, are odd.
    for height, width in ((32, 44), (34, 46), (33, 45), (35, 47), (36, 45), (31, 26)):
        frame = textured(height, width, colour)
        want = upscalers[scale].frame(frame, *target_size(width, height, scale))
        got = [plane[0] for plane in run(model, frame)]
        assert max(differences(got, want)) <= 1, (height, width)


def test_other_colours_are_told_apart(upscalers):
    """What the test above would say if the graph took a colour for another."""
    colour, scale = Colour("bt709"), Fraction(2)
    frame = textured(32, 44, colour)
    want = upscalers[scale].frame(frame, *target_size(44, 32, scale))
    others = (Colour("bt601"), Colour("bt2020"), Colour("bt709", full_range=True), Colour("bt709", chroma_left=False))
    for other in others:
        got = [plane[0] for plane in run(prepare(network(scale), "fp32", other), frame)]
        assert max(differences(got, want)) > 2, other


def frame_of(path, index):
    with PyAVSource(path) as source:
        return next(itertools.islice((item for item in source.items() if isinstance(item, Frame)), index, None))


@pytest.mark.parametrize("scale", NETWORKS, ids=str)
def test_frames_of_the_sample_are_as_upscaler_makes_them(scale, upscalers):
    frame = frame_of(SAMPLE, 20)
    want = upscalers[scale].frame(frame, *target_size(frame.width, frame.height, scale))
    got = [plane[0] for plane in run(prepare(network(scale), "fp32", frame.colour), frame)]
    assert max(differences(got, want)) <= 1


@pytest.mark.parametrize("clip", ["stk_lighthouse_540p30", "stk_lighthouse_540_rot90", "oa_suspended_540p60_crf20"])
@pytest.mark.parametrize("scale", NETWORKS, ids=str)
def test_frames_of_captures_are_as_upscaler_makes_them(scale, clip, shared, upscalers):
    frame = frame_of(shared / "data" / "clips" / f"{clip}.mp4", 5)
    want = upscalers[scale].frame(frame, *target_size(frame.width, frame.height, scale))
    got = [plane[0] for plane in run(prepare(network(scale), "fp32", frame.colour), frame)]
    assert max(differences(got, want)) <= 1


@pytest.mark.parametrize("precision", ["fp16", "int8"])
@pytest.mark.parametrize("scale", NETWORKS, ids=str)
def test_colour_conversion_is_exact_at_any_precision(scale, precision):
    colour = Colour("bt601", full_range=True)
    frame = textured(34, 46, colour)
    inner = rounded(onnx.load_model_from_string(prepare(network(scale), precision)))
    rgb = to_rgb(frame.y, frame.u, frame.v, colour)
    (large,) = open_session(inner.SerializeToString(), 1).run(None, {"image": rgb})
    height, width = (side // 2 * 2 for side in large.shape[2:])
    want = from_rgb(large[0, :, :height, :width], colour)
    whole = rounded(onnx.load_model_from_string(prepare(network(scale), precision, colour)))
    got = [plane[0] for plane in run(whole.SerializeToString(), frame)]
    assert max(differences(got, Frame(*want, colour))) <= 1


def test_frames_of_a_batch_are_on_their_own():
    colour = Colour("bt709")
    frames = [textured(34, 46, colour, seed) for seed in range(3)]
    model = prepare(network(Fraction(3, 2)), "fp32", colour)
    together = run(model, *frames)
    for i, frame in enumerate(frames):
        for plane, alone in zip(together, run(model, frame), strict=True):
            np.testing.assert_array_equal(plane[i], alone[0])


@pytest.mark.parametrize("name", ["exit1", "exit3"])
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_whole_exits_take_planes_and_are_valid(name, precision):
    path = folder("engines") / "enaf-quicksrnet-medium-x1.5-capture" / f"{name}.onnx"
    made = onnx.load_model_from_string(prepare(path, precision, Colour("bt709")))
    onnx.checker.check_model(made, full_check=True)
    ends = [*made.graph.input, *made.graph.output]
    assert [end.name for end in ends] == ["y", "u", "v", "y_up", "u_up", "v_up"]
    assert all(end.type.tensor_type.elem_type == TensorProto.UINT8 for end in ends)
    assert [end.type.tensor_type.shape.dim[1].dim_value for end in ends] == [1] * 6


def test_parts_of_networks_take_no_planes():
    files = folder("engines") / "enaf-quicksrnet-medium-x2-photo"
    for name in ("stage1", "head1", "estimator"):
        with pytest.raises(EngineError, match="planes go into a whole network"):
            prepare(files / f"{name}.onnx", "fp16", Colour("bt709"))


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize(("scale", "precision"), [(scale, p) for scale in NETWORKS for p in ("fp32", "fp16", "int8")])
def test_graphs_with_planes_build_for_every_gpu(rtx, scale, precision, left):
    content = prepare(network(scale), precision, Colour("bt709", chroma_left=left))
    names = ("y", "u", "v", "y_up", "u_up", "v_up")
    assert [(end.name, end.dtype, end.shape) for end in tensors(rtx, content)] == [
        (name, "uint8", (-1, 1, -1, -1)) for name in names
    ]
    plan, _ = build(rtx, content, Profile.holding(1280, 720), ("7.5", "8.6", "8.9", "12.0"))
    assert all(name.encode() in plan for name in names)


def nearest(factor, offset=0.0, known=True):
    """A network that repeats pixels `factor` times and adds `offset`; its shapes say so where `known`."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3, *"hw"]) for name in ("image", "upscaled")]
    scales = numpy_helper.from_array(np.array([1, 1, factor, factor], np.float32), "scales")
    if known:
        nodes = [helper.make_node("Resize", ["more", "", "scales"], ["upscaled"], mode="nearest")]
    else:
        nodes = [
            helper.make_node("ReduceMax", ["more"], ["most"]),
            helper.make_node("Mul", ["most", "zero"], ["nothing"]),
            helper.make_node("Squeeze", ["nothing"], ["none"]),
            helper.make_node("Add", ["scales", "none"], ["factors"]),
            helper.make_node("Resize", ["more", "", "factors"], ["upscaled"], mode="nearest"),
        ]
    nodes.insert(0, helper.make_node("Add", ["image", "offset"], ["more"]))
    values = [
        scales,
        *(numpy_helper.from_array(np.array(v, np.float32), n) for n, v in (("offset", offset), ("zero", 0))),
    ]
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(nodes, "nearest", ends[:1], ends[1:], [value for value in values if value.name in used])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def test_a_card_says_what_white_is_and_which_sides_fit():
    colour = Colour("bt709", full_range=True)
    frame = Frame(*(np.full(shape, 128, np.uint8) for shape in ((6, 10), (3, 5), (3, 5))), colour)
    card = Card("nearest", "nearest", Fraction(2), "photo", value_max=255.0, size_multiple=4)
    y, u, v = run(prepare(nearest(2, offset=51.0), "fp32", colour, card), frame)
    assert (y.shape, u.shape, v.shape) == ((1, 12, 20), (1, 6, 10), (1, 6, 10))
    assert set(y.ravel()) == {179}  # 128 and a fifth of white
    assert set(u.ravel()) == set(v.ravel()) == {128}
    (y, _, _) = run(prepare(nearest(2, offset=51.0), "fp32", colour), frame)
    assert set(y.ravel()) == {255}


def test_padding_repeats_the_last_pixels():
    colour = Colour("bt709")
    card = Card("nearest", "nearest", Fraction(3), "photo", size_multiple=8)
    frame = textured(9, 13, colour)
    y, u, v = (plane[0] for plane in run(prepare(nearest(3), "fp32", colour, card), frame))
    assert (y.shape, u.shape) == ((26, 38), (13, 19))
    wanted = to_rgb(frame.y, frame.u, frame.v, colour)[0].repeat(3, 1).repeat(3, 2)
    expected = Frame(*from_rgb(np.ascontiguousarray(wanted[:, :26, :38]), colour), colour)
    assert max(differences((y, u, v), expected)) <= 1


def test_a_scale_that_shapes_do_not_show_takes_a_card():
    colour = Colour("bt709")
    content = nearest(2, known=False)
    with pytest.raises(EngineError, match="its scale is not seen in its shapes; give its card"):
        prepare(content, "fp32", colour)
    card = Card("nearest", "nearest", Fraction(2), "photo")
    frame = textured(8, 10, colour)
    want = run(prepare(nearest(2), "fp32", colour), frame)
    for plane, expected in zip(run(prepare(content, "fp32", colour, replace(card)), frame), want, strict=True):
        np.testing.assert_array_equal(plane, expected)
