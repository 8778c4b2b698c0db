"""Runs of `rtsr upscale` that are ended from outside."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.media import make_video, probe

QUICKLY = ("--encoder-option", "preset=ultrafast", "--crf", "8")
"""Much is written soon."""


@pytest.mark.parametrize("with_signal", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("times", [1, 4])
def test_a_stopped_run_says_where_its_part_is(tmp_path: Path, with_signal: signal.Signals, times: int) -> None:
    source = make_video(tmp_path / "in.mp4", frames=600, size=(320, 240))
    wish = [str(source), "--scale", "2", "--report", str(tmp_path / "a.json"), *QUICKLY]
    command = [sys.executable, "-c", "from rtsr.cli import main; main()", "upscale", *wish]
    # What runs tests in the background may let its children ignore signals.
    as_usual = {"preexec_fn": lambda: signal.signal(with_signal, signal.SIG_DFL)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **as_usual) as running:
        while not any(path.stat().st_size > 50_000 for path in tmp_path.glob(".in_2x.*.mp4")):
            assert running.poll() is None
            time.sleep(0.05)
        for _ in range(times):
            running.send_signal(with_signal)
            time.sleep(0.2)
        _, errors = running.communicate(timeout=60)
    assert running.returncode == 130
    at_once, *more, at_last = errors.splitlines()
    assert not more and at_once.startswith("stopping; ") and at_last.endswith("in_2x.partial.mp4")
    assert 0 < probe(tmp_path / "in_2x.partial.mp4").frames < 600
    report = json.loads((tmp_path / "a.json").read_text("utf-8"))
    assert report["stopped"] and report["frames"] == probe(tmp_path / "in_2x.partial.mp4").frames
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "in.mp4", "in_2x.partial.mp4"]


@pytest.mark.skipif(sys.platform == "win32", reason="a terminal that goes away is a signal elsewhere only")
@pytest.mark.parametrize("nohup", [False, True])
def test_a_terminal_that_is_closed(tmp_path: Path, nohup: bool) -> None:
    make_video(tmp_path / "in.mp4", frames=200, size=(320, 240))
    child, terminal = pty.fork()
    if child == 0:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        os.chdir(tmp_path)
        command = [sys.executable, "-c", "from rtsr.cli import main; main()", "upscale", "in.mp4"]
        command = ["nohup"] * nohup + [*command, "--scale", "2", "--report", "a.json", *QUICKLY]
        os.execvp(command[0], command)
    while not any(path.stat().st_size > 50_000 for path in tmp_path.glob(".in_2x.*.mp4")):
        assert os.waitpid(child, os.WNOHANG) == (0, 0)
        time.sleep(0.05)
    os.close(terminal)
    os.waitpid(child, 0)
    kept = tmp_path / ("in_2x.mp4" if nohup else "in_2x.partial.mp4")
    report = json.loads((tmp_path / "a.json").read_text("utf-8"))
    assert 0 < probe(kept).frames == report["frames"] and (report["frames"] == 200) == nohup
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "in.mp4", kept.name] + ["nohup.out"] * nohup
