"""Scores of engines over small data sets made here, and over published ones."""

from fractions import Fraction

import cv2
import numpy as np
import pytest

from rtsr.engine.fake import FakeEngine
from rtsr.engine.resample import bicubic
from rtsr.errors import SourceError, UsageError
from rtsr.evaluate import evaluate, pictures, upscale
from rtsr.imresize import imresize

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


def test_missing_inputs_are_made_from_the_cropped_truth(tmp_path):
    image = noise(40, 50)
    write(tmp_path / "HR" / "a.png", image)
    ((name, low, high),) = pictures(tmp_path, X15)
    assert name == "a"
    assert high.shape == (39, 48, 3) and low.shape == (26, 32, 3)
    np.testing.assert_array_equal(high, image[:39, :48, ::-1])
    np.testing.assert_array_equal(low, imresize(high, 26, 32))
    assert evaluate(bicubic(X15), tmp_path, X15).psnr > 10


def test_grey_images_are_read_as_rgb(tmp_path):
    write(tmp_path / "HR" / "a.png", noise(24, 24)[..., 0])
    ((_, low, high),) = pictures(tmp_path, X2)
    assert low.shape == (12, 12, 3) and high.shape == (24, 24, 3)


def test_odd_sides_are_padded_for_the_engine_and_cropped():
    engine = FakeEngine(X2)
    engine.card = type(engine.card)("even", "even", X2, "none", size_multiple=4)
    seen = []
    infer = engine.infer
    engine.infer = lambda tiles: seen.append(tiles.shape) or infer(tiles)
    picture = noise(13, 15)
    np.testing.assert_array_equal(upscale(engine, picture), picture.repeat(2, 0).repeat(2, 1))
    assert seen == [(1, 3, 16, 16)]


def test_rendered_pairs(tmp_path):
    image = pytest.importorskip("PIL.Image", reason="needs Pillow")
    low = np.full((24, 40, 3), 100, np.uint8)
    for name, height, width in [("540", 24, 40), ("720", 32, 54), ("1080", 48, 80)]:
        (tmp_path / "moment").mkdir(exist_ok=True)
        picture = image.fromarray(np.full((height, width, 3), 100, np.uint8))
        picture.save(tmp_path / "moment" / f"{name}.avif", quality=100)
    ((name, got, high),) = pictures(tmp_path, X2)
    assert name == "moment" and high.shape == (48, 80, 3)
    np.testing.assert_allclose(got, low, atol=2)
    with pytest.raises(SourceError, match="54x32 and truth 80x48"):
        list(pictures(tmp_path, X15))
    with pytest.raises(SourceError, match=r"scales 1\.5 and 2, not 3"):
        list(pictures(tmp_path, Fraction(3)))
    (tmp_path / "moment" / "540.avif").write_bytes(b"no image")
    with pytest.raises(SourceError, match="540"):
        list(pictures(tmp_path, X2))
    (tmp_path / "moment" / "540.avif").unlink()
    with pytest.raises(SourceError, match=r"cannot read .*540\.avif: No such file"):
        list(pictures(tmp_path, X2))


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
