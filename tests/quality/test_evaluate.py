"""Scores of engines over small data sets made here, and over published ones."""

from fractions import Fraction

import cv2
import numpy as np
import pytest

from rtsr.card import Card, hash_of
from rtsr.engine.exits import OneExit
from rtsr.engine.fake import FakeEngine, FakeStagedEngine
from rtsr.engine.onnx import OnnxEngine
from rtsr.engine.resample import bicubic
from rtsr.errors import SourceError, UsageError
from rtsr.quality.evaluate import evaluate, evaluate_exits, upscale

X2, X15 = Fraction(2), Fraction(3, 2)


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture
def blocks(tmp_path):
    """Two images made of 2x2 blocks, so that nearest neighbour is exact; in `b` every truth is 1 level off."""
    for name, offset in (("a", 0), ("b", 1)):
        low = noise(16, 20) // 2
        write(tmp_path / "HR" / f"{name}.png", low.repeat(2, 0).repeat(2, 1) + offset)
        write(tmp_path / "LR_bicubic" / "X2" / f"{name}x2.png", low)
    return tmp_path


def test_scores_that_can_be_worked_out(blocks):
    result = evaluate(FakeEngine(X2), blocks, X2)
    exact, off = result.scores
    assert (exact.name, exact.psnr, exact.ssim) == ("a", float("inf"), pytest.approx(1))
    # one level of all three colours is 219/255 of luma
    assert (off.name, off.psnr) == ("b", pytest.approx(20 * np.log10(255 / (219 / 255))))
    assert 0.99 < off.ssim < 1
    assert result.psnr == float("inf")
    assert result.ssim == pytest.approx((exact.ssim + off.ssim) / 2)
    assert (result.model, result.dataset, result.scale) == ("fake", blocks.name, X2)


def test_odd_sides_are_padded_for_the_engine_and_cropped():
    engine = FakeEngine(X2)
    engine.card = type(engine.card)("even", "even", X2, "none", size_multiple=4)
    seen = []
    infer = engine.infer
    engine.infer = lambda tiles: seen.append(tiles.shape) or infer(tiles)
    picture = noise(13, 15)
    np.testing.assert_array_equal(upscale(engine, picture), picture.repeat(2, 0).repeat(2, 1))
    assert seen == [(1, 3, 16, 16)]


def test_each_exit_scores_as_it_does_alone(blocks):
    engine = FakeStagedEngine(X2)
    every = evaluate_exits(engine, blocks, X2)
    assert len(every) == 4
    for k, result in enumerate(every):
        alone = evaluate(OneExit(engine, k), blocks, X2)
        assert (result.scores, alone.model) == (alone.scores, f"fake-staged, exit {k}")
    assert every[3].scores == evaluate(FakeEngine(X2), blocks, X2).scores
    # exit 2 is four levels too dark where that is not below black, and its luma by 4 * 219 / 255
    assert every[1].psnr < 20 * np.log10(255 / (4 * 219 / 255)) < every[2].scores[0].psnr < 38


@pytest.fixture
def masked(tmp_path):
    """A network that repeats pixels, and keeps as much as the picture is bright on average."""
    onnx = pytest.importorskip("onnx", reason="needs onnx")
    make, floats = onnx.helper, onnx.TensorProto.FLOAT
    ends = [
        make.make_tensor_value_info("image", floats, ["n", 3, "h", "w"]),
        make.make_tensor_value_info("upscaled", floats, ["n", 3, "h_out", "w_out"]),
        make.make_tensor_value_info("kept", floats, ["n"]),
    ]
    nodes = [
        make.make_node("Resize", ["image", "", "scales"], ["upscaled"], mode="nearest"),
        make.make_node("ReduceMean", ["image"], ["kept"], axes=[1, 2, 3], keepdims=0),
    ]
    scales = onnx.numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales")
    graph = make.make_graph(nodes, "masked", ends[:1], ends[1:], [scales])
    path = tmp_path / "masked.onnx"
    onnx.save(make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8), path)
    return OnnxEngine(Card("masked", "smsr", X2, "photo", sha256=hash_of(path)), path, threads=1)


def test_sparsity_is_what_the_masks_do_not_keep(blocks, masked):
    result = evaluate(masked, blocks, X2)
    brightness = (noise(16, 20) // 2).mean() / 255
    assert [score.sparsity for score in result.scores] == pytest.approx([1 - brightness] * 2, abs=1e-6)
    assert result.sparsity == pytest.approx(1 - brightness, abs=1e-6)
    plain = evaluate(FakeEngine(X2), blocks, X2)
    assert plain.sparsity is None
    assert [score.psnr for score in result.scores] == [score.psnr for score in plain.scores]


@pytest.mark.parametrize("measure", [evaluate, evaluate_exits])
def test_tells_how_far_it_is(blocks, measure):
    told = []
    measure(FakeStagedEngine(X2), blocks, X2, watch=told.append)
    assert told == [0.5, 1]


def test_says_what_is_wrong_with_a_folder(tmp_path, blocks):
    with pytest.raises(SourceError, match="there is no folder"):
        evaluate(FakeEngine(X2), tmp_path / "missing", X2)
    (tmp_path / "empty" / "HR").mkdir(parents=True)
    with pytest.raises(SourceError, match=r"no \.png images"):
        evaluate(FakeEngine(X2), tmp_path / "empty", X2)
    with pytest.raises(SourceError, match="is not a data set"):
        evaluate(FakeEngine(X2), tmp_path / "empty" / "HR", X2)
    with pytest.raises(UsageError, match="upscales by 2, not by 3/2"):
        evaluate(FakeEngine(X2), blocks, X15)


def test_says_what_is_wrong_with_an_image(blocks):
    low = blocks / "LR_bicubic" / "X2" / "ax2.png"
    write(low, noise(16, 21))
    with pytest.raises(SourceError, match="a: input 21x16 and truth 40x32"):
        evaluate(FakeEngine(X2), blocks, X2)
    for damage in (b"", b"no image"):
        low.write_bytes(damage)
        with pytest.raises(SourceError, match=r"ax2\.png is not an image"):
            evaluate(FakeEngine(X2), blocks, X2)
    low.unlink()
    with pytest.raises(SourceError, match=r"cannot read .*ax2\.png: No such file"):
        evaluate(FakeEngine(X2), blocks, X2)
    write(blocks / "HR" / "a.png", noise(12, 12))
    write(low, noise(6, 6))
    with pytest.raises(SourceError, match="12x12 is too small to compare"):
        evaluate(FakeEngine(X2), blocks, X2)


def test_bicubic_on_set5_is_as_published(shared):
    result = evaluate(bicubic(X2), shared / "data" / "benchmarks" / "Set5", X2)
    # papers print 33.66 and 0.9299: they upscale luma alone
    assert len(result.scores) == 5
    assert result.psnr == pytest.approx(33.66, abs=0.03)
    assert result.ssim == pytest.approx(0.9299, abs=0.001)


def test_only_some_images(blocks):
    assert [score.name for score in evaluate(FakeEngine(X2), blocks, X2, ("b",)).scores] == ["b"]
    with pytest.raises(SourceError, match="such names"):
        evaluate(FakeEngine(X2), blocks, X2, ("nothing",))
