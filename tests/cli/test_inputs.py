"""`rtsr upscale` with several inputs, folders and reports, as a person runs it."""

import json
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.command import assert_one_error_line, rtsr
from tests.media import make_video, probe

FAST = ("--scale", "2", "--engine", "bicubic")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two videos and a picture."""
    make_video(tmp_path / "a.mp4", frames=3)
    shutil.copy(tmp_path / "a.mp4", tmp_path / "b.mp4")
    cv2.imwrite(str(tmp_path / "c.png"), np.full((30, 40, 3), 90, np.uint8))
    return tmp_path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_one_after_another_each_with_its_summary(folder: Path) -> None:
    done = rtsr("upscale", "a.mp4", "b.mp4", "c.png", *FAST, cwd=folder)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == ["a_2x.mp4", "b_2x.mp4", "c_2x.png"]
    assert probe(folder / "b_2x.mp4").frames == 3


@pytest.mark.parametrize("exists", [True, False])
def test_a_folder_for_outputs_and_one_for_reports(folder: Path, exists: bool) -> None:
    where = "large" if exists else "new/large/"
    (folder / "large").mkdir(exist_ok=True)
    done = rtsr("upscale", "a.mp4", "c.png", *FAST, "-o", where, "--report", "new/reports/", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert names(folder / where) == ["a_2x.mp4", "c_2x.png"]
    assert names(folder / "new/reports") == ["a_2x.mp4.json", "c_2x.png.json"]
    report = json.loads((folder / "new/reports/a_2x.mp4.json").read_text("utf-8"))
    assert report["output"] == str(Path(where) / "a_2x.mp4") and report["frames"] == 3


def test_one_input_goes_into_a_folder_too(folder: Path) -> None:
    done = rtsr("upscale", "a.mp4", *FAST, "-o", "new/", "--report", "new/", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert names(folder / "new") == ["a_2x.mp4", "a_2x.mp4.json"]


def test_an_error_of_one_does_not_keep_the_others(folder: Path) -> None:
    (folder / "bad.mp4").write_text("no video")
    (folder / "more").mkdir()
    done = rtsr("upscale", "bad.mp4", "more", "a.mp4", *FAST, "-o", "out/", "--report", "out/", "--json", cwd=folder)
    assert done.returncode == 1
    bad, more = done.stderr.splitlines()
    assert bad.startswith("error: bad.mp4 ") and more.startswith("error: more is a folder; name what is in it: rtsr")
    entries = json.loads(done.stdout)
    assert [entry["source"] for entry in entries] == ["bad.mp4", "more", "a.mp4"]
    assert entries[0]["error"].startswith("bad.mp4 ") and entries[2]["frames"] == 3
    assert names(folder / "out") == ["a_2x.mp4", "a_2x.mp4.json"]


def test_the_worst_status_is_the_ends(folder: Path) -> None:
    (folder / "empty.mp4").touch()
    make_video(folder / "tall.mp4", frames=2, size=(48, 96), audio=False)
    done = rtsr("upscale", "tall.mp4", "empty.mp4", "a.mp4", "--height", "96", "--engine", "bicubic", cwd=folder)
    assert done.returncode == 2 and (folder / "a_96p.mp4").exists()
    wrong, empty = done.stderr.splitlines()
    assert wrong.startswith("error: tall.mp4: 48x96 is 1 times the input's 48x96") and "empty.mp4 is empty" in empty


def test_what_is_there_is_skipped_and_said_to_be(folder: Path) -> None:
    (folder / "a_2x.mp4").write_text("precious")
    everything = ("a.mp4", "a_2x.mp4", "b.mp4")
    done = rtsr("upscale", *everything, *FAST, "--skip-existing", cwd=folder)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    first, second, third = done.stdout.splitlines()
    assert first == "a_2x.mp4: exists already; a.mp4 was skipped"
    assert second == "a_2x.mp4: skipped, as a.mp4 becomes it" and third.startswith("b_2x.mp4: 3 frames")
    assert (folder / "a_2x.mp4").read_text() == "precious" and not (folder / "a_2x_2x.mp4").exists()
    done = rtsr("upscale", "b.mp4", *FAST, "-o", "b_2x.mp4", "--skip-existing", "--json", cwd=folder)
    assert done.returncode == 0 and "exists already" in json.loads(done.stdout)["skipped"]
    assert_one_error_line(rtsr("upscale", "b.mp4", *FAST, cwd=folder), 1, "exists already")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["a.mp4", "sub/a.mp4", "-o", "new/"], "a.mp4 and sub/a.mp4 would both become new/a_2x.mp4"),
        (["a.mp4", "./a.mp4"], "a.mp4 and a.mp4 would both become a_2x.mp4"),
        (["a.mp4", "sub/a.mp4", "--report", "new/"], "would both have their report in new/a_2x.mp4.json"),
        (["a.mp4", "a_2x.mp4", "--overwrite"], "a_2x.mp4 is an input, and what a.mp4 becomes"),
        (["a.mp4", "b.mp4", "-o", "out.mp4"], "2 inputs do not fit into out.mp4; name a folder: -o out.mp4/"),
        (["a.mp4", "b.mp4", "-o", "-"], "2 inputs do not fit"),
        (["a.mp4", "b.mp4", "--report", "all.json"], "name a folder for them: --report all/"),
        (["a.mp4", "udp://127.0.0.1:5000", "-o", "new/", "--live"], "a live input goes alone"),
        (["a.mp4", "b.mp4", "--live", "--realtime"], "a live input goes alone"),
        (["a.mp4", "c.png", "--crf", "20"], "c.png is a picture; leave out what is for videos: --crf"),
        (["a.mp4", "b.mp4", "--skip-existing", "--overwrite"], "leave out one"),
        (["a.mp4", "-o", "-", "--json"], "standard output gets the video"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_done(folder: Path, arguments: list[str], says: str) -> None:
    (folder / "sub").mkdir()
    shutil.copy(folder / "a.mp4", folder / "sub/a.mp4")
    shutil.copy(folder / "a.mp4", folder / "a_2x.mp4")
    before = names(folder), (folder / "a_2x.mp4").stat().st_mtime_ns
    assert_one_error_line(rtsr("upscale", *arguments, *FAST, cwd=folder), 2, says)
    assert (names(folder), (folder / "a_2x.mp4").stat().st_mtime_ns) == before and names(folder / "sub") == ["a.mp4"]


def test_a_file_is_no_folder(folder: Path) -> None:
    assert_one_error_line(rtsr("upscale", "a.mp4", *FAST, "-o", "b.mp4/", cwd=folder), 1, "b.mp4 is a file")


def test_ctrl_c_ends_all(folder: Path) -> None:
    make_video(folder / "long.mp4", frames=600, size=(320, 240))
    command = [sys.executable, "-c", "from rtsr.cli import main; main()", "upscale", "long.mp4", "a.mp4", "b.mp4"]
    # A shell that runs tests in the background lets its children ignore SIGINT.
    usual = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    command += ["--scale", "2", "--json"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=folder, preexec_fn=usual) as running:
        while not any(path.stat().st_size > 50_000 for path in folder.glob(".long_2x.*.mp4")):
            assert running.poll() is None
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        output, errors = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "long_2x.partial.mp4" in errors and "2 more were not begun; to go on, add --skip-existing" in errors
    (entry,) = json.loads(output)
    assert entry["stopped"] and entry["frames"] == probe(folder / "long_2x.partial.mp4").frames
    assert not (folder / "a_2x.mp4").exists()


def test_the_report_says_what_was_asked_for_and_what_ran(folder: Path) -> None:
    done = rtsr("upscale", "a.mp4", "--scale", "1.5", "--preset", "archive", "--threads", "1", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    asked = {key: value for key, value in report["asked"].items() if value is not None}
    assert asked == {"scale": "3/2", "engine": "auto", "model": "quicksrnet-medium", "decode": "cpu", "threads": 1,
                     "preset": "archive"}  # fmt: skip
    assert report["model"] == "quicksrnet-medium-x1.5-capture" and report["provider"] == "ONNX Runtime, CPU"
    assert report["reason"] and report["reason"] in report["engine"]
    assert report["encoder"] == {"codec": "libx264", "options": {"crf": "14", "preset": "slow"}}
    assert (report["input_codec"], report["input_rate"]) == ("h264", 30.0)
    version = rtsr("--version").stdout.split()[1]
    assert report["version"] == version


def test_so_does_the_report_on_a_picture_and_on_a_pace(folder: Path) -> None:
    report = json.loads(rtsr("upscale", "c.png", *FAST, "--json", cwd=folder).stdout)
    assert report["model"].startswith("bicubic") and report["provider"] == "no network" and report["encoder"] is None
    wish = ("--scale", "2", "--fps", "2", "--late", "drop", "--json", "--quiet")
    report = json.loads(rtsr("upscale", "a.mp4", *wish, cwd=folder).stdout)
    assert report["model"].startswith("enaf-") and report["asked"]["deadline_ms"] == 500
    assert report["asked"]["late"] == "drop"
