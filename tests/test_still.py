"""Still pictures in real files: their kinds, transparency, orientation, profiles, sizes and what is refused."""

import base64
import io
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps, PngImagePlugin

import rtsr
from rtsr.errors import RtsrError, SourceError, UsageError
from rtsr.still import is_still, read_still
from tests.media import make_video

COLOURS = cv2.resize(np.random.default_rng(5).integers(40, 216, (7, 9, 3), np.uint8), (40, 30)).astype(np.uint8)
"""RGB, 40 by 30."""
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def upscaled(source: Path, output: str | None = None, engine: str = "auto", **how) -> rtsr.Report:
    return rtsr.upscale(source, output and source.with_name(output), engine=engine, **({"scale": 1.5} | how))


def pixels(path: Path | str) -> np.ndarray:
    return np.asarray(Image.open(path))


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_a_picture_is_what_the_upscaler_makes_of_it(tmp_path: Path, suffix: str) -> None:
    source = tmp_path / f"a{suffix}"
    Image.fromarray(COLOURS).save(source, lossless=True)
    report = upscaled(source)
    assert report.output == str(tmp_path / f"a_1.5x{suffix}") and report.notes == ()
    assert (report.input_size, report.output_size, report.frames) == ((40, 30), (60, 45), 1)
    assert report.engine.startswith("quicksrnet-small-x1.5-capture")
    assert all(report.stages[stage]["p50"] > 0 for stage in ("decode", "upscale", "encode"))
    with rtsr.Upscaler(1.5) as upscale:
        assert np.array_equal(pixels(report.output), upscale(COLOURS))
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"a{suffix}", f"a_1.5x{suffix}"]


def test_jpeg_keeps_chroma_at_full_size(tmp_path: Path) -> None:
    Image.fromarray(COLOURS).save(tmp_path / "a.jpg", quality=95)
    report = upscaled(tmp_path / "a.jpg", scale=2)
    with Image.open(report.output) as made, rtsr.Upscaler(2) as upscale:
        assert made.format == "JPEG" and made.layer[1][1:3] == (1, 1)  # Sampling factors of the first chroma plane.
        assert np.abs(np.asarray(made).astype(int) - upscale(read_still(tmp_path / "a.jpg").rgb)).mean() < 2


@pytest.mark.parametrize(("wish", "size"), [({"height": 77}, (103, 77)), ({"size": (61, 46)}, (61, 46))])
def test_sizes_may_be_odd(tmp_path: Path, wish: dict, size: tuple[int, int]) -> None:
    Image.fromarray(COLOURS).save(tmp_path / "a.png")
    report = upscaled(tmp_path / "a.png", scale=None, **wish)
    assert report.output_size == size == pixels(report.output).shape[1::-1] and report.notes == ()


def test_other_proportions_are_noted(tmp_path: Path) -> None:
    Image.fromarray(COLOURS).save(tmp_path / "a.png")
    report = upscaled(tmp_path / "a.png", "b.png", scale=None, size=(61, 60))
    assert report.notes == ("61x60 has other proportions than 40x30: the picture is stretched",)
    assert pixels(report.output).shape == (60, 61, 3)


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_transparency_is_upscaled_by_the_bicubic_filter_and_leaves_no_rim(tmp_path: Path, suffix: str) -> None:
    source = np.dstack([np.full((30, 40, 3), (200, 60, 90), np.uint8), np.full((30, 40), 255, np.uint8)])
    source[:, 25:] = 0  # Hidden black.
    source[:, 24, 3] = 100
    Image.fromarray(source).save(tmp_path / f"a{suffix}", lossless=True, exact=True)
    report = upscaled(tmp_path / f"a{suffix}", "b.png", scale=2)
    large = pixels(report.output)
    with rtsr.Upscaler(2, engine="bicubic") as bicubic:
        assert np.array_equal(large[..., 3], bicubic(np.repeat(source[..., 3:], 3, 2))[..., 0])
    assert np.abs(large[8:-8, 8:-8, :3].astype(int) - (200, 60, 90)).max() < 12


def test_jpeg_leaves_transparency_out_and_that_is_noted(tmp_path: Path) -> None:
    Image.fromarray(np.dstack([COLOURS, COLOURS[..., 0]])).save(tmp_path / "a.png")
    report = upscaled(tmp_path / "a.png", "b.jpg")
    assert report.notes == ("transparency was left out; .png and .webp hold it",)
    assert pixels(report.output).shape == (45, 60, 3)


