"""The shipped scripts: upscale.vpy through vspipe, mpv.vpy with what mpv hands to it."""

import re
from pathlib import Path
from typing import Any

import pytest

from rtsr.resources import folder
from tests.media import make_video
from tests.vs.clips import as_format, core, moving, pixels, rtsr_vs, same, vs
from tests.vs.test_vspipe import vspipe, y4m_frames

UPSCALE, MPV = folder("filters") / "upscale.vpy", folder("filters") / "mpv.vpy"


def test_upscale_takes_its_arguments(tmp_path: Path, environment: dict[str, str]) -> None:
    video = make_video(tmp_path / "in.mp4", frames=4)
    given = ["-a", f"source={video}", "-a", "scale=1.5", "-a", "engine=bicubic", "-a", "streams=1", "-a", "tile=64"]
    done = vspipe("-c", "y4m", *given, str(UPSCALE), "-", environment=environment)
    assert done.returncode == 0, done.stderr
    frames = y4m_frames(done.stdout, 96, 72)
    expected = rtsr_vs.Upscale(core.bs.VideoSource(str(video), cachemode=0), 1.5, engine="bicubic")
    assert len(frames) == 4 and all(same(frame, pixels(expected, n)) for n, frame in enumerate(frames))
    sound = vspipe("-o", "1", "-c", "wav", "-a", f"source={video}", str(UPSCALE), "-", environment=environment)
    assert sound.returncode == 0 and sound.stdout[:4] == b"RIFF" and len(sound.stdout) > 5000


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, b"rtsr: name the video: -a source=in.mp4"),
        ({"tile": "big"}, b"rtsr: tile=big is not a number"),
        ({"quality": "best"}, b"rtsr: quality=best is not a number"),
        ({"scale": "9"}, b"rtsr: scale 9 is out of range"),
        ({"deadline": "soon"}, b"rtsr: 'soon' is not a duration"),
    ],
)
def test_upscale_says_what_is_wrong(given: dict, says: bytes, tmp_path: Path, environment: dict[str, str]) -> None:
    video = make_video(tmp_path / "in.mp4", frames=2)
    arguments = {"source": video, **given} if given else {}
    pairs = [part for key, value in arguments.items() for part in ("-a", f"{key}={value}")]
    done = vspipe("--info", *pairs, str(UPSCALE), environment=environment)
    assert done.returncode == 1 and says in done.stderr


class NoFrameYet:
    """A clip that must not be asked for frames while the script runs, as mpv's."""

    def __init__(self) -> None:
        self.running = True
        clip = as_format(moving(4, 160, 96), vs.YUV420P8)
        self.clip = clip.std.ModifyFrame(clip, self)

    def __call__(self, n: int, f: Any) -> Any:
        if self.running:
            raise RuntimeError("mpv gives no frames yet")
        return f


def played(**told: object) -> Any:
    """The clip that mpv.vpy makes of a 160x96 clip, given what mpv tells it."""
    source = NoFrameYet()
    exec(compile(MPV.read_text(), str(MPV), "exec"), {"video_in": source.clip, **told})
    source.running = False
    return vs.get_output(0).clip


@pytest.mark.parametrize(
    ("told", "size"),
    [
        ({"display_res": (1920, 1080), "container_fps": 60.0, "display_fps": 60.0}, (320, 192)),
        ({"display_res": (240, 144), "container_fps": 24.0, "display_fps": 60.0}, (240, 144)),
        ({"display_res": (220, 400)}, (240, 144)),
        ({"display_res": (165, 400), "container_fps": 30.0}, (160, 96)),
        ({"display_res": (320, 288), "video_in_dw": 160, "video_in_dh": 192}, (240, 144)),
        ({"container_fps": 0.0, "display_fps": 0.0}, (320, 192)),
        ({"user_data": b"enaf-quicksrnet-medium-x2-photo"}, (320, 192)),
    ],
)
def test_mpv_fills_the_display(told: dict, size: tuple[int, int]) -> None:
    clip = played(**told)
    assert (clip.width, clip.height, clip.format.id) == (*size, vs.YUV420P8)
    with clip.get_frame(1) as frame:
        assert (size == (160, 96)) == ("rtsr_ms" not in frame.props)


def test_mpv_has_less_time_at_higher_rates() -> None:
    names: dict[str, Any] = {"video_in": moving(2), "display_fps": 60.0, "display_res": (32, 24)}
    exec(compile(MPV.read_text(), str(MPV), "exec"), names)
    seconds = []
    for rate in (24.0, 60.0, 144.0, 0.0, float("nan")):  # mpv says nan where it knows none.
        names["container_fps"] = rate
        seconds.append(names["choose_deadline"]())
    assert seconds == pytest.approx([0.85 / 24, *[0.85 / 60] * 4])


def test_the_documented_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[2] / "docs" / "vapoursynth.md").read_text("utf-8")
    (snippet,) = re.findall(r"```python\n(.*?)```", text, re.S)
    monkeypatch.chdir(tmp_path)
    make_video(tmp_path / "in.mp4", frames=2)
    exec(snippet, {})
    clip = vs.get_output(0).clip
    assert (clip.width, clip.height, len(pixels(clip, 1))) == (96, 72, 3)
    vs.clear_outputs()
