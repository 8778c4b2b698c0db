"""`rtsr train` from pictures to a shipped network, resumed half-way, and `rtsr export` from its checkpoint."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rtsr.card import check_hash, read_card
from rtsr.quality.imresize import imresize
from tests.command import assert_one_error_line, rtsr

RECIPE = """
arch = "quicksrnet-small"
scale = "3/2"
flavour = "photo"
photos = ["photos"]
validation = "benchmarks/Set5"
steps = 6
batch = 2
patch = 16
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    random = np.random.default_rng(9)
    for folder in ("photos", "benchmarks/Set5/HR"):
        (tmp_path / "data" / folder).mkdir(parents=True)
        for i in range(2):
            picture = imresize(random.integers(0, 256, (8, 9, 3), np.uint8), 60, 72)
            Image.fromarray(picture).save(tmp_path / "data" / folder / f"{i}.png")
    (tmp_path / "tiny.toml").write_text(RECIPE)
    return tmp_path / "data"


def test_trains_resumes_exports_and_scores(data: Path, tmp_path: Path) -> None:
    wish = ("train", "--config", "tiny.toml", "--data", data, "--folder", "engines", "--threads", "1")
    stopped = rtsr(*wish, "--minutes", "1e-9", cwd=tmp_path)
    assert stopped.returncode == 0, stopped.stderr
    assert "step 1/6" in stopped.stderr and "stopped" in stopped.stdout
    assert not (tmp_path / "engines").exists()
    done = rtsr(*wish, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "resumed at step 1" in done.stderr and "step 6/6" in done.stderr and "Set5" in done.stdout
    card = read_card(tmp_path / "engines" / "tiny.toml")
    check_hash(card, tmp_path / "engines" / "tiny.onnx")
    again = rtsr(*wish, cwd=tmp_path)
    assert again.returncode == 0 and "last step already" in again.stderr
    assert card.quality["Set5"].images == 2 and card.parameters == 22_875
    assert card.training.startswith("rtsr train --config tiny.toml --data DIR; 6 steps")


def test_a_folder_without_the_images_is_named(data: Path, tmp_path: Path) -> None:
    wish = ("train", "--config", "tiny.toml", "--data")
    assert_one_error_line(rtsr(*wish, tmp_path / "nowhere", cwd=tmp_path), 1, "nowhere")
    done = rtsr(*wish, data / "photos", cwd=tmp_path)
    assert done.returncode == 1 and "no pictures in" in done.stderr


@pytest.mark.parametrize(
    ("wish", "says"),
    [(("--device", "tpu"), "unknown device"), (("--device", "cpu", "--precision", "tf32"), "needs CUDA")],
)
def test_hardware_that_cannot_be_used_is_named(data: Path, tmp_path: Path, wish: tuple[str, ...], says: str) -> None:
    done = rtsr("train", "--config", "tiny.toml", "--data", data, *wish, cwd=tmp_path)
    assert_one_error_line(done, 2, says)


def test_an_objective_that_does_not_suit_the_network_is_named(data: Path, tmp_path: Path) -> None:
    (tmp_path / "wrong.toml").write_text(RECIPE + 'objective = "exits"\n')
    done = rtsr("train", "--config", "wrong.toml", "--data", data, cwd=tmp_path)
    assert_one_error_line(done, 1, "needs a network with several exits")


def test_export_of_a_damaged_checkpoint(tmp_path: Path, data: Path) -> None:
    (tmp_path / "bad.pt").write_bytes(b"nothing")
    assert_one_error_line(rtsr("export", "bad.pt", "--recipe", "tiny.toml", cwd=tmp_path), 1, "checkpoint")
