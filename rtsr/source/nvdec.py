"""Frames of a media file that NVIDIA's decoder leaves on the GPU, through PyAV."""

import errno
from pathlib import Path
from threading import Event

import av
from av.codec.hwaccel import HWAccel, HWDeviceType
from av.container import InputContainer
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from rtsr.errors import SourceError
from rtsr.frame import GpuFrame, GpuPlane
from rtsr.part import WHOLE, Part
from rtsr.source.pyav import PLANAR_420, Clock, PyAVSource, video_stream

CURE = "leave out --decode gpu"


class NvdecSource(PyAVSource):
    """As `PyAVSource`, decoded by NVDEC on GPU `device`; frames are `GpuFrame`s and have not been waited for.

    FFmpeg decodes in CUDA's default stream (its device context's stream is null) and returns before it is done, and
    PyAV's DLPack takes no stream for such frames. So whoever reads a frame first lets his own stream wait for the
    default stream, `rtsr.nvidia.cuda.FFMPEG_STREAM`, as `rtsr.nvidia.lane` does.

    A frame's memory is FFmpeg's, which uses it anew when the frame is let go: `GpuFrame.holds` is to be held until
    what reads it is done, not just queued.

    The memory is in the GPU's primary context, which is the CUDA runtime's. FFmpeg refuses one that was made with other
    settings than its own, so this comes before anything else of the process that uses the GPU.

    Raises SourceError as `PyAVSource` does, and for what is not 8-bit 4:2:0 with even sides, or not decoded by the GPU.
    """

    threads = "SLICE"  # With whole frames on several threads the decoder needs more surfaces, and is no quicker.

    def __init__(self, path: Path | str, device: int = 0, part: Part = WHOLE, stop: Event | None = None) -> None:
        self.device = device
        super().__init__(path, part, stop)

    def _open(self) -> InputContainer:
        with super()._open() as file:  # What is wrong with the file is said as always.
            _check(video_stream(file, self.name), self.name)
        wish = HWAccel("cuda", device=self.device, allow_software_fallback=False, is_hw_owned=True)
        try:
            return av.open(str(self.path.absolute()), hwaccel=wish)
        except (FFmpegError, OSError, ValueError, RuntimeError, NotImplementedError) as cause:
            if getattr(cause, "errno", None) == errno.ENOTSUP:
                raise SourceError(
                    f"{self.name}: FFmpeg does not share the GPU with what uses it in this process already; upscale in "
                    f"a process of its own, or {CURE}"
                ) from cause
            reason = getattr(cause, "strerror", None) or cause
            raise SourceError(f"{self.name}: GPU {self.device} decodes nothing here ({reason}); {CURE}") from cause

    def _read_first(self) -> av.VideoFrame:
        context = self._stream.codec_context
        try:
            first = super()._read_first()
        except SourceError as cause:
            kind = f"{context.name}{f' {context.profile}' if context.profile else ''}"
            raise SourceError(f"{cause}; where it plays, the GPU does not know {kind} at this size: {CURE}") from cause
        if first.format.name != "cuda" or first.sw_format is None or first.sw_format.name != "nv12":
            raise SourceError(f"{self.name}: the GPU makes {first.sw_format or first.format} of it, not NV12; {CURE}")
        # FFmpeg crops frames on the GPU at the right and at the bottom only.
        if (first.width, first.height) != (context.width, context.height):
            raise SourceError(f"{self.name} is cropped on the left or at the top, which the GPU does not do; {CURE}")
        return first

    def _frame(self, picture: av.VideoFrame, clock: Clock) -> GpuFrame:
        self._check_size(picture)
        pts, duration = clock.place(picture)
        return GpuFrame(*planes_of(picture), self.video.colour, pts, duration, holds=picture)


def planes_of(picture: av.VideoFrame) -> tuple[GpuPlane, GpuPlane]:
    """Where luma and chroma of an NV12 picture are; as long as somebody has `picture`."""
    luma, chroma = picture.planes
    return (
        GpuPlane(luma.buffer_ptr, luma.line_size, luma.height, luma.width),
        GpuPlane(chroma.buffer_ptr, chroma.line_size, chroma.height, 2 * chroma.width),
    )


def _check(stream: VideoStream, name: str) -> None:
    """Raise SourceError where `stream` is nothing that comes out of NVDEC as 8-bit NV12."""
    context = stream.codec_context
    assert isinstance(context, VideoCodecContext)
    if not any(
        way.is_supported and way.device_type == HWDeviceType.cuda for way in context.codec.hardware_configs or ()
    ):
        raise SourceError(f"{name}: PyAV decodes its {context.codec.canonical_name} on no NVIDIA GPU; {CURE}")
    if context.pix_fmt not in PLANAR_420:
        raise SourceError(f"{name}: its pictures are {context.pix_fmt}, not 8-bit 4:2:0 as on the GPU; {CURE}")
    if context.width % 2 or context.height % 2:
        raise SourceError(f"{name}: {context.width}x{context.height} is odd, which NV12 is not; {CURE}")
