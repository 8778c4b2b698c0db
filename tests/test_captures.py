"""Shipped networks on real captures, against frames rendered natively at the larger size."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from rtsr.colour import to_rgb
from rtsr.frame import Frame
from rtsr.quality.metrics import psnr
from rtsr.source.pyav import PyAVSource
from rtsr.train.registration import misplaced
from rtsr.upscaler import Upscaler


def frames(path: Path) -> list[Frame]:
    with PyAVSource(path) as source:
        return list(islice((item for item in source.items() if isinstance(item, Frame)), 0, 45, 9))


def rgb(frame: Frame) -> np.ndarray:
    return (to_rgb(frame.y, frame.u, frame.v, frame.colour)[0].transpose(1, 2, 0) * 255).round().astype(np.uint8)


@pytest.mark.parametrize(("capture", "scale"), [("stk_lighthouse_720p30", "1.5"), ("stk_lighthouse_540p30", "2")])
def test_the_default_network_beats_bicubic_on_game_captures(shared: Path, capture: str, scale: str) -> None:
    clips = shared / "data" / "clips"
    gains, fitting = [], []
    with Upscaler(scale) as network, Upscaler(scale, engine="bicubic") as bicubic:
        for low, high in zip(
            frames(clips / f"{capture}.mp4"), frames(clips / "stk_lighthouse_1080p30_ref.mp4"), strict=True
        ):
            fits = ~misplaced(rgb(low), rgb(high))
            ours, theirs = (up.frame(low, 1920, 1080).y for up in (network, bicubic))
            gains.append(psnr(ours, high.y) - psnr(theirs, high.y))
            fitting.append(psnr(ours[fits], high.y[fits]) - psnr(theirs[fits], high.y[fits]))
    assert np.mean(gains) > 0
    # Where both renders show the same; icons lie elsewhere in the other, and a network must not learn to move them.
    assert np.mean(fitting) > 0.1 and min(fitting) > 0
