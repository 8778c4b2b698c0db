"""Clips for tests of the filter: made frame by frame from a formula, so that every frame is known."""

import numpy as np
import pytest

vs = pytest.importorskip("vapoursynth", reason="needs VapourSynth: Python 3.12 and pip install 'rtsr[vs]'")
rtsr_vs = pytest.importorskip("rtsr.vs")
core = vs.core


def rgb_at(n: int, width: int, height: int) -> np.ndarray:
    """Frame `n` of every clip: waves that wander, RGB (3, H, W) float32 in [0.1, 0.9]."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    return np.stack([0.5 + 0.4 * np.sin(columns / (5 + i) + n / 3) * np.cos(rows / (7 - i)) for i in range(3)])


def moving(length: int = 5, width: int = 64, height: int = 48, still_from: int | None = None):
    """An RGBS clip at 24 frames a second; from frame `still_from` on only its left 16 columns move."""

    def make(n: int, f):
        made = f.copy()
        rgb = rgb_at(n if still_from is None else min(n, still_from), width, height)
        rgb[:, :, :16] = rgb_at(n, width, height)[:, :, :16]
        for i in range(3):
            np.asarray(made[i])[...] = rgb[i]
        return made

    blank = core.std.BlankClip(format=vs.RGBS, width=width, height=height, length=length, keep=True)
    return blank.std.ModifyFrame(blank, make)


def as_format(clip, form: int, **props: int):
    """`clip` in another format, tagged with `props`."""
    if core.get_video_format(form).color_family == vs.YUV:
        clip = clip.resize.Bicubic(format=form, matrix=props.get("_Matrix", 1), range=props.get("_Range", 0))
    elif core.get_video_format(form).color_family == vs.GRAY:
        clip = clip.std.ShufflePlanes(0, vs.GRAY)
    else:
        clip = clip.resize.Point(format=form)
    return clip.std.SetFrameProps(**props) if props else clip


def planes(frame) -> list[np.ndarray]:
    """Copies of a frame's planes."""
    return [np.array(frame[i]) for i in range(frame.format.num_planes)]


def pixels(clip, n: int) -> list[np.ndarray]:
    """Copies of the planes of frame `n`."""
    with clip.get_frame(n) as frame:
        return planes(frame)


def same(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return all(np.array_equal(one, other) for one, other in zip(a, b, strict=True))
