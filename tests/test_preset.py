"""Presets are strict: what is not allowed is named together with what is."""

import dataclasses
from fractions import Fraction
from pathlib import Path

import pytest

from rtsr.engine import RESAMPLERS
from rtsr.errors import PresetError
from rtsr.preset import ENGINES, Preset, read_preset
from rtsr.resources import preset_names, preset_path


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, "utf-8")
    return path


def test_what_is_not_set_is_none(tmp_path):
    assert read_preset(write(tmp_path, 'summary = "a"')) == Preset("a")
    unset = [getattr(Preset("a"), entry.name) for entry in dataclasses.fields(Preset)[1:]]
    assert unset == [None] * len(unset)


def test_every_key_is_read(tmp_path):
    text = """
        summary = "a"
        scale = "3/2"
        model = "quicksrnet-small"
        engine = "onnx"
        codec = "libx264"
        crf = 20
        [encoder_options]
        preset = "veryfast"
    """
    assert read_preset(write(tmp_path, text)) == Preset(
        summary="a",
        scale=Fraction(3, 2),
        model="quicksrnet-small",
        engine="onnx",
        codec="libx264",
        crf=20,
        encoder_options={"preset": "veryfast"},
    )
    assert read_preset(write(tmp_path, 'summary = "a"\nheight = 1080')).height == 1080


@pytest.mark.parametrize(
    ("written", "scale"), [("2", 2), ("1.5", "3/2"), ('"3/2"', "3/2"), ('"1.5"', "3/2"), ('"2x"', 2)]
)
def test_scale_is_an_exact_ratio(tmp_path, written, scale):
    assert read_preset(write(tmp_path, f'summary = "a"\nscale = {written}')).scale == Fraction(scale)


def test_unknown_key_is_named_with_all_allowed_ones(tmp_path):
    with pytest.raises(PresetError, match=r"mine\.toml: unknown modle; allowed: ") as caught:
        read_preset(write(tmp_path, 'summary = "a"\nmodle = "quicksrnet-small"'))
    allowed = str(caught.value).split("allowed: ")[1].split(", ")
    assert allowed == [entry.name for entry in dataclasses.fields(Preset)]


@pytest.mark.parametrize(
    ("line", "allowed"),
    [
        ("scale = 0.5", "at most 4, not 0.5"),
        ("scale = 1", "above 1"),
        ("scale = 9", "above 1 and at most 4, not 9"),
        ('scale = "wide"', "at most 4, not 'wide'"),
        ('scale = "3/0"', "at most 4"),
        ("scale = nan", "at most 4"),
        ("scale = true", "at most 4, not True"),
        ("scale = [3, 2]", "at most 4"),
        ("height = 0", "1 or more, not 0"),
        ('height = "1080"', "whole number"),
        ("height = 1080.0", "whole number"),
        ("model = 2", "text, not 2"),
        ('model = " "', "text"),
        ('engine = "cuda"', "one of " + ", ".join(ENGINES)),
        ('engine = ["onnx"]', "one of "),
        ("codec = true", "text"),
        ("crf = 64", "0 to 63, not 64"),
        ("crf = -1", "0 to 63"),
        ("crf = true", "0 to 63"),
        ("crf = 20.5", "0 to 63"),
        ("encoder_options = {threads = 2}", "a table of texts"),
        ('encoder_options = "fast"', "a table of texts"),
    ],
)
def test_wrong_value_is_named_with_the_allowed_ones(tmp_path, line, allowed):
    with pytest.raises(PresetError) as caught:
        read_preset(write(tmp_path, f'summary = "a"\n{line}'))
    key = line.split(" = ")[0]
    assert str(caught.value).startswith(f"preset mine.toml: {key} is ")
    assert allowed in str(caught.value)


@pytest.mark.parametrize("scale", [Fraction(1), Fraction(9, 2)])
def test_scale_is_checked_without_a_file_too(scale):
    with pytest.raises(PresetError, match=f"scale is .* not {scale}"):
        Preset("a", scale=scale)


def test_scale_and_height_exclude_each_other():
    with pytest.raises(PresetError, match="scale and height exclude each other"):
        Preset("a", scale=Fraction(2), height=1080)


def test_summary_is_required(tmp_path):
    with pytest.raises(PresetError, match="summary is missing"):
        read_preset(write(tmp_path, "scale = 2"))
    with pytest.raises(PresetError, match="summary is text, not 3"):
        read_preset(write(tmp_path, "summary = 3"))


def test_unreadable_files_say_why(tmp_path):
    with pytest.raises(PresetError, match=r"cannot read the preset .*none\.toml: No such file"):
        read_preset(tmp_path / "none.toml")
    with pytest.raises(PresetError, match=r"cannot read the preset .*: Is a directory"):
        read_preset(tmp_path)
    with pytest.raises(PresetError, match=r"mine\.toml is not TOML"):
        read_preset(write(tmp_path, "summary = oops"))
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(PresetError, match=r"binary\.toml is not TOML"):
        read_preset(tmp_path / "binary.toml")


def test_a_preset_does_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Preset("a").crf = 3  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("name", preset_names())
def test_shipped_presets_are_valid_and_say_why(name):
    path = preset_path(name)
    assert read_preset(path).encoder_options
    assert path.read_text("utf-8").count("# ") >= 4


def test_shipped_mobile_presets_reach_1080_lines():
    assert {"archive", "battery-saver", "mobile-540p-to-1080p", "mobile-720p-to-1080p"} <= set(preset_names())
    for height in (540, 720):
        scale = read_preset(preset_path(f"mobile-{height}p-to-1080p")).scale
        assert scale is not None and height * scale == 1080


def test_the_engines_are_all_that_there_are() -> None:
    assert ("auto", "onnx", *RESAMPLERS) == ENGINES
