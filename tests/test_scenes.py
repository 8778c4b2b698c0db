"""The benchmark of scenes: its captures are captures, and its tables name who loses."""

from fractions import Fraction

import cv2
import numpy as np

from benchmarks.scenes import NETWORKS, Scene, captured, tables
from rtsr.quality.comparison import Input
from rtsr.quality.metrics import luma, psnr
from rtsr.upscaler import Upscaler


def blurred(height: int, width: int) -> np.ndarray:
    noise = np.random.default_rng(3).integers(0, 256, (height, width, 3), np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 1).astype(np.uint8)


def test_a_capture_is_the_same_picture_with_losses() -> None:
    picture = blurred(96, 128)
    seen = captured(picture)
    assert seen.shape == picture.shape and seen.dtype == np.uint8
    assert 25 < psnr(luma(seen), luma(picture)) < 45


def test_scores_count_the_whole_and_what_fits() -> None:
    truth, fits = luma(blurred(80, 96)), np.zeros((80, 96), bool)
    fits[:40] = True
    low = cv2.resize(blurred(80, 96), (48, 40), interpolation=cv2.INTER_AREA).astype(np.uint8)
    with Upscaler(Fraction(2), engine="bicubic") as bicubic:
        made = luma(bicubic(low))
        scene = Scene("map", "map_1", "render", Input(low), truth, fits)
        assert scene.scores(bicubic) == (psnr(made, truth), psnr(made[:40], truth[:40]))


def test_tables_name_the_scenes_that_lose() -> None:
    def row(moment: str, gain: float) -> dict:
        scores = {"bicubic": 30.0, **dict.fromkeys(NETWORKS, 30.0 + gain)}
        place = {"map": "map", "moment": moment, "kind": "render", "scale": "3/2"}
        return {**place, "psnr_y": scores, "fitting_psnr_y": {**scores, NETWORKS[0]: 29.0}}

    whole, fitting, lost = tables({"unseen": ["map"], "scenes": [row("map_1", 0.2), row("map_2", -0.3)]})
    assert "| x1.5 map, render | 2 | 30.00 | -0.05 |" in whole and "| 30.00 | -1.00 |" in fitting
    assert f"| {NETWORKS[1]} | 1; worst -0.30: map_2 render x1.5 | 1; worst" in lost
