"""What a capture does to a picture: resampling without antialiasing, 4:2:0, H.264 at phone bit rates."""

import io
from fractions import Fraction

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from rtsr.imresize import imresize


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
    pixels so that the third is predicted with motion, and the third is decoded again.
    """
    height, width = image.shape[:2]
    padded = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    buffer = io.BytesIO()
    options = {"crf": str(crf), "preset": "veryfast", "bf": "0"}
    if codec == "libx265":
        options["x265-params"] = "log-level=none"
    with av.open(buffer, "w", format="matroska") as out:
        stream = out.add_stream(codec, rate=30, options=options)
        stream.width, stream.height, stream.pix_fmt = padded.shape[1], padded.shape[0], "yuv420p"
        for step in (2, 1, 0):
            moved = np.roll(padded, (shift[0] * step, shift[1] * step), axis=(0, 1))
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(moved), format="rgb24")
            frame = frame.reformat(
                format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG", interpolation="BICUBIC"
            )
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    buffer.seek(0)
    with av.open(buffer) as back:
        *_, last = back.decode(video=0)
        rgb = last.reformat(
            format="rgb24", src_colorspace="ITU709", src_color_range="MPEG", interpolation="BICUBIC"
        )
        return rgb.to_ndarray()[:height, :width]
