"""What the README shows can be done."""

import re
import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.command import rtsr
from tests.media import make_video, probe

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
SHOWN = [line for block in re.findall(r"```sh\n(.*?)```", README, re.S) for line in block.splitlines()]


def test_python_snippet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_video(tmp_path / "in.mp4", frames=3)
    (snippet,) = re.findall(r"```python\n(.*?)```", README, re.S)
    names = {"image": np.full((20, 30, 3), 90, np.uint8)}
    exec(snippet.replace("sample/freedoom_360p.mp4", "in.mp4"), names)
    assert probe(tmp_path / "large.mp4").size == (96, 72)
    assert names["large"].shape == (40, 60, 3)


@pytest.mark.parametrize("line", [line for line in SHOWN if re.match("rtsr upscale (in.mp4|screenshot)", line)])
def test_upscale_examples(tmp_path: Path, line: str) -> None:
    make_video(tmp_path / "in.mp4", frames=3, size=(320, 270))
    cv2.imwrite(str(tmp_path / "screenshot.png"), np.full((27, 32, 3), 90, np.uint8))
    done = rtsr(*shlex.split(line, comments=True)[1:], cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("line", [line for line in SHOWN if re.match(r"rtsr (models|presets)", line)])
def test_table_examples(line: str) -> None:
    done = rtsr(*shlex.split(line, comments=True)[1:])
    assert done.returncode == 0 and len(done.stdout.splitlines()) > 5


def test_named_files_exist() -> None:
    root = Path(__file__).parents[1]
    for name in re.findall(r"(?:recipes|sample|docs)/[\w./-]+\w", README.replace("sample/freedoom_360p_1.5x.mp4", "")):
        assert (root / name).exists(), name
    for name in re.findall(r"python -m (benchmarks\.\w+)", README):
        assert (root / (name.replace(".", "/") + ".py")).exists(), name
