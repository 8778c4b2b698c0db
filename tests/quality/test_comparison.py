"""Crops side by side: what is cut, what is measured, how it is laid out and written."""

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from rtsr.errors import SinkError, SourceError, UsageError
from rtsr.part import as_part
from rtsr.quality.comparison import (
    BAR,
    GAP,
    Crop,
    Input,
    Panel,
    check_sheet,
    compare,
    most_detailed,
    read_input,
    sheet,
    write_sheet,
)
from rtsr.quality.datasets import read_picture
from rtsr.quality.metrics import luma, psnr
from rtsr.upscaler import Upscaler
from tests.media import make_video


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def test_a_crop_is_written_as_geometry() -> None:
    assert Crop.parse("160x120+30+4") == Crop(160, 120, 30, 4)
    assert str(Crop(160, 120, 30, 4)) == "160x120+30+4"
    for wrong in ("160x120", "160x120+3", "0x5+1+1", "-1x5+1+1", "160,120,30,4", ""):
        with pytest.raises(UsageError, match="WxH"):
            Crop.parse(wrong)


def test_panels_show_the_same_place_of_the_whole_pictures() -> None:
    picture, scale = noise(40, 60), Fraction(3, 2)
    crop = Crop(20, 12, 18, 10)
    with Upscaler(scale, engine="bicubic") as bicubic, Upscaler(scale, engine="fsr") as fsr:
        truth = fsr(picture)
        panels = compare(Input(picture), [("bicubic", bicubic), ("fsr", fsr)], crop, scale, truth)
        whole = bicubic(picture)[15:33, 27:57]
    assert [panel.title for panel in panels] == ["input", "bicubic", "fsr", "truth"]
    assert all(panel.picture.shape == (18, 30, 3) for panel in panels)
    assert (panels[1].picture == whole).all()
    assert panels[1].psnr == pytest.approx(psnr(luma(whole), luma(truth[15:33, 27:57])))
    assert panels[2].psnr == float("inf") and panels[0].psnr is None and panels[3].psnr is None
    # At a scale of 3/2 the pixels of the input are repeated, and none is made up.
    assert {*map(tuple, panels[0].picture.reshape(-1, 3))} == {*map(tuple, crop.of(picture).reshape(-1, 3))}


def test_a_crop_outside_and_a_truth_of_another_size_are_refused() -> None:
    picture = noise(40, 60)
    with Upscaler(2, engine="bicubic") as bicubic:
        engines = [("bicubic", bicubic)]
        with pytest.raises(UsageError, match="does not lie within a picture of 60x40"):
            compare(Input(picture), engines, Crop(20, 20, 41, 0), Fraction(2))
        with pytest.raises(UsageError, match="the truth is 60x40, but the upscaled input 120x80"):
            compare(Input(picture), engines, Crop(20, 20, 0, 0), Fraction(2), picture)


def test_the_most_detailed_crop_is_where_the_edges_are() -> None:
    picture = np.full((200, 300, 3), 90, np.uint8)
    picture[:, 200:] += np.linspace(0, 60, 100).astype(np.uint8)[None, :, None]
    picture[60:100:4, 120:180] = 240
    crop = most_detailed(picture, 80, 60)
    assert crop.x <= 122 and crop.x + 80 >= 178 and crop.y <= 60 and crop.y + 60 >= 96
    assert most_detailed(picture[:30, :50]) == Crop(50, 30, 0, 0)


def test_frames_of_a_video_are_upscaled_as_the_video_is(tmp_path: Path) -> None:
    video = make_video(tmp_path / "in.mp4", frames=4, size=(64, 48))
    third, first = read_input(video, 2), read_input(video)
    assert third.frame is not None and (third.picture != first.picture).any()
    with Upscaler(Fraction(3, 2), engine="bicubic") as bicubic:
        (_, panel) = compare(third, [("bicubic", bicubic)], Crop(64, 48, 0, 0), Fraction(3, 2))
        made = bicubic.frame(third.frame, 96, 72)
    assert panel.picture.shape == (72, 96, 3)
    assert np.abs(luma(panel.picture) - made.y).mean() < 12  # BT.601 of RGB beside the video's own luma
    same = read_input(video, 1, as_part(1 / 30)).frame
    assert same is not None and np.array_equal(same.y, third.frame.y)
    with pytest.raises(SourceError, match="ends before frame 9"):
        read_input(video, 9)


def test_a_picture_has_no_frames(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), noise(20, 20))
    with pytest.raises(UsageError, match="is a picture"):
        read_input(tmp_path / "a.png", 3)
    with pytest.raises(UsageError, match="is a picture"):
        read_input(tmp_path / "a.png", part=as_part(1))


def test_turned_inputs_are_shown_upright() -> None:
    picture = noise(40, 60)
    with Upscaler(2, engine="bicubic") as bicubic:
        engines = [("bicubic", bicubic)]
        plain = compare(Input(picture), engines, Crop(20, 10, 0, 0), Fraction(2))
        turned = compare(Input(picture, turns=1), engines, Crop(20, 10, 0, 0), Fraction(2))
    for before, after in zip(plain, turned, strict=True):
        assert (np.rot90(before.picture) == after.picture).all()


@pytest.mark.parametrize(("count", "columns", "rows"), [(3, 3, 1), (5, 3, 2), (6, 3, 2)])
def test_a_sheet_shows_every_pixel(count: int, columns: int, rows: int) -> None:
    panels = [Panel(f"panel {i}", noise(20, 100, i), psnr=None if i else 31.416) for i in range(count)]
    whole = sheet(panels, zoom=2)
    assert whole.shape == (rows * (BAR + 40 + GAP) - GAP, columns * (200 + GAP) - GAP, 3)
    for i, panel in enumerate(panels):
        top, left = i // columns * (BAR + 40 + GAP), i % columns * (200 + GAP)
        shown = whole[top + BAR : top + BAR + 40, left : left + 200]
        assert (shown[::2, ::2] == panel.picture).all() and (shown[1::2, 1::2] == panel.picture).all()
        assert whole[top : top + BAR, left : left + 200].max() > 150  # its title


@pytest.mark.parametrize("kind", [".png", ".webp"])
def test_sheets_are_files_that_read_back(tmp_path: Path, kind: str) -> None:
    picture = cv2.GaussianBlur(noise(60, 80), (0, 0), 4)
    write_sheet(tmp_path / f"a{kind}", picture, quality=101)
    assert (read_picture(tmp_path / f"a{kind}") == picture).all()
    assert [path.name for path in tmp_path.iterdir()] == [f"a{kind}"]


def test_sheets_do_not_replace_files_unasked(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"mine")
    with pytest.raises(SinkError, match="exists already"):
        check_sheet(tmp_path / "a.png", overwrite=False)
    check_sheet(tmp_path / "a.png", overwrite=True)
    with pytest.raises(UsageError, match=r"\.png or \.webp"):
        check_sheet(tmp_path / "a.jpg", overwrite=False)