@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_comes_out_upright(tmp_path: Path, kind: str, orientation: int) -> None:
    camera = Image.Exif()
    camera[0x0112], camera[0x010F] = orientation, "Maker"
    source = tmp_path / f"a.{kind}"
    opaque = kind == "jpg"
    image = Image.fromarray(COLOURS if opaque else np.dstack([COLOURS, COLOURS[..., 0]]))
    image.save(source, exif=camera, lossless=True, exact=True, quality=100, subsampling=0)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(source)))
    still = read_still(source)
    found = still.rgb if still.alpha is None else np.dstack([still.rgb, still.alpha])
    assert np.abs(found.astype(int) - upright).max() <= (2 if opaque else 0)
    with Image.open(upscaled(source, engine="bicubic", scale=2).output) as made:
        assert made.size == (2 * upright.shape[1], 2 * upright.shape[0])
        assert (made.getexif()[0x0112], made.getexif()[0x010F]) == (1, "Maker")


@pytest.mark.parametrize("order", [b"II", b"MM"])
def test_camera_data_that_is_cut_off_turns_nothing(tmp_path: Path, order: bytes) -> None:
    camera = order + (b"*\0\x08\0\0\0\xff\xff" if order == b"II" else b"\0*\0\0\0\x08\xff\xff")
    Image.fromarray(COLOURS).save(tmp_path / "a.png", exif=b"Exif\0\0" + camera)
    assert np.array_equal(read_still(tmp_path / "a.png").rgb, COLOURS)


@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
def test_colour_profiles_stay(tmp_path: Path, kind: str) -> None:
    Image.fromarray(COLOURS).save(tmp_path / f"a.{kind}", icc_profile=SRGB)
    with Image.open(upscaled(tmp_path / f"a.{kind}", engine="bicubic").output) as made:
        assert made.info["icc_profile"] == SRGB


def test_a_profile_for_other_colours_is_left_out(tmp_path: Path) -> None:
    for_print = SRGB[:16] + b"CMYK" + SRGB[20:]
    Image.fromarray(COLOURS).convert("CMYK").save(tmp_path / "a.jpg", icc_profile=for_print)
    report = upscaled(tmp_path / "a.jpg", engine="bicubic")
    assert report.notes == ("the colour profile is for other colours and was left out",)
    assert "icc_profile" not in Image.open(report.output).info


def test_grey_stays_grey_and_16_bits_become_8(tmp_path: Path) -> None:
    Image.fromarray(COLOURS[..., 0]).save(tmp_path / "grey.png")
    report = upscaled(tmp_path / "grey.png")
    assert pixels(report.output).shape == (45, 60) and report.notes == ()
    assert abs(pixels(report.output).mean() - COLOURS[..., 0].mean()) < 2
    cv2.imwrite(str(tmp_path / "deep.png"), COLOURS[..., ::-1].astype(np.uint16) * 257 + 100)
    assert np.array_equal(read_still(tmp_path / "deep.png").rgb, COLOURS)
    report = upscaled(tmp_path / "deep.png")
    assert report.notes == ("16 bits a sample became 8",) and pixels(report.output).dtype == np.uint8


def test_kinds_that_are_read_but_not_written_become_png(tmp_path: Path) -> None:
    for kind in ("bmp", "tiff", "gif", "avif", "ppm"):
        Image.fromarray(COLOURS).resize((64, 64)).save(tmp_path / f"{kind}.{kind}")
        assert upscaled(tmp_path / f"{kind}.{kind}", engine="bicubic").output == str(tmp_path / f"{kind}_1.5x.png")


def test_what_is_a_picture(tmp_path: Path) -> None:
    image, other = Image.fromarray(COLOURS), Image.fromarray(COLOURS[::-1])
    for name, is_one in {"a.png": True, "a.jpg": True, "a.webp": True, "one.gif": True}.items():
        image.save(tmp_path / name)
        assert is_still(tmp_path / name) == is_one, name
    for name in ("two.gif", "moving.png"):
        image.save(tmp_path / name, save_all=True, append_images=[other])
        assert not is_still(tmp_path / name)
        assert upscaled(tmp_path / name, engine="bicubic").output == str(tmp_path / f"{name[:-4]}_1.5x.mp4")
    (tmp_path / "a.png").rename(tmp_path / "a.mp4")
    make_video(tmp_path / "v.mp4", frames=1, audio=False).rename(tmp_path / "v.png")
    assert is_still(tmp_path / "a.mp4")
    assert not any(is_still(tmp_path / name) for name in ("v.png", "none.png", "."))


@pytest.mark.parametrize("name", ["two.webp", "two.tiff"])
def test_several_pictures_in_a_still_kind_are_refused(tmp_path: Path, name: str) -> None:
    Image.fromarray(COLOURS).save(tmp_path / name, save_all=True, append_images=[Image.fromarray(COLOURS[::-1])])
    with pytest.raises(SourceError, match="holds several pictures"):
        upscaled(tmp_path / name)


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("share", [0.4, 0.99])
def test_damaged_pictures_leave_nothing(tmp_path: Path, kind: str, share: float, capfd) -> None:
    whole = io.BytesIO()
    Image.fromarray(COLOURS).resize((400, 300)).save(whole, kind)
    (tmp_path / f"a.{kind}").write_bytes(whole.getvalue()[: int(share * len(whole.getvalue()))])
    with pytest.raises(SourceError, match=r"cut off|damaged"):
        upscaled(tmp_path / f"a.{kind}")
    assert capfd.readouterr().err == ""
    assert [path.name for path in tmp_path.iterdir()] == [f"a.{kind}"]


