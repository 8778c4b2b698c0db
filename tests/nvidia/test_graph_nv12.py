"""NV12 in, NV12 out: the same samples as with planes, chroma's two in turns."""

from fractions import Fraction

import numpy as np
import onnx
import pytest

from rtsr.engine.session import open_session
from rtsr.frame import Colour
from rtsr.nvidia.graph import prepare
from rtsr.nvidia.rehearsal import rounded
from rtsr.upscaler import Upscaler, target_size
from tests.nvidia.test_graph_planes import COLOURS, NETWORKS, SAMPLE, differences, frame_of, network, run, textured


def in_turns(u, v):
    """Two planes (h, w) as the plane of their samples in turns, (h, 2 w)."""
    return np.stack([u, v], axis=-1).reshape(len(u), -1)


def run_nv12(model, *frames):
    """What the graph `model` makes of `frames`: y, u and v, each (n, h, w)."""
    inputs = {
        "y": np.stack([frame.y[None] for frame in frames]),
        "uv": np.stack([in_turns(frame.u, frame.v)[None] for frame in frames]),
    }
    session = open_session(model, 1)
    assert [end.name for end in session.get_outputs()] == ["y_up", "uv_up"]
    y, uv = session.run(None, inputs)
    assert y.dtype == uv.dtype == np.uint8 and uv.shape == (len(frames), 1, y.shape[2] // 2, y.shape[3])
    return [y[:, 0], uv[:, 0, :, 0::2], uv[:, 0, :, 1::2]]


@pytest.mark.parametrize("colour", COLOURS, ids=lambda c: f"{c.matrix}-{c.full_range:d}{c.chroma_left:d}")
@pytest.mark.parametrize("scale", NETWORKS, ids=str)
def test_the_samples_are_those_of_planes(scale, colour):
    for height, width in ((32, 44), (34, 46), (36, 62)):
        frame = textured(height, width, colour)
        want = run(prepare(network(scale), "fp32", colour), frame)
        got = run_nv12(prepare(network(scale), "fp32", colour, nv12=True), frame)
        for plane, wanted in zip(got, want, strict=True):
            np.testing.assert_array_equal(plane, wanted)


@pytest.mark.parametrize("scale", NETWORKS, ids=str)
def test_frames_of_the_sample_are_as_upscaler_makes_them(scale):
    frame = frame_of(SAMPLE, 20)
    with Upscaler(scale, model=NETWORKS[scale], threads=1) as upscaler:
        want = upscaler.frame(frame, *target_size(frame.width, frame.height, scale))
    got = [plane[0] for plane in run_nv12(prepare(network(scale), "fp32", frame.colour, nv12=True), frame)]
    assert max(differences(got, want)) <= 1


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_any_precision(precision):
    colour, scale = Colour("bt601", full_range=True), Fraction(3, 2)
    frame = textured(34, 46, colour)
    want, got = (
        one(rounded(onnx.load_model_from_string(made)).SerializeToString(), frame)
        for one, made in (
            (run, prepare(network(scale), precision, colour)),
            (run_nv12, prepare(network(scale), precision, colour, nv12=True)),
        )
    )
    for plane, wanted in zip(got, want, strict=True):
        np.testing.assert_array_equal(plane, wanted)


def test_frames_of_a_batch_are_on_their_own():
    colour = Colour("bt709")
    frames = [textured(34, 46, colour, seed) for seed in range(3)]
    model = prepare(network(Fraction(3, 2)), "fp32", colour, nv12=True)
    together = run_nv12(model, *frames)
    for i, frame in enumerate(frames):
        for plane, alone in zip(together, run_nv12(model, frame), strict=True):
            np.testing.assert_array_equal(plane[i], alone[0])
