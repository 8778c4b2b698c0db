"""`rtsr filters install`: scripts go to where their hosts look, and nothing of the user's is lost."""

from pathlib import Path

import pytest

from rtsr.hosts import SCRIPTS, host_folder
from rtsr.resources import folder
from tests.command import assert_one_error_line, rtsr


@pytest.mark.parametrize(
    ("host", "environment", "platform", "expected"),
    [
        ("mpv", {"MPV_HOME": "/m", "XDG_CONFIG_HOME": "/x"}, "linux", Path("/m")),
        ("mpv", {"XDG_CONFIG_HOME": "/x"}, "linux", Path("/x/mpv")),
        ("vapoursynth", {"XDG_CONFIG_HOME": "/x", "MPV_HOME": "/m"}, "linux", Path("/x/vapoursynth")),
        ("mpv", {}, "darwin", Path.home() / ".config/mpv"),
        ("vapoursynth", {"APPDATA": "/a"}, "win32", Path("/a/vapoursynth")),
    ],
)
def test_where_hosts_look(host: str, environment: dict[str, str], platform: str, expected: Path) -> None:
    assert host_folder(host, environment, platform) == expected


def test_scripts_are_short_and_all_installed() -> None:
    scripts = sorted(path.name for path in folder("filters").glob("*.vpy"))
    assert scripts == sorted(SCRIPTS)
    assert all(len((folder("filters") / name).read_text().splitlines()) < 150 for name in scripts)


def test_install_copies_and_repeats_but_never_replaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("MPV_HOME", raising=False)
    for _ in range(2):
        done = rtsr("filters", "install")
        assert done.returncode == 0, done.stderr
        for name, host in SCRIPTS.items():
            assert (tmp_path / host / name).read_bytes() == (folder("filters") / name).read_bytes()
            assert str(tmp_path / host / name) in done.stdout
    (tmp_path / "mpv" / "mpv.vpy").write_text("mine")
    (tmp_path / "vapoursynth" / "upscale.vpy").unlink()
    assert_one_error_line(rtsr("filters", "install"), 1, "--overwrite")
    assert (tmp_path / "mpv" / "mpv.vpy").read_text() == "mine"
    assert not (tmp_path / "vapoursynth" / "upscale.vpy").exists()
    assert rtsr("filters", "install", "--overwrite").returncode == 0
    assert (tmp_path / "mpv" / "mpv.vpy").read_text() != "mine"


def test_install_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder_name in ("file", "file/deeper"):
        done = rtsr("filters", "install", "--mpv", tmp_path / folder_name, "--vapoursynth", tmp_path)
        assert_one_error_line(done, 1, "file is a file, not a folder; name another with --mpv")
        done = rtsr("filters", "install", "--mpv", tmp_path, "--vapoursynth", tmp_path / folder_name)
        assert_one_error_line(done, 1, "file is a file, not a folder; name another with --vapoursynth")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
