"""How close upscaled frames come to a reference video, measured before they are encoded."""

from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import cv2
import numpy as np

from rtsr.errors import UsageError
from rtsr.frame import Frame, Video
from rtsr.part import WHOLE, Part
from rtsr.source.base import Source
from rtsr.source.pyav import PyAVSource

IDENTICAL = 100.0
"""What equal frames count as, in dB, so that a mean stays finite."""


class Reference:
    """`part` of the video in `path`, whose frames are compared with those of `video` that belong to the same time.

    Times count from each video's first frame; of a part from its start, where `source` is what `video` comes from.
    Raises SourceError where `path` cannot be read, UsageError where it is of another size or range.
    """

    def __init__(self, path: Path | str, video: Video, part: Part = WHOLE, source: Source | None = None) -> None:
        self._video, self._compared = video, source
        self._source = PyAVSource(path, part)
        try:
            self._check(path)
            self._frames = _timed(self._source)
            self._here = next(self._frames)
            self._next = next(self._frames, None)
        except BaseException:
            self._source.__exit__()
            raise
        self._began: int | None = None
        self.psnr: array = array("f")
        """PSNR-Y of every frame that was compared, in dB: on 8-bit luma as it is in the video, borders included."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._source.__exit__()

    def _check(self, path: Path | str) -> None:
        """Raise UsageError where the reference is of another size or range."""
        own, video = self._source.video, self._video
        wanted, found = (f"{v.width}x{v.height}" for v in (video, own))
        if wanted != found or own.colour.full_range != video.colour.full_range:
            levels = ["limited", "full"]
            raise UsageError(
                f"the reference {path} is {found}, {levels[own.colour.full_range]} range; the output is {wanted}, "
                f"{levels[video.colour.full_range]} range; give a reference that fits it"
            )

    def compare(self, frame: Frame) -> None:
        """Compare `frame`, in order, with the one at its time; where there is none, it does not count."""
        self._began = frame.pts if self._began is None else self._began
        at = float((frame.pts - self._began) * self._video.time_base)
        at += 0.0 if self._compared is None else float(self._compared.lead)
        while self._next is not None and abs(self._next[0] - at) <= abs(self._here[0] - at):
            self._here, self._next = self._next, next(self._frames, None)
        time, luma = self._here
        if abs(time - at) <= 0.5 / float(self._source.video.rate or 25):
            self.psnr.append(_psnr(luma, np.ascontiguousarray(frame.y)))

    def summary(self) -> dict[str, float | int]:
        """Frames that were compared, and the mean of their PSNR-Y in dB."""
        mean = {"psnr_y_db": float(np.mean(self.psnr))} if self.psnr else {}
        return {"frames": len(self.psnr), **mean}


def _timed(source: PyAVSource) -> Iterator[tuple[float, np.ndarray]]:
    """Seconds from the first frame, and luma, of every frame."""
    began = None
    for item in source.items():
        if isinstance(item, Frame):
            began = item.pts if began is None else began
            yield float((item.pts - began) * source.video.time_base + source.lead), np.ascontiguousarray(item.y)


def _psnr(a: np.ndarray, b: np.ndarray) -> float:
    error = cv2.norm(a, b, cv2.NORM_L2SQR) / a.size
    return IDENTICAL if error == 0 else min(float(10 * np.log10(255**2 / error)), IDENTICAL)
