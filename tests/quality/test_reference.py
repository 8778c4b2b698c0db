"""The true quality of upscaled frames: what a reference says of them before they are encoded."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from rtsr.errors import SourceError, UsageError
from rtsr.frame import Frame
from rtsr.job import Job
from rtsr.pipeline import run
from rtsr.quality.metrics import psnr
from rtsr.quality.reference import IDENTICAL, Reference
from rtsr.report import Report
from rtsr.source.pyav import PyAVSource
from rtsr.upscaler import Upscaler
from tests.media import make_video


def upscale(source: Path, reference: Path) -> Report:
    job = Job(source, source.with_name("out.mp4"), Fraction(2), engine="bicubic", reference=reference, overwrite=True)
    return run(job)


def frames(path: Path) -> list[Frame]:
    with PyAVSource(path) as source:
        return [item for item in source.items() if isinstance(item, Frame)]


def test_is_the_mean_of_the_frames_own(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", frames=12)
    truth = make_video(tmp_path / "truth.mp4", frames=12, size=(128, 96))
    with Upscaler(2, engine="bicubic") as upscaler:
        pairs = zip(frames(source), frames(truth), strict=True)
        own = [psnr(upscaler.frame(small, 128, 96).y, large.y) for small, large in pairs]
    compared = upscale(source, truth).reference
    assert compared == {"frames": 12, "psnr_y_db": pytest.approx(np.mean(own), abs=1e-4)}


def test_frames_meet_those_of_their_own_time(tmp_path: Path) -> None:
    """A reference with other times: every second frame of the input has none there."""
    source = make_video(tmp_path / "in.mp4", frames=20, rate=30)
    halved = [6000 * i for i in range(10)]
    truth = make_video(tmp_path / "truth.mp4", frames=10, pts=halved, size=(128, 96))
    compared = upscale(source, truth).reference
    assert compared is not None and compared["frames"] >= 10


def test_equal_frames_are_finite(tmp_path: Path) -> None:
    clip = make_video(tmp_path / "in.mp4", frames=5)
    with PyAVSource(clip) as source, Reference(clip, source.video) as reference:
        for frame in frames(clip):
            reference.compare(frame)
    assert reference.summary() == {"frames": 5, "psnr_y_db": IDENTICAL}


def test_another_size_range_or_no_video_is_refused(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", frames=3)
    with pytest.raises(UsageError, match="is 64x48, limited range; the output is 128x96, limited range"):
        upscale(source, source)
    full = make_video(tmp_path / "full.mp4", frames=3, size=(128, 96), full_range=True)
    with pytest.raises(UsageError, match="full range; the output is 128x96, limited"):
        upscale(source, full)
    with pytest.raises(SourceError, match="does not exist"):
        upscale(source, tmp_path / "none.mp4")
    assert not (tmp_path / "out.mp4").exists()
