"""`rtsr upscale` as a person runs it: a process, its output and its exit status."""

import json
import subprocess
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from rtsr.engine.int8 import trial
from rtsr.resources import networks
from tests.command import assert_one_error_line, rtsr
from tests.media import make_video, probe


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
    assert "note: the preset's precision is left out: it is not meant for bicubic" in done.stderr
    done = rtsr("upscale", source, "--preset", preset, "--overwrite", "--engine", "bicubic", "--precision", "int8")
    assert_one_error_line(done, 2, "a precision is for networks, and bicubic runs none")


def test_a_video_in_8_bits(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", frames=4)
    wish = ("upscale", source, "--scale", "2", "--engine", "onnx", "--precision", "int8")
    done = rtsr(*wish, "--report", tmp_path / "report.json")
    if not trial(networks()["quicksrnet-small-x2-capture"]).right:
        assert_one_error_line(done, 1, "leave out --precision int8")
        return
    assert done.returncode == 0 and "in 8 bits" in done.stdout, done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["asked"]["precision"] == "int8" and report["provider"] == "ONNX Runtime, CPU"
    assert report["reason"] == "in 8 bits"
    done = rtsr(*wish, "--model", "rlfn-s-photo", "--overwrite")
    assert_one_error_line(done, 2, "rlfn-s-x2-photo has no form in 8 bits")
    done = rtsr(*wish[:4], "--provider", "cuda", "--precision", "int8", "--overwrite")
    assert_one_error_line(done, 2, "8 bits are for the processor, not for cuda")


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


def test_an_existing_output_is_kept_unless_allowed(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", frames=3)
    output = tmp_path / "out.mp4"
    output.write_text("precious")
    wish = ("upscale", source, "-o", output, "--scale", "2", "--engine", "bicubic")
    assert_one_error_line(rtsr(*wish), 1, "exists already")
    assert output.read_text() == "precious"
    assert rtsr(*wish, "--overwrite").returncode == 0
    assert probe(output).frames == 3


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


def test_no_arguments_shows_the_commands() -> None:
    done = rtsr()
    assert done.returncode == 2 and "upscale" in done.stdout + done.stderr
