"""What `rtsr upscale` says of input and wishes that are wrong: one line, and nothing is left behind."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tests.command import assert_one_error_line, rtsr
from tests.media import make_video


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
        (["--scale", "2", "--engine", "onnx", "--precision", "fp16"], 2, "fp16 is for NVIDIA engines"),
        (["--scale", "2", "--engine", "fsr", "--precision", "fp32"], 2, "fsr runs none; leave out precision"),
        (["--scale", "2", "--provider", "cpu", "--precision", "fp16"], 2, "fp16 is for NVIDIA engines"),
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
