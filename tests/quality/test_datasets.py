"""Layouts of folders with pictures to measure on."""

from fractions import Fraction

import cv2
import numpy as np
import pytest

from rtsr.engine.resample import bicubic
from rtsr.errors import SourceError
from rtsr.quality.datasets import find_pairs, pictures
from rtsr.quality.evaluate import evaluate
from rtsr.quality.imresize import imresize

X2, X15 = Fraction(2), Fraction(3, 2)


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


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


def test_a_plain_folder_holds_truths(tmp_path):
    for name in ("b.png", "a.bmp", "c.TIFF"):
        write(tmp_path / name, noise(25, 38, ord(name[0])))
    (tmp_path / "manifest.csv").write_text("name")
    (tmp_path / "more").mkdir()
    found = list(pictures(tmp_path, X2))
    assert [name for name, _, _ in found] == ["a", "b", "c"]
    for name, low, high in found:
        np.testing.assert_array_equal(high, noise(25, 38, ord(name))[:24, :, ::-1])
        np.testing.assert_array_equal(low, imresize(high, 12, 19))
    assert [pair.name for pair in find_pairs(tmp_path, X2, ("b", "c"))] == ["b", "c"]


def test_a_plain_folder_of_avif(tmp_path):
    image = pytest.importorskip("PIL.Image", reason="needs Pillow")
    image.fromarray(np.full((24, 36, 3), 100, np.uint8)).save(tmp_path / "a.avif", quality=100)
    ((name, low, high),) = pictures(tmp_path, X15)
    assert (name, low.shape, high.shape) == ("a", (16, 24, 3), (24, 36, 3))


def test_a_folder_without_pictures(tmp_path):
    (tmp_path / "manifest.csv").write_text("name")
    with pytest.raises(SourceError, match=r"neither HR/NAME\.png nor NAME/1080\.avif nor pictures"):
        find_pairs(tmp_path, X2)


def test_damaged_pictures_in_a_plain_folder(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no image")
    with pytest.raises(SourceError, match=r"a\.jpg is not an image, or damaged"):
        list(pictures(tmp_path, X2))
    (tmp_path / "a.jpg").unlink()
    write(tmp_path / "a.png", noise(1, 30))
    with pytest.raises(SourceError, match="a is too small for a scale of 2"):
        list(pictures(tmp_path, X2))


def test_large_pictures_beside_the_repository(shared):
    large, game = (find_pairs(shared / "data" / name, Fraction(4)) for name in ("large", "eval_game"))
    assert len(large) == 1 and len(game) == 2
    low, high = large[0].read(Fraction(4))
    assert max(high.shape) == 2048 and low.shape == (high.shape[0] // 4, high.shape[1] // 4, 3)


def test_names_that_differ_by_their_type_are_whole(tmp_path):
    for name in ("a.png", "a.jpg", "b.png"):
        write(tmp_path / name, noise(24, 24))
    assert [pair.name for pair in find_pairs(tmp_path, X2)] == ["a.jpg", "a.png", "b"]


@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_picture_that_is_cut_off_gets_an_error_and_no_line_of_opencvs(tmp_path, capfd, kind, share):
    write(tmp_path / f"a.{kind}", noise(64, 64))
    whole = (tmp_path / f"a.{kind}").read_bytes()
    (tmp_path / f"a.{kind}").write_bytes(whole[: int(share * len(whole))])
    try:
        list(pictures(tmp_path, X2))
    except SourceError as error:
        assert f"a.{kind}" in str(error)
    else:
        assert kind == "jpg" and share > 0  # libjpeg fills up what is missing.
    assert capfd.readouterr() == ("", "")
