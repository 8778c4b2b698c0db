"""A preset from Python fills in what is not said, as on the command line."""

from pathlib import Path

import pytest

import rtsr
from rtsr.errors import PresetError, UsageError
from rtsr.preset import read_preset
from rtsr.resources import preset_names, preset_path
from tests.media import make_video, probe

ARCHIVE = """
summary = "all in, no hurry"
scale = 2
engine = "bicubic"
codec = "ffv1"
[encoder_options]
slices = "4"
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_video(tmp_path / "in.mkv", frames=4, audio=False)


@pytest.fixture
def preset(tmp_path: Path) -> Path:
    (tmp_path / "mine.toml").write_text(ARCHIVE)
    return tmp_path / "mine.toml"


@pytest.mark.parametrize("kind", [str, Path, read_preset])
def test_a_preset_says_what_is_not_said(source: Path, preset: Path, kind: type) -> None:
    report = rtsr.upscale(source, preset=kind(preset))
    found = probe(Path(report.output))
    assert found.size == (128, 96) and found.video_codec == "ffv1"
    assert report.encoder["options"] == {"slices": "4"} and report.asked["preset"]


def test_what_is_said_goes_first(source: Path, preset: Path) -> None:
    report = rtsr.upscale(source, preset=preset, scale=1.5, encoding=rtsr.Encoding("libx264", crf=30))
    found = probe(Path(report.output))
    assert found.size == (96, 72) and found.video_codec == "h264" and report.encoder["options"] == {"crf": "30"}
    left = "the preset's crf and encoder options are left out: they are not meant for libx264"
    assert report.notes[0] == left


@pytest.mark.parametrize("name", preset_names())
def test_what_ships_is_taken_by_name(source: Path, name: str) -> None:
    if read_preset(preset_path(name)).live:
        with pytest.raises(UsageError, match="is a file; add --realtime"):
            rtsr.upscale(source, preset=name, scale=1.5)
        return
    report = rtsr.upscale(source, preset=name, scale=1.5, engine="bicubic")
    assert report.frames == 4 and report.asked["preset"] == name
    assert any(note.startswith("the preset's ") for note in report.notes)


def test_a_picture_gets_what_is_meant_for_it(tmp_path: Path, shared: Path) -> None:
    picture = next((shared / "data" / "benchmarks" / "Set5").rglob("*.png"))
    report = rtsr.upscale(picture, tmp_path / "out.png", preset="archive", scale=2, engine="bicubic")
    assert report.notes[0].startswith("left out of the preset, as it is for videos: ")


def test_wrong_presets_are_said_to_be(source: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown preset 'nosuch'; known: "):
        rtsr.upscale(source, preset="nosuch")
    with pytest.raises(UsageError, match="a preset is a path, as text or"):
        rtsr.upscale(source, preset=5)  # type: ignore[arg-type]
    (tmp_path / "broken.toml").write_text('summary = "a"\nscle = 2\n')
    with pytest.raises(PresetError, match="unknown scle"):
        rtsr.upscale(source, preset=tmp_path / "broken.toml")
    with pytest.raises(UsageError, match="say how far"):
        rtsr.upscale(source)