HEIC = (
    "eNpjYGCQSSupLMhIzUxmAILczDRDEDs3MzGNgYExLDe1JJEBAhQzUnKKoGyGgszkEgY0oJSZkw82xMWBgREIgYCxCkIDgRAQK2dm5qWBeSBR"
    "USAnlQnKyyhLNgQx+QoyS3LhSq5lFhQVAOntmQXJ+UC6AqjMmZEZJDQBrEjuA8Ofvz9+MDDwMycAdUg4MPIw/v8PUsAMUsEMQnK7mBwSgZLa"
    "ToyMaDILFBpZp73y1FyXxyTFwwESOgEiOBySgOrZXRgPFm1QcgBaI5ycn1OUl5xTARTmZWBrAAqJZBYXpEL95gDFAgWZFZkgAWYODqBpDOKZ"
    "Bbmw4AOGCEsjEzMLkCmVm5IICj0+Dcb1LBJ/ZK/b/0+JLjwGAB8wRgs="
)
"""A grey picture of 64 by 64, packed, as libheif writes it."""


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"heim", b"heis", b"mif1"])
def test_pictures_of_phones_are_no_videos(tmp_path: Path, brand: bytes) -> None:
    whole = zlib.decompress(base64.b64decode(HEIC))
    (tmp_path / "a.heic").write_bytes(whole[:8] + brand + whole[12:])
    with pytest.raises(SourceError, match="convert it to PNG first"):
        upscaled(tmp_path / "a.heic")
    assert [path.name for path in tmp_path.iterdir()] == ["a.heic"]


def test_texts_and_density_of_png_stay(tmp_path: Path) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Title", "a match")
    texts.add_text("Comment", "long " * 90, zip=True)
    texts.add_itxt("parameters", "größer")
    texts.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta xmlns:x='adobe:ns:meta/'/>")
    Image.fromarray(COLOURS).save(tmp_path / "a.png", pnginfo=texts, dpi=(300, 300))
    report = upscaled(tmp_path / "a.png")
    assert report.notes == ("XMP data was left out",)
    with Image.open(report.output) as made, Image.open(tmp_path / "a.png") as was:
        made.load()
        was.load()
        assert made.text == {key: was.text[key] for key in ("Title", "Comment", "parameters")}
        assert made.info["dpi"] == was.info["dpi"]
    report = upscaled(tmp_path / "a.png", "b.jpg")
    assert report.notes[1] == "left out: texts (Title, Comment, parameters) and the pixels' density; .png holds that"


def test_samples_that_are_no_integers_are_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.tiff"), COLOURS.astype(np.float32))
    with pytest.raises(SourceError, match="samples of float32; convert it to a PNG of 8 bits"):
        upscaled(tmp_path / "a.tiff")


def test_a_file_type_that_is_too_small_says_which_is_not(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((2, 9000, 3), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(RtsrError, match=r"18000x4 does not fit into a \.webp file; name the output \.png"):
        upscaled(tmp_path / "a.png", "a.webp", engine="bicubic", scale=2)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"fps": 60}, "a.png is a picture; leave out what is for videos: fps, deadline or quality"),
        ({"encoding": rtsr.Encoding(crf=20)}, "leave out what is for videos: encoding"),
        ({"reference": "b.png"}, "reference"),
        ({"decode": "gpu"}, "decode"),
        ({"scale": None, "height": 20}, "26x20|27x20"),
        ({"scale": 1.001}, "the same size; choose a larger scale"),
        ({"output": "b.mp4"}, "a.png is a picture; name the output .png, .jpg or .webp, not b.mp4"),
        ({"output": "-"}, "goes into a file"),
    ],
)
def test_what_means_nothing_for_a_picture_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: dict, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(COLOURS).save("a.png")
    with pytest.raises(UsageError, match=says):
        rtsr.upscale("a.png", **({"scale": 2} | how))
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_an_existing_picture_is_kept_unless_overwriting_is_allowed(tmp_path: Path) -> None:
    Image.fromarray(COLOURS).save(tmp_path / "a.png")
    upscaled(tmp_path / "a.png", "b.png", engine="bicubic")
    before = (tmp_path / "b.png").read_bytes()
    with pytest.raises(RtsrError, match=r"b\.png exists already"):
        upscaled(tmp_path / "a.png", "b.png", engine="bicubic", scale=2)
    with pytest.raises(RtsrError, match=r"a\.png is the input itself"):
        upscaled(tmp_path / "a.png", "a.png", overwrite=True)
    assert (tmp_path / "b.png").read_bytes() == before
    upscaled(tmp_path / "a.png", "b.png", engine="bicubic", scale=2, overwrite=True)
    assert pixels(tmp_path / "b.png").shape == (60, 80, 3)
