"""Presets are strict: what is not allowed is named together with what is."""

import dataclasses
from fractions import Fraction
from pathlib import Path

import pytest

from rtsr.engine import RESAMPLERS
from rtsr.errors import PresetError
from rtsr.pacing.deadline import Late
from rtsr.preset import ENGINES, Preset, read_preset
from rtsr.resources import folder, preset_names, preset_path


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
        engine = "rtx"
        precision = "int8"
        decode = "gpu"
        fps = 59.94
        late = "repeat"
        live = true
        latency = "0.1s"
        codec = "libx264"
        crf = 20
        [encoder_options]
        preset = "veryfast"
    """
    assert read_preset(write(tmp_path, text)) == Preset(
        summary="a",
        scale=Fraction(3, 2),
        model="quicksrnet-small",
        engine="rtx",
        precision="int8",
        decode="gpu",
        fps=59.94,
        late=Late.REPEAT,
        live=True,
        latency=0.1,
        codec="libx264",
        crf=20,
        encoder_options={"preset": "veryfast"},
    )
    assert read_preset(write(tmp_path, 'summary = "a"\nheight = 1080')).height == 1080
    assert read_preset(write(tmp_path, 'summary = "a"\ndeadline = "20ms"')).deadline == 0.02
    assert read_preset(write(tmp_path, 'summary = "a"\nquality = 0')).quality == 0


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
        ('provider = "gpu"', 'one of auto, cpu, cuda, directml, coreml, openvino, some with a device such as "cuda:1"'),
        ("provider = 1", "one of auto, cpu"),
        ('engine = "cuda"', "one of " + ", ".join(ENGINES)),
        ('engine = ["onnx"]', "one of "),
        ('precision = "fp8"', "one of fp32, fp16, int8, not 'fp8'"),
        ("precision = 16", "one of fp32, fp16, int8, not 16"),
        ('decode = "tpu"', "one of cpu, gpu, not 'tpu'"),
        ("fps = 0", "above 0, at most 1000, not 0"),
        ("fps = true", "a number"),
        ('fps = "60"', "a number"),
        ("deadline = 16.7", "with its unit, such as \"16.7ms\", not '16.7'"),
        ('deadline = "-5ms"', "with its unit"),
        ('deadline = "2h"', "with its unit"),
        ("deadline = nan", "with its unit"),
        ('latency = "0s"', "above 0, at most an hour"),
        ("quality = 1.1", "from 0 to 1, not 1.1"),
        ("quality = -0.1", "from 0 to 1"),
        ("quality = false", "from 0 to 1"),
        ('late = "never"', "one of degrade, repeat, drop, not 'never'"),
        ("late = 1", "one of degrade, repeat, drop"),
        ("live = 1", "true or false"),
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


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ('latency = "100ms"', "latency means nothing without live = true"),
        ('latency = "100ms"\nlive = false', "latency means nothing without live = true"),
        ('late = "drop"', "late means nothing without a deadline"),
        ('late = "drop"\nquality = 0.5', "late means nothing without a deadline"),
        ("quality = 0.5\nlive = true", "quality takes the time that it takes"),
    ],
)
def test_what_means_nothing_is_refused(tmp_path, lines, says):
    with pytest.raises(PresetError, match=says):
        read_preset(write(tmp_path, f'summary = "a"\n{lines}'))


def test_scale_and_height_exclude_each_other():
    with pytest.raises(PresetError, match="scale and height exclude each other"):
        Preset("a", scale=Fraction(2), height=1080)


def test_one_pace_only():
    with pytest.raises(PresetError, match="fps and quality exclude each other; keep one"):
        Preset("a", fps=60, quality=0.5)


@pytest.mark.parametrize("name", preset_names())
def test_shipped_presets_name_networks_that_there_are_or_that_a_recipe_makes(name):
    model = read_preset(preset_path(name)).model
    folders = folder("engines"), folder("recipes")
    made = [path.stem for place in folders for path in place.glob("*.toml")]
    assert {"x1.5", "x2"} <= {stem.removeprefix(f"{model}-").split("-")[0] for stem in made if "-capture" in stem}


def test_shipped_presets_cover_the_uses():
    found = {name: read_preset(preset_path(name)) for name in preset_names()}
    assert {name for name, preset in found.items() if preset.fps or preset.deadline} == {
        "menus-2d",
        "mobile-540p-to-1080p",
        "mobile-720p-to-1080p",
    }
    assert found["live-low-latency"].live and found["live-low-latency"].latency == 0.1
    assert found["battery-saver"].quality is not None
    archive = found["archive"]
    assert (archive.fps, archive.deadline, archive.quality, archive.live) == (None, None, None, None)


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
    assert ("auto", "onnx", "rtx", "tensorrt", *RESAMPLERS) == ENGINES
