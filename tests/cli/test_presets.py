"""`rtsr presets`."""

import json

import pytest

from rtsr import cli
from rtsr.resources import preset_names, preset_path


def run(*arguments: str) -> int | str | None:
    """Exit status of the command line."""
    with pytest.raises(SystemExit) as caught:
        cli.main(list(arguments))
    return caught.value.code


def test_table_lists_every_preset(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert run("presets") == 0
    shown = capsys.readouterr().out
    assert [name for name in preset_names() if name not in shown] == []
    assert all(word in shown for word in ("quicksrnet-medium", "x1.5", "60 fps", "16.7 ms", "live", "20%"))


def test_json_holds_every_field(capsys):
    assert run("presets", "--json") == 0
    found = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert list(found) == preset_names()
    mobile = found["mobile-720p-to-1080p"]
    assert (mobile["scale"], mobile["crf"], mobile["encoder_options"]) == ("3/2", 20, {"preset": "veryfast"})
    assert (mobile["fps"], mobile["late"]) == (60, "degrade")
    assert mobile["height"] is None and found["archive"]["scale"] is None


def test_show_prints_the_file(capsys, tmp_path):
    assert run("presets", "show", "archive") == 0
    assert capsys.readouterr().out == preset_path("archive").read_text("utf-8")
    mine = tmp_path / "mine.toml"
    mine.write_text('summary = "größer"\n', "utf-8")
    assert run("presets", "show", str(mine)) == 0
    assert capsys.readouterr().out == 'summary = "größer"\n'


def test_show_without_a_name_lists_them(capsys):
    assert run("presets", "show") == 2
    shown = capsys.readouterr().err
    assert shown.startswith("error: name a preset: archive, ") and shown.count("\n") == 1
    assert [name for name in preset_names() if name not in shown] == []


def test_unknown_name_exits_with_2(capsys):
    assert run("presets", "show", "archives") == 2
    assert capsys.readouterr().err.startswith("error: unknown preset 'archives'; known: archive, ")


def test_damaged_preset_exits_with_1(capsys, tmp_path):
    (tmp_path / "bad.toml").write_text("summary = 3")
    assert run("presets", "show", str(tmp_path / "bad.toml")) == 1
    assert capsys.readouterr().err == "error: preset bad.toml: summary is text, not 3\n"


def test_json_is_refused_where_it_means_nothing(capsys):
    assert run("presets", "--json", "show", "archive") == 2
    assert "--json belongs to the table" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [("presets", "--help"), ("presets", "show", "--help")])
def test_help_has_an_example(capsys, arguments):
    assert run(*arguments) == 0
    assert "rtsr presets show archive" in capsys.readouterr().out
