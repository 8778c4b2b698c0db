"""What docs/python.md shows can be done, and the package says what it has."""

import re
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
import pytest

import rtsr
from tests.media import make_video, probe

DOCS = (Path(__file__).parents[1] / "docs" / "python.md").read_text("utf-8")
SNIPPETS = re.findall(r"## (.*?)\n.*?```python\n(.*?)```", DOCS, re.S)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    make_video(tmp_path / "in.mp4", frames=15, size=(320, 270))
    cv2.imwrite("screenshot.png", np.full((20, 30, 3), 90, np.uint8))
    return tmp_path


@pytest.mark.parametrize("snippet", [code for _, code in SNIPPETS], ids=[title for title, _ in SNIPPETS])
def test_snippets_run(folder: Path, snippet: str) -> None:
    names: dict[str, object] = {}
    exec(snippet, names)
    if "large" in names and isinstance(names["large"], np.ndarray):
        assert names["large"].shape == (405, 720, 3)
    report = names.get("report")
    if isinstance(report, rtsr.Report):
        assert probe(Path(report.output)).frames == report.frames == (10 if report.stopped else 15)


def test_there_is_a_snippet_for_every_section() -> None:
    assert len(SNIPPETS) == DOCS.count("\n## ") == DOCS.count("```python") >= 6


def test_every_public_name_is_there_and_typed() -> None:
    assert all(getattr(rtsr, name) is not None for name in rtsr.__all__)
    assert set(rtsr.__all__) == set(rtsr._HOMES) and sorted(rtsr.__all__) == list(rtsr.__all__)
    assert files("rtsr").joinpath("py.typed").is_file()
