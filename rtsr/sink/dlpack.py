"""Frames on an NVIDIA GPU as PyAV's pictures, by DLPack: nothing is copied."""

import ctypes
from ctypes import POINTER, Structure, c_int32, c_int64, c_uint8, c_uint16, c_uint64, c_void_p

import av
from av.video.frame import CudaContext

from rtsr.frame import GpuFrame, GpuPlane

CPU, CUDA = 1, 2
"""Kinds of devices in DLPack."""
UNSIGNED = 1
NAME = b"dltensor"
"""What capsules are called that nobody has taken yet."""


class _Tensor(Structure):
    """DLTensor."""

    _fields_ = (
        ("data", c_void_p),
        ("device_type", c_int32),
        ("device_id", c_int32),
        ("ndim", c_int32),
        ("code", c_uint8),
        ("bits", c_uint8),
        ("lanes", c_uint16),
        ("shape", POINTER(c_int64)),
        ("strides", POINTER(c_int64)),
        ("byte_offset", c_uint64),
    )


_Deleter = ctypes.CFUNCTYPE(None, c_void_p)


class _Managed(Structure):
    """DLManagedTensor, and behind it, where only its pointers find them, shape and strides."""

    _fields_ = (("tensor", _Tensor), ("context", c_void_p), ("deleter", _Deleter), ("sides", c_int64 * 4))


_lent: dict[int, tuple[_Managed, object]] = {}
"""What FFmpeg has, by address, and what the memory belongs to."""
_new_capsule = ctypes.pythonapi.PyCapsule_New
_new_capsule.restype, _new_capsule.argtypes = ctypes.py_object, (c_void_p, ctypes.c_char_p, c_void_p)


@_Deleter
def _let_go(address: int) -> None:
    """Called by FFmpeg, on whichever of its threads is done with a plane last."""
    _lent.pop(address, None)


def picture_of(frame: GpuFrame, context: CudaContext | None) -> av.VideoFrame:
    """`frame` as an NV12 picture, which holds it until FFmpeg has let go of the last reference; no time is set.

    `context` is the GPU's primary one (`CudaContext(index)`), the same for all frames; None: the planes are in the
    host's memory. An encoder on the GPU reads it from its own stream some time later, so everything that writes to the
    frame must have been waited for. Raises FFmpegError where there is no such GPU.
    """
    made = [_managed(plane, context) for plane in (frame.y, frame.uv)]
    addresses = [ctypes.addressof(managed) for managed in made]
    _lent.update({address: (managed, frame.holds) for address, managed in zip(addresses, made, strict=True)})
    try:
        capsules = tuple(_new_capsule(address, NAME, None) for address in addresses)
        return av.VideoFrame.from_dlpack(capsules, format="nv12", cuda_context=context)
    except BaseException:
        for address in addresses:
            _lent.pop(address, None)
        raise


def _managed(plane: GpuPlane, context: CudaContext | None) -> _Managed:
    device = (CPU, 0) if context is None else (CUDA, context.device_id)
    made = _Managed(_Tensor(plane.address, *device, 2, UNSIGNED, 8, 1), None, _let_go)
    made.sides[:] = plane.rows, plane.columns, plane.pitch, 1
    sides = ctypes.addressof(made) + _Managed.sides.offset
    made.tensor.shape = ctypes.cast(sides, POINTER(c_int64))
    made.tensor.strides = ctypes.cast(sides + 2 * ctypes.sizeof(c_int64), POINTER(c_int64))
    return made
