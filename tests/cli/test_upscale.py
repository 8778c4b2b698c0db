"""`rtsr upscale` as a person runs it: a process, its output and its exit status."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tests.media import make_video, probe


def rtsr(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from rtsr.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=cwd, check=False)


QUICKLY = ("--encoder-option", "preset=ultrafast", "--crf", "8")
"""Much is written soon."""


def assert_one_error_line(done: subprocess.CompletedProcess[str], status: int, says: str) -> None:
    assert done.returncode == status, done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ") and says in lines[0], done.stderr


def test_the_main_job_with_the_default_network(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", frames=9)
    done = rtsr("upscale", source, "--scale", "1.5", "--report", tmp_path / "report.json")
    assert done.returncode == 0, done.stderr
    assert "9 frames, 64x48 to 96x72 with quicksrnet-" in done.stdout
    assert len(done.stdout.strip().splitlines()) == 1 and done.stderr == ""
    assert probe(tmp_path / "in_1.5x.mp4").frames == 9
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["frames"] == 9 and report["stages"]["upscale"]["p99"] > 0


def test_what_does_not_change_is_reused_and_said(tmp_path: Path) -> None:
    picture, source = np.random.default_rng(1).integers(0, 256, (96, 128, 3), np.uint8), tmp_path / "menu.mkv"
    with av.open(str(source), "w") as file:
        video = file.add_stream("libx264", rate=30, options={"qp": "0"})
        video.width, video.height, video.pix_fmt = 128, 96, "yuv420p"
        for _ in range(10):
            file.mux(video.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        file.mux(video.encode())
    command = [sys.executable, "-m", "rtsr", "upscale", str(source), "--scale", "1.5", "--report", "report.json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1] == "  90% reused" and probe(tmp_path / "menu_1.5x.mkv").frames == 10
    assert json.loads((tmp_path / "report.json").read_text())["reused"] == pytest.approx(0.9)


def test_a_deadline_is_accounted_for(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", frames=9)
    truth = make_video(tmp_path / "truth.mp4", frames=9, size=(128, 96))
    wish = ("--scale", "2", "--model", "quicksrnet-small", "--fps", "2", "--late", "repeat", "--reference", truth)
    done = rtsr("upscale", source, *wish, "--report", tmp_path / "report.json")
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert "9 frames, 64x48 to 128x96" in first
    assert second.startswith("  deadline 500 ms, missed ") and "9 frames of the reference" in second
    report = json.loads((tmp_path / "report.json").read_text())
    spent = report["spending"]
    assert spent["deadline_ms"] == 500 and sum(spent["frames"].values()) == 9
    assert sum(spent["tiles_per_exit"]) == spent["frames"]["made"] + spent["frames"]["interpolated"]
    assert report["reference"]["psnr_y_db"] > 15
    assert all({"p50", "p95", "p99"} <= report["stages"][stage].keys() for stage in ("decode", "upscale", "encode"))


def test_a_preset_keeps_its_deadline_unless_another_is_given(tmp_path: Path) -> None:
    make_video(tmp_path / "in.mp4", frames=2)
    preset = 'summary = "a"\nscale = 2\nmodel = "quicksrnet-small"\ndeadline = "700ms"\nlate = "degrade"\n'
    (tmp_path / "mine.toml").write_text(preset)
    for wish, said in (((), "deadline 700 ms"), (("--fps", "2"), "deadline 500 ms"), (("--engine", "fsr"), "")):
        done = rtsr("upscale", "in.mp4", "--preset", "mine.toml", "--overwrite", *wish, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert said in done.stdout and ("deadline" in done.stdout) == bool(said)
        left_out = "note: the preset's deadline is left out: fsr has no shares to spend" in done.stderr
        assert left_out == (not said)


def test_a_provider_that_is_not_here_is_an_error_and_no_other_runs(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", frames=3)
    wish = ("upscale", source, "--scale", "2", "-o", tmp_path / "out.mp4")
    done = rtsr(*wish, "--engine", "onnx", "--provider", "openvino")
    assert_one_error_line(done, 1, "installed without OpenVINO; try: pip uninstall -y onnxruntime && pip install")
    assert_one_error_line(rtsr(*wish, "--provider", "gpu"), 2, "unknown provider 'gpu'; known: auto, cpu, cuda")
    assert_one_error_line(rtsr(*wish, "--provider", "cpu", "--engine", "fsr"), 2, "leave it out, or the engine fsr")
    assert not (tmp_path / "out.mp4").exists()
    done = rtsr(*wish, "--provider", "cpu")
    assert done.returncode == 0 and "(ONNX Runtime, CPU)" in done.stdout, done.stderr


def test_a_presets_provider_is_for_its_engine(tmp_path: Path) -> None:
    make_video(tmp_path / "in.mp4", frames=2)
    (tmp_path / "mine.toml").write_text('summary = "a"\nscale = 2\nprovider = "cuda:1"\n')
    wish = ("upscale", "in.mp4", "--preset", "mine.toml", "--overwrite")
    assert_one_error_line(rtsr(*wish, cwd=tmp_path), 1, "installed without CUDA")
    assert rtsr(*wish, "--engine", "bicubic", cwd=tmp_path).returncode == 0
    assert rtsr(*wish, "--provider", "cpu", cwd=tmp_path).returncode == 0


def test_a_presets_precision_is_for_its_engine(tmp_path: Path) -> None:
    preset = tmp_path / "exact.toml"
    preset.write_text('summary = "a"\nscale = 2\nengine = "rtx"\nprecision = "fp32"\n', "utf-8")
    source = make_video(tmp_path / "in.mp4", frames=2)
    done = rtsr("upscale", source, "--preset", preset, "--engine", "bicubic")
    assert done.returncode == 0, done.stderr
    assert "note: the preset's precision is left out: it is for NVIDIA engines" in done.stderr
    done = rtsr("upscale", source, "--preset", preset, "--overwrite", "--engine", "bicubic", "--precision", "int8")
    assert_one_error_line(done, 2, "a precision is for NVIDIA engines")


def test_a_presets_decoder_is_for_its_engine(tmp_path: Path) -> None:
    preset = tmp_path / "gpu.toml"
    preset.write_text('summary = "a"\nscale = 2\nengine = "rtx"\ndecode = "gpu"\n', "utf-8")
    source = make_video(tmp_path / "in.mp4", frames=2)
    done = rtsr("upscale", source, "--preset", preset, "--engine", "bicubic")
    assert done.returncode == 0, done.stderr
    done = rtsr("upscale", source, "--preset", preset, "--live", "--realtime", "-o", tmp_path / "live.mp4")
    assert_one_error_line(done, 2, "leave them out, or --decode gpu")


def test_without_a_gpu_it_decodes_nothing_and_nothing_else_runs(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", frames=2)
    done = rtsr("upscale", source, "--scale", "2", "--decode", "gpu")
    assert_one_error_line(done, 1, "no network runs on an NVIDIA GPU here (")
    assert "; leave out --decode gpu" in done.stderr and list(tmp_path.iterdir()) == [source]


def test_a_script_is_not_decoded_on_a_gpu(tmp_path: Path) -> None:
    script = tmp_path / "in.vpy"
    script.write_text("", "utf-8")
    done = rtsr("upscale", script, "-o", tmp_path / "out.mp4", "--scale", "2", "--decode", "gpu")
    assert_one_error_line(done, 2, "is a script, which gives frames in memory; leave out --decode gpu")


def test_quiet_prints_nothing(tmp_path: Path) -> None:
    done = rtsr("upscale", make_video(tmp_path / "in.mp4", frames=3), "--scale", "2", "--engine", "bicubic", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert probe(tmp_path / "in_2x.mp4").size == (128, 96)


def test_options_go_before_the_preset(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", frames=3)
    preset = tmp_path / "mine.toml"
    preset.write_text(
        'summary = "mine"\nscale = 2\nengine = "bicubic"\ncodec = "libx265"\n[encoder_options]\npreset="fast"\n'
    )
    done = rtsr("upscale", source, "--preset", preset, "-o", tmp_path / "a.mkv", "--scale", "3/2")
    assert done.returncode == 0, done.stderr
    after = probe(tmp_path / "a.mkv")
    assert (after.size, after.video_codec) == ((96, 72), "hevc")
    assert done.stderr == ""
    done = rtsr("upscale", source, "--preset", preset, "-o", tmp_path / "b.mkv", "--codec", "mpeg4")
    assert done.returncode == 0 and probe(tmp_path / "b.mkv").video_codec == "mpeg4", done.stderr
    left_out, rate = done.stderr.splitlines()
    assert left_out == "note: the preset's crf and encoder options are left out: they are not meant for mpeg4"
    assert rate == "note: mpeg4 encoded at a rate of its own; set one with an encoder option, e.g. b=20M"


def test_an_encoder_option_goes_before_the_presets_crf(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", frames=9, size=(320, 240))
    (tmp_path / "mine.toml").write_text('summary = "a"\nscale = 2\nengine = "bicubic"\ncrf = 1\n')
    sizes = []
    for wish in ((), ("--encoder-option", "crf=45"), ("--encoder-option", "qp=45"), ("--encoder-option", "b=30k")):
        done = rtsr("upscale", source, "--preset", tmp_path / "mine.toml", "--overwrite", *wish)
        assert done.returncode == 0, done.stderr
        sizes.append((tmp_path / "in_2x.mp4").stat().st_size)
    assert max(sizes[1:]) < sizes[0] / 2


def test_a_picture_becomes_a_larger_picture(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "shot.png"), np.full((30, 40, 3), 90, np.uint8))
    done = rtsr("upscale", "shot.png", "--scale", "1.5", "--threads", "1", "--report", "a.json", cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert done.stdout.startswith("shot_1.5x.png: 40x30 to 60x45 with quicksrnet-small-x1.5-capture (ONNX Runtime")
    assert cv2.imread(str(tmp_path / "shot_1.5x.png"), cv2.IMREAD_UNCHANGED).shape == (45, 60, 3)
    assert json.loads((tmp_path / "a.json").read_text())["output_size"] == [60, 45]
    done = rtsr("upscale", "shot.png", "--preset", "archive", "--scale", "2", "-o", "large.webp", cwd=tmp_path)
    assert done.returncode == 0 and "with quicksrnet-medium-x2-capture" in done.stdout
    assert done.stderr == "note: left out of the preset, as it is for videos: codec, crf, encoder options\n"
    assert cv2.imread(str(tmp_path / "large.webp")).shape == (60, 80, 3)


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["--codec", "libx264", "--realtime"], 2, "leave out what is for videos: --realtime, --codec"),
        (["--encoder-option", "a=b", "--latency", "1s"], 2, "for videos: --latency, --encoder-option"),
        (["--quality", "0.5", "--late", "drop"], 2, "for videos: --quality, --late"),
        (["--decode", "gpu"], 2, "for videos: --decode"),
        (["-o", "large.mkv"], 2, "shot.png is a picture; name the output .png, .jpg or .webp, not large.mkv"),
        (["-o", "large.tiff"], 2, "name the output .png, .jpg or .webp, not large.tiff"),
        (["-o", "nofolder/a.png"], 1, "does not exist"),
        (["--report", "a.png"], 2, "named .json"),
        (["--model", "nothing"], 2, "unknown model"),
    ],
)
def test_wrong_wishes_for_a_picture_get_one_line_and_leave_nothing(
    tmp_path: Path, arguments: list[str], status: int, says: str
) -> None:
    cv2.imwrite(str(tmp_path / "shot.png"), np.full((30, 40, 3), 90, np.uint8))
    assert_one_error_line(rtsr("upscale", "shot.png", "--scale", "2", *arguments, cwd=tmp_path), status, says)
    assert [p.name for p in tmp_path.iterdir()] == ["shot.png"]


def test_an_existing_output_is_kept_unless_allowed(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", frames=3)
    output = tmp_path / "out.mp4"
    output.write_text("precious")
    wish = ("upscale", source, "-o", output, "--scale", "2", "--engine", "bicubic")
    assert_one_error_line(rtsr(*wish), 1, "exists already")
    assert output.read_text() == "precious"
    assert rtsr(*wish, "--overwrite").returncode == 0
    assert probe(output).frames == 3


def bad_inputs(folder: Path) -> dict[str, tuple[Path, str]]:
    whole = make_video(folder / "whole.mp4", frames=30).read_bytes()
    files = {
        "missing": (folder / "missing.mp4", "does not exist"),
        "folder": (folder / "folder.mp4", "is a folder"),
        "text": (folder / "text.mp4", "not a video"),
        "letters": (folder / "notes.txt", "but text"),
        "empty": (folder / "empty.mp4", "is empty"),
        "truncated": (folder / "truncated.mp4", "cut off"),
        "picture-less": (folder / "nothing.mkv", "no pictures"),
        "sound": (folder / "sound.m4a", "no video"),
    }
    files["folder"][0].mkdir()
    files["text"][0].write_text("This is a letter, not a film.\n" * 50)
    files["letters"][0].write_text("This is a letter, not a film.\n" * 50)
    files["empty"][0].touch()
    files["truncated"][0].write_bytes(whole[: len(whole) // 2])
    make_pictureless(files["picture-less"][0])
    make_sound(files["sound"][0])
    return files


def make_pictureless(path: Path) -> None:
    """A Matroska file that ends where its first cluster begins: its header promises a video stream."""
    whole = make_video(path, frames=2, audio=False).read_bytes()
    path.write_bytes(whole[: whole.index(b"\x1f\x43\xb6\x75") + 12])


def make_sound(path: Path) -> None:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 48000
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


@pytest.mark.parametrize(
    "kind", ["missing", "folder", "text", "letters", "empty", "truncated", "picture-less", "sound"]
)
def test_bad_inputs_get_one_line_and_leave_nothing(tmp_path: Path, kind: str) -> None:
    path, says = bad_inputs(tmp_path)[kind]
    before = sorted(tmp_path.iterdir())
    assert_one_error_line(rtsr("upscale", path, "--scale", "2", "--engine", "bicubic"), 1, says)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["--scale", "0"], 2, "out of range"),
        (["--scale", "17"], 2, "out of range"),
        (["--scale", "much"], 2, "not a scale"),
        ([], 2, "--scale 1.5"),
        (["--size", "big"], 2, "not a size"),
        (["--scale", "2", "--height", "96"], 2, "one of scale, height and size"),
        (["--scale", "2", "--model", "nothing"], 2, "unknown model"),
        (["--scale", "2", "--engine", "nothing"], 2, "unknown engine"),
        (["--scale", "2", "--engine", "fsr", "--model", "quicksrnet-small"], 2, "uses no network"),
        (["--scale", "2", "--preset", "nothing"], 2, "unknown preset"),
        (["--scale", "2", "--encoder-option", "slow"], 2, "not an encoder option"),
        (["--scale", "2", "--codec", "nothing"], 2, "unknown encoder"),
        (["--scale", "2", "--codec", "prores_ks"], 2, "rtsr gives yuv420p; try libx264"),
        (["--scale", "2", "--codec", "h264_nvenc"], 1, "rtsr doctor says which encoders work here"),
        (["--scale", "2", "--crf", "20", "--encoder-option", "crf=30"], 2, "crf is said twice"),
        (["--height", "0"], 2, "height is a whole number above 0, not 0"),
        (["--scale", "2", "--crf", "20", "--encoder-option", "b=1M"], 2, "as crf 20 and as the option b=1M"),
        (["--scale", "2", "--engine", "fsr", "-o", "out.webm"], 2, "or add --codec libvpx-vp9"),
        (["--scale", "2", "--threads", "100000"], 2, "threads is a whole number of 1 to 256"),
        (["--scale", "2", "--threads", "few"], 2, "see: rtsr upscale --help"),
        (["--scale", "2", "--model", "mine.onnx"], 2, "make one with: rtsr import mine.onnx"),
        (["--scale", "2", "--preset", "live-low-latency"], 2, "or leave out --live and live presets"),
        (["--scale", "2", "-o", "nofolder/out.mp4"], 1, "does not exist"),
        (["--scale", "2", "-o", "out"], 2, "e.g. out.mp4; a folder's name ends in a slash: out/"),
        (["--scale", "2", "--engine", "fsr", "-o", "out.txt"], 2, "not a file type"),
        (["--size", "129x96"], 2, "even numbers"),
        (["--scale", "2", "--engine", "fsr", "-o", "out.png"], 2, "in.mp4 is a video, and out.png a picture's name"),
        (["--scale", "2", "--engine", "fsr", "-o", "out.avi"], 2, "keeps a video's timing"),
        (["--scale", "2", "--engine", "fsr", "--report", "in.mp4"], 2, "named .json"),
        (["--scale", "2", "-o", "in.mp4", "--overwrite"], 1, "is the input itself"),
        (["--scale", "2", "--report", "nofolder/report.json"], 1, "does not exist"),
        (["--scale", "1.001", "--engine", "fsr"], 2, "same even size"),
        (["--scale", "2", "--deadline", "16.7"], 2, "write a number and its unit"),
        (["--scale", "2", "--deadline=-5ms"], 2, "is not a duration"),
        (["--scale", "2", "--deadline", "9999s"], 2, "at most an hour"),
        (["--scale", "2", "--fps", "-60"], 2, "is not a frame rate"),
        (["--scale", "2", "--fps", "60", "--quality", "0.5"], 2, "give one of fps, deadline and quality"),
        (["--scale", "2", "--quality", "2", "--model", "quicksrnet-small"], 2, "between 0 and 1"),
        (["--scale", "2", "--late", "drop"], 2, "add --deadline"),
        (["--scale", "2", "--late", "never", "--fps", "60"], 2, "'never'"),
        (["--scale", "2", "--latency", "1s"], 2, "add --live"),
        (["--scale", "2", "--live"], 2, "add --realtime"),
        (["--scale", "2", "--fps", "60", "--engine", "fsr"], 2, "has no shares to spend"),
        (["--scale", "2", "--deadline", "0.001ms", "--model", "quicksrnet-small"], 2, "give --deadline "),
        (["--scale", "2", "--engine", "fsr", "--reference", "in.mp4"], 2, "give a reference that fits"),
        (["--scale", "2", "--engine", "rtx", "--precision", "fp8"], 2, "precision 'fp8'; known: fp32, fp16, int8"),
        (["--scale", "2", "--engine", "onnx", "--precision", "fp16"], 2, "take one of these, or leave out precision"),
        (["--scale", "2", "--engine", "fsr", "--precision", "fp32"], 2, "for NVIDIA engines, rtx and tensorrt"),
        (["--scale", "2", "--provider", "cpu", "--precision", "fp32"], 2, "for NVIDIA engines, rtx and tensorrt"),
        (["--scale", "2", "--decode", "tpu"], 2, "frames are decoded on cpu or gpu, not on 'tpu'"),
        (["--scale", "2", "--decode", "gpu", "--engine", "onnx"], 2, "take one of these, or leave out --decode gpu"),
        (["--scale", "2", "--decode", "gpu", "--engine", "fsr"], 2, "for --engine rtx or tensorrt"),
        (["--scale", "2", "--decode", "gpu", "--provider", "cpu"], 2, "for --engine rtx or tensorrt"),
        (["--scale", "2", "--decode", "gpu", "--fps", "60"], 2, "leave them out, or --decode gpu"),
        (["--scale", "2", "--decode", "gpu", "--quality", "0.5"], 2, "leave them out, or --decode gpu"),
        (["--scale", "2", "--decode", "gpu", "--live", "--realtime"], 2, "leave them out, or --decode gpu"),
    ],
)
def test_wrong_wishes_get_one_line_and_leave_nothing(
    tmp_path: Path, arguments: list[str], status: int, says: str
) -> None:
    make_video(tmp_path / "in.mp4", frames=2)
    assert_one_error_line(rtsr("upscale", "in.mp4", *arguments, cwd=tmp_path), status, says)
    assert [p.name for p in tmp_path.iterdir()] == ["in.mp4"]


def test_an_output_where_nothing_can_be_written(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", frames=2)
    assert_one_error_line(
        rtsr("upscale", source, "--scale", "2", "--engine", "bicubic", "-o", "/proc/out.mp4"), 1, "/proc"
    )


def test_help_shows_an_example() -> None:
    done = rtsr("upscale", "--help")
    assert done.returncode == 0 and "rtsr upscale in.mp4 --scale 1.5" in done.stdout


def test_debug_shows_the_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTSR_DEBUG", "1")
    done = rtsr("upscale", tmp_path / "missing.mp4", "--scale", "2")
    assert done.returncode == 1 and "Traceback" in done.stderr


@pytest.mark.parametrize("codec", ["libx265", "libsvtav1"])
def test_quiet_encoders(tmp_path: Path, codec: str) -> None:
    source = make_video(tmp_path / "in.mp4", frames=3, size=(96, 64))
    done = rtsr("upscale", source, "--scale", "2", "--engine", "bicubic", "--codec", codec, "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


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
    make_video(tmp_path / "in.mp4", frames=80, size=(320, 240))
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
    assert 0 < probe(kept).frames == report["frames"] and (report["frames"] == 80) == nohup
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "in.mp4", kept.name] + ["nohup.out"] * nohup


def test_names_with_colons_and_spaces(tmp_path: Path) -> None:
    make_video(tmp_path / "in.mp4", frames=2).rename(tmp_path / "12:30 match.mp4")
    done = rtsr("upscale", "12:30 match.mp4", "--scale", "2", "--engine", "bicubic", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert probe(tmp_path / "12:30 match_2x.mp4").frames == 2


def test_a_preset_keeps_its_network_and_leaves_its_options_to_its_own_encoder(tmp_path: Path) -> None:
    make_video(tmp_path / "in.mp4", frames=2)
    wish = ("upscale", "in.mp4", "--scale", "2", "--preset", "archive", "--engine", "onnx", "--codec", "libsvtav1")
    done = rtsr(*wish, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "quicksrnet-medium" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["upscale"], "see: rtsr upscale --help"),
        (["upscale", "in.mp4", "--crf", "abc"], "see: rtsr upscale --help"),
        (["nonsense"], "see: rtsr --help"),
        (["--nope"], "see: rtsr --help"),
    ],
)
def test_wrong_usage_gets_one_line(arguments: list[str], says: str) -> None:
    assert_one_error_line(rtsr(*arguments), 2, says)


def test_no_arguments_shows_the_commands() -> None:
    done = rtsr()
    assert done.returncode == 2 and "upscale" in done.stdout + done.stderr
