"""`rtsr engines`."""

import json
import re

import pytest

from rtsr import cli
from rtsr.nvidia.planfile import entries

SMALL = "quicksrnet-small-x2-capture"
STAGED = "enaf-quicksrnet-medium-x2-capture"


@pytest.fixture
def engines(cache, capsys):
    """Run `rtsr engines` with an empty cache: exit status, what it printed, and its error."""

    def run(*arguments: str) -> tuple[object, str, str]:
        with pytest.raises(SystemExit) as caught:
            cli.main(["engines", *arguments])
        return (caught.value.code, *capsys.readouterr())

    return run


def test_build_ahead_list_check_and_clean(rtx, engines, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    wish = (
        "build",
        SMALL,
        "--capability",
        "8.9",
        "--capability",
        "12.0",
        "--size",
        "640x360",
        "--size",
        "600x300",
        "--colour",
        "rgb",
    )
    status, shown, error = engines(*wish)
    assert (status, error) == (0, "")
    assert [line.split(", ")[0] for line in shown.splitlines()] == [
        f"{SMALL} fp16 for 8.9",
        f"{SMALL} fp16 for 12.0",
    ]
    assert shown.count("built in") == 2
    assert engines(*wish)[1].count("already there") == 2
    assert engines(*wish, "--rebuild")[1].count("built in") == 2
    status, shown, _ = engines("list")
    assert status == 0 and shown.count(SMALL) == 2 and "640x360" in shown and f"rtx {rtx.version}" in shown
    assert "2 engines, " in shown
    status, shown, _ = engines("check")
    assert status == 0 and shown.count(f"{SMALL} fp16 up to 640x360 for ") == 2 and "nothing speaks against it" in shown
    assert engines("clean", "--stale")[1].startswith("0 files removed")
    assert engines("clean")[1].startswith("2 files removed")
    assert engines("list")[1].startswith("No engine in ") and engines("check")[1] == "No engine to check.\n"


def test_a_network_with_exits_is_built_in_all_its_parts(rtx, engines):
    status, shown, _ = engines(
        "build", STAGED, "--capability", "8.6", "--size", "640x360", "--precision", "fp32", "--json"
    )
    (built,) = json.loads(shown)
    assert status == 0 and built["engines"] == built["built"] == 12 and built["seconds"] > 0
    made = [(entry.header.name, entry.header.facts.colour) for entry in entries() if entry.header]
    names = {name for name, colour in made if not colour}
    assert {f"{STAGED}/{part}" for part in ("stage1", "head2", "exit3", "estimator")} <= names and len(names) == 10
    whole = f"{STAGED}/exit3"  # What a run takes for frames of video where all of them go through all of it.
    assert {entry for entry in made if entry[1]} == {(whole, "bt601 limited left"), (whole, "bt709 limited left")}
    listed = json.loads(engines("list", "--json")[1])
    assert len(listed["engines"]) == 12 and listed["engines"][0]["facts"]["capability"] == "8.6"


def test_pictures_and_the_usual_videos_unless_said_otherwise(rtx, engines):
    (built,) = json.loads(engines("build", SMALL, "--capability", "8.9", "--size", "640x360", "--json")[1])
    assert built["engines"] == built["built"] == 3
    forms = {entry.header.facts.colour for entry in entries() if entry.header}
    assert forms == {"", "bt709 limited left", "bt601 limited left"}
    engines("build", SMALL, "--capability", "8.9", "--size", "640x360", "--colour", "bt2020:full:centre")
    engines("build", SMALL, "--capability", "8.9", "--size", "640x360", "--colour", "bt709:nv12")
    assert "bt709 limited left nv12" in {entry.header.facts.colour for entry in entries() if entry.header}
    assert "bt2020 full centre" in {entry.header.facts.colour for entry in entries() if entry.header}


def test_an_architecture_means_all_its_networks(rtx, engines):
    shown = engines("build", "quicksrnet-small", "--capability", "8.9", "--size", "640x360", "--colour", "rgb")[1]
    assert [line.split()[0] for line in shown.splitlines()] == [f"quicksrnet-small-x{x}-capture" for x in ("1.5", "2")]


def test_a_stale_engine_is_said_in_one_line_and_built_again(rtx, engines):
    engines("build", SMALL, "--capability", "8.9", "--size", "640x360", "--colour", "rgb")
    (entry,) = entries()
    assert re.search(r"\n1 engine[ ,]", engines("list")[1])
    entry.path.write_bytes(entry.path.read_bytes()[:-1])
    (line,) = engines("check")[1].splitlines()
    assert line.endswith(": stale: it is cut off; the next run builds it again")
    (told,) = json.loads(engines("check", "--json")[1])
    assert (told["state"], told["reason"]) == ("stale", "it is cut off")
    assert json.loads(engines("clean", "--stale", "--json")[1])["files"] == 1
    assert "built in" in engines("build", SMALL, "--capability", "8.9", "--size", "640x360", "--colour", "rgb")[1]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("unknown", "--capability", "8.9"), 2, "unknown model 'unknown'; known: "),
        ((SMALL, "--capability", "9.0"), 1, "does not support GPUs of compute capability 9.0; it supports 7.5"),
        ((SMALL, "--capability", "ada"), 2, "a compute capability is two numbers, e.g. 8.9, not 'ada'"),
        ((SMALL, "--capability", "8.9", "--size", "big"), 2, "'big' is not a size; write it as 1920x1080"),
        ((SMALL, "--capability", "8.9", "--size", "9000x9000"), 2, "sides of 16 to 8192 pixels, not 9000x9000"),
        ((SMALL, "--capability", "8.9", "--precision", "fp8"), 2, "unknown precision 'fp8'; known: fp32, fp16, int8"),
        ((SMALL, "--capability", "8.9", "--colour", "pal"), 2, "'pal' is no colour; write rgb, or one of bt709, bt601"),
        ((SMALL, "--capability", "8.9", "--size", "8x8"), 2, "not 8x8; for other frames use --engine onnx"),
        ((SMALL, "--capability", "8.9", "--colour", "bt709:full:limited"), 2, "'bt709:full:limited' is no colour"),
        ((SMALL, "--engine", "cuda"), 2, "unknown library 'cuda'; known: rtx, tensorrt"),
    ],
)
def test_bad_wishes(rtx, engines, arguments, status, said):
    got, shown, error = engines("build", *arguments)
    assert (got, shown) == (status, "") and error.startswith("error: ") and said in error and error.count("\n") == 1


def test_without_a_gpu_the_capability_must_be_said(rtx, engines, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    status, _, error = engines("build", SMALL)
    assert status == 1 and error.endswith(", or say which GPUs to build for, e.g. --capability 8.9\n")
    assert error.count("\n") == 1 and "--engine onnx" not in error


def test_a_cache_that_cannot_be_written_is_an_error(rtx, engines, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("RTSR_CACHE", str(tmp_path / "file"))
    status, _, error = engines("build", SMALL, "--capability", "8.9", "--size", "640x360", "--colour", "rgb")
    assert status == 1 and "engines cannot be kept in" in error and "set RTSR_CACHE" in error


def test_list_check_and_clean_need_no_library(engines):
    for command in ("list", "check", "clean"):
        assert engines(command)[0] == 0
