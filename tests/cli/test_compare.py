"""`rtsr compare` as it is typed."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from rtsr.quality.datasets import read_picture
from tests.command import assert_one_error_line, rtsr
from tests.media import make_video


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    image = cv2.GaussianBlur(np.random.default_rng(4).integers(0, 256, (96, 120, 3), np.uint8), (0, 0), 1)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    return tmp_path / "a.png"


def test_reduced_pictures_with_the_default_networks(picture: Path) -> None:
    done = rtsr("compare", picture, "--scale", "2", "--reduce", "--crop", "40x30+8+6", "--json")
    assert done.returncode == 0, done.stderr
    (values,) = json.loads(done.stdout)
    assert values["sheet"] == str(picture.with_name("a_compare.png")) and values["crop"] == "40x30+8+6"
    scores = values["psnr_y"]
    assert list(scores) == ["bicubic", "FSR 1.0", "quicksrnet-small-photo", "quicksrnet-small-capture"]
    assert scores["quicksrnet-small-photo"] > scores["bicubic"]
    assert read_picture(Path(values["sheet"])).shape == (2 * (22 + 120) + 4, 3 * 160 + 8, 3)


def test_a_frame_of_a_video(tmp_path: Path) -> None:
    video = make_video(tmp_path / "in.mp4", frames=4)
    done = rtsr(
        "compare",
        video,
        "--scale",
        "1.5",
        "--frame",
        "2",
        "--model",
        "quicksrnet-small",
        "-o",
        "out.webp",
        cwd=tmp_path,
    )
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert done.stdout.startswith("out.webp: 64x48+0+0 of ")
    assert read_picture(tmp_path / "out.webp").shape[2] == 3


@pytest.mark.parametrize(
    ("options", "status", "says"),
    [
        (["--crop", "30x30"], 2, "is not a crop"),
        (["--crop", "300x30+0+0"], 2, "does not lie within"),
        (["--model", "nothing"], 2, "unknown model"),
        (["-o", "sheet.jpg"], 2, ".png or .webp"),
        (["--frame", "1"], 2, "is a picture"),
        (["--start", "1"], 2, "is a picture"),
        (["--start", "soon"], 2, "is no time"),
        (["--truth", "t.png", "--reduce"], 2, "leave out either"),
        (["other.png", "-o", "one.png"], 2, "go with one input"),
        (["--truth", "/nowhere/t.png"], 1, "cannot read"),
    ],
)
def test_one_line_says_what_is_wrong(picture: Path, options: list[str], status: int, says: str) -> None:
    done = rtsr("compare", picture, "--scale", "2", *options, cwd=picture.parent)
    assert_one_error_line(done, status, says)
    assert [path.name for path in picture.parent.iterdir()] == ["a.png"]
