"""Planes handed to PyAV without a copy: on host memory all of it is real; a GPU's planes get as far as the driver."""

import ctypes
import gc
import weakref

import av
import numpy as np
import pytest
from av.video.frame import CudaContext

from rtsr.frame import Colour, GpuFrame, GpuPlane
from rtsr.sink import dlpack
from rtsr.sink.dlpack import picture_of
from rtsr.source.nvdec import planes_of

WIDTH, HEIGHT, PITCH = 100, 72, 128


class Memory:
    """An NV12 picture in the host's memory, with rows that are padded; chroma somewhere behind luma."""

    def __init__(self, seed=0):
        self.all = np.random.default_rng(seed).integers(0, 256, (HEIGHT + 8 + HEIGHT // 2, PITCH), np.uint8)
        self.y, self.uv = self.all[:HEIGHT, :WIDTH], self.all[HEIGHT + 8 :, :WIDTH]

    def frame(self):
        planes = [GpuPlane(part.ctypes.data, PITCH, *part.shape) for part in (self.y, self.uv)]
        return GpuFrame(*planes, Colour("bt709"), holds=self)


def test_pixels_are_where_they_were():
    memory = Memory()
    picture = picture_of(memory.frame(), None)
    assert (picture.format.name, picture.width, picture.height) == ("nv12", WIDTH, HEIGHT)
    assert planes_of(picture) == (memory.frame().y, memory.frame().uv), "the same memory, by way of PyAV"
    np.testing.assert_array_equal(picture.to_ndarray(), np.concatenate([memory.y, memory.uv]))
    memory.y[:] = 7
    assert (picture.to_ndarray()[:HEIGHT] == 7).all(), "nothing was copied"


def test_memory_is_held_until_ffmpeg_lets_go():
    memory = Memory()
    kept = weakref.ref(memory)
    picture = picture_of(memory.frame(), None)
    del memory
    gc.collect()
    assert kept() is not None and len(dlpack._lent) == 2
    del picture
    gc.collect()
    assert kept() is None and not dlpack._lent


def test_an_encoder_reads_it_and_lets_go(tmp_path):
    memories = [Memory(n) for n in range(12)]
    wanted = [np.concatenate([memory.y, memory.uv]) for memory in memories]
    kept = [weakref.ref(memory) for memory in memories]
    with av.open(str(tmp_path / "out.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"crf": "0", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "nv12"
        while memories:
            picture = picture_of(memories.pop(0).frame(), None)
            picture.pts = 12 - len(memories)
            container.mux(stream.encode(picture))
        del picture
        container.mux(stream.encode())
    gc.collect()
    assert not any(one() for one in kept) and not dlpack._lent
    with av.open(str(tmp_path / "out.mkv")) as container:
        for picture, want in zip(container.decode(video=0), wanted, strict=True):
            np.testing.assert_array_equal(picture.reformat(format="nv12").to_ndarray(), want)


def test_planes_of_a_gpu_are_taken_for_such_and_given_back():
    """PyAV reads device, type, shape and strides before it asks for the GPU, which is not there."""
    memory = Memory()
    kept = weakref.ref(memory)
    with pytest.raises(av.error.FFmpegError, match="Operation not permitted"):
        picture_of(memory.frame(), CudaContext(0))
    del memory
    gc.collect()
    assert kept() is None and not dlpack._lent


def test_what_pyav_refuses_is_given_back():
    memory = Memory()
    wrong = memory.frame()
    # What the frame itself would not let through.
    object.__setattr__(wrong, "uv", GpuPlane(wrong.uv.address, PITCH, HEIGHT // 2 - 1, WIDTH))
    with pytest.raises(ValueError, match="plane 1 must have shape"):
        picture_of(wrong, None)
    gc.collect()
    assert not dlpack._lent


def test_planes_of_a_decoded_picture():
    """Real pictures of a decoder, padded as it likes: the bytes at the addresses are its pixels."""
    picture = av.VideoFrame(90, 50, "nv12")
    for n, plane in enumerate(picture.planes):
        plane.update(np.random.default_rng(n).bytes(plane.buffer_size))
    y, uv = planes_of(picture)
    assert y.pitch > y.columns == 90 and (y.rows, uv.rows, uv.columns) == (50, 25, 90)
    starts = [(plane.address + row * plane.pitch, plane.columns) for plane in (y, uv) for row in range(plane.rows)]
    pixels = b"".join(ctypes.string_at(*start) for start in starts)
    np.testing.assert_array_equal(np.frombuffer(pixels, np.uint8).reshape(75, 90), picture.to_ndarray())
