"""Shipped networks on real captures, against frames that were rendered natively at the larger size."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from rtsr.frame import Frame
from rtsr.metrics import psnr
from rtsr.source.pyav import PyAVSource
from rtsr.upscaler import Upscaler


def frames(path: Path, count: int) -> list[Frame]:
    with PyAVSource(path) as source:
        return list(islice((item for item in source.items() if isinstance(item, Frame)), 0, 45, 45 // count))


@pytest.mark.parametrize(("capture", "scale"), [("stk_lighthouse_720p30", "1.5"), ("stk_lighthouse_540p30", "2")])
def test_the_default_network_beats_bicubic_on_game_captures(shared: Path, capture: str, scale: str) -> None:
    clips = shared / "data" / "clips"
    small = frames(clips / f"{capture}.mp4", 5)
    large = frames(clips / "stk_lighthouse_1080p30_ref.mp4", 5)
    gains = []
    with Upscaler(scale) as network, Upscaler(scale, engine="bicubic") as bicubic:
        for low, high in zip(small, large, strict=True):
            ours, theirs = (psnr(up.frame(low, 1920, 1080).y, high.y) for up in (network, bicubic))
            gains.append(ours - theirs)
    assert np.mean(gains) > 0.1
    assert min(gains) > 0
