"""What a capture does to a picture: resampling without antialiasing, 4:2:0, H.264 at phone bit rates."""

import io
from fractions import Fraction

import av
import cv2
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from rtsr.colour import from_rgb, to_rgb
from rtsr.frame import Colour
from rtsr.quality.imresize import imresize

BT709 = Colour("bt709")


def shrink(image: NDArray, scale: Fraction, how: str) -> NDArray:
    """Reduce `image` (H, W, 3, uint8, sides multiples of the scale) by `scale`.

    `bicubic` is MATLAB's antialiased one; `area` averages; `point` reads a cubic interpolation at each
    low-resolution pixel's centre with no antialiasing, as a renderer without it samples its scene.
    """
    height, width = (int(side / scale) for side in image.shape[:2])
    if how == "bicubic":
        return imresize(image, height, width)
    method = {"area": cv2.INTER_AREA, "point": cv2.INTER_CUBIC}[how]
    return cv2.resize(image, (width, height), interpolation=method)


def compress(image: NDArray, crf: int, codec: str, shift: tuple[int, int]) -> NDArray:
    """`image` (H, W, 3, uint8 RGB) after a trip through a phone's encoder, same shape.

    Three frames are encoded as 4:2:0 limited-range BT.709, the first two displaced by `shift` (dy, dx)
    pixels so that the third is predicted with motion, and the third is decoded again. The colours go
    through `rtsr.colour`, as they do when a capture is upscaled: libswscale's own RGB conversion darkens
    by about a level, which a network would learn to undo.
    """
    height, width = image.shape[:2]
    padded = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    buffer = io.BytesIO()
    options = {"crf": str(crf), "preset": "veryfast", "bf": "0"}
    if codec == "libx265":
        options["x265-params"] = "log-level=none"
    with av.open(buffer, "w", format="matroska") as out:
        stream = out.add_stream(codec, rate=30, options=options)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = padded.shape[1], padded.shape[0], "yuv420p"
        for step in (2, 1, 0):
            moved = np.roll(padded, (shift[0] * step, shift[1] * step), axis=(0, 1))
            planes = from_rgb(np.ascontiguousarray(moved.transpose(2, 0, 1), np.float32) / np.float32(255), BT709)
            stacked = np.concatenate([plane.ravel() for plane in planes]).reshape(-1, padded.shape[1])
            out.mux(stream.encode(av.VideoFrame.from_ndarray(stacked, format="yuv420p")))
        out.mux(stream.encode())
    buffer.seek(0)
    with av.open(buffer, "r") as back:
        *_, last = back.decode(video=0)
    y, u, v = np.split(last.to_ndarray().ravel(), np.cumsum([last.width * last.height, last.width * last.height // 4]))
    half = (last.height // 2, last.width // 2)
    rgb = to_rgb(y.reshape(last.height, last.width), u.reshape(half), v.reshape(half), BT709)[0]
    return (rgb * 255).round().astype(np.uint8).transpose(1, 2, 0)[:height, :width]
