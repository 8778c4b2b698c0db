"""`--decode gpu` from file to file: NVDEC and NVENC are stand-ins, and so is the GPU between them; all else is real.

The stand-in decoder has few surfaces, and pictures come into them as late as CUDA allows; FFmpeg itself decodes them,
on the processor. The stand-in encoder reads the GPU's memory when it gets a frame, and holds it until FFmpeg lets go.
"""

import errno
import gc
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

import rtsr
from rtsr import pipeline
from rtsr.errors import EngineError, SourceError, UsageError
from rtsr.frame import Frame, GpuFrame, GpuPlane
from rtsr.sink import pyav as sink
from rtsr.sink.dlpack import picture_of
from rtsr.sink.encoding import Encoding
from rtsr.source.nvdec import NvdecSource
from rtsr.source.pyav import PyAVSource
from tests.media import make_video, probe
from tests.nvidia import test_whole
from tests.nvidia.driver import FakeDriver
from tests.nvidia.test_nv12 import Decoder
from tests.nvidia.test_whole import LOSSLESS, FakeLibrary, frames_of, repeated

here = test_whole.here
SURFACES = 20
"""Of the decoder: those in the queue, those under way, and one."""


class FakeNvdec(NvdecSource):
    """Decodes on the processor, and puts pictures on the stand-in GPU."""

    driver: FakeDriver
    decoder: Decoder

    def _open(self) -> Any:
        return PyAVSource._open(self)

    def _read_first(self) -> av.VideoFrame:
        first = PyAVSource._read_first(self)
        FakeNvdec.decoder = Decoder(self.driver, SURFACES, first.height, first.width, pitch=first.width + 32)
        return first

    def _frame(self, picture: av.VideoFrame, clock: Any) -> GpuFrame:
        frame = PyAVSource._frame(self, picture, clock)
        assert isinstance(frame, Frame)
        pairs = np.stack([frame.u, frame.v], axis=-1).reshape(len(frame.u), -1)
        y, uv, holds = self.decoder.place()
        self.driver.write(y, frame.y)
        self.driver.write(uv, pairs)
        return GpuFrame(y, uv, frame.colour, frame.pts, frame.duration, holds)


@pytest.fixture
def gpu(here: FakeLibrary, monkeypatch: pytest.MonkeyPatch) -> FakeLibrary:
    """A machine with an NVIDIA GPU that decodes and encodes."""
    driver = here.driver

    def read(frame: GpuFrame, context: Any) -> av.VideoFrame:
        y, uv = (np.ascontiguousarray(driver.read(plane)) for plane in (frame.y, frame.uv))
        planes = [GpuPlane(a.ctypes.data, a.shape[1], *a.shape) for a in (y, uv)]
        return picture_of(GpuFrame(*planes, frame.colour, holds=(y, uv, frame.holds)), None)

    monkeypatch.setattr(FakeNvdec, "driver", driver, raising=False)
    monkeypatch.setattr(pipeline, "NvdecSource", FakeNvdec)
    monkeypatch.setattr(sink, "picture_of", read)
    monkeypatch.setattr(sink, "HWAccel", lambda *args, **more: None)
    return here


@pytest.fixture
def nvenc(monkeypatch: pytest.MonkeyPatch) -> None:
    """libx264 passes for an encoder on the GPU."""
    monkeypatch.setattr(pipeline, "NVENC", "264")


def job(source: Path, output: Path, **more: Any) -> rtsr.Job:
    return rtsr.Job(source, output, **{"scale": Fraction(2), "decode": "gpu", "encoding": LOSSLESS, **more})


def check(source: Path, output: Path) -> None:
    assert probe(output).seconds == probe(source).seconds
    for before, after in zip(frames_of(source), frames_of(output), strict=True):
        for name in ("y", "u", "v"):
            np.testing.assert_array_equal(getattr(after, name), repeated(getattr(before, name)))


def check_clean(here: FakeLibrary) -> None:
    gc.collect()
    assert FakeNvdec.decoder.held == 0
    FakeNvdec.decoder.close()
    here.driver.check_clean()


@pytest.mark.parametrize("engine", ["rtx", "auto"])
def test_frames_never_leave_the_gpu(gpu: FakeLibrary, nvenc: None, tmp_path: Path, engine: str) -> None:
    source = make_video(tmp_path / "in.mp4", frames=40, rotation=90)
    report = rtsr.run(job(source, tmp_path / "out.mp4", engine=engine))
    assert report.frames == 40 and report.notes == ()
    check(source, tmp_path / "out.mp4")
    assert not {"upload", "download"} & set(gpu.driver.calls)
    assert probe(tmp_path / "out.mp4").audio_packets == probe(source).audio_packets
    check_clean(gpu)


def test_frames_come_down_for_an_encoder_on_the_processor(gpu: FakeLibrary, tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", frames=40)
    report = rtsr.run(job(source, tmp_path / "out.mp4"))
    assert report.frames == 40 and report.notes == ()
    check(source, tmp_path / "out.mp4")
    assert "upload" not in gpu.driver.calls and "download" in gpu.driver.calls
    check_clean(gpu)


def test_it_is_one_argument_from_python(gpu: FakeLibrary, nvenc: None, tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", frames=3)
    rtsr.upscale(source, tmp_path / "out.mp4", scale=2, decode="gpu", encoding=LOSSLESS)
    check(source, tmp_path / "out.mp4")
    check_clean(gpu)


def test_what_is_reduced_comes_down_and_says_so(gpu: FakeLibrary, nvenc: None, tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", frames=5)
    report = rtsr.run(job(source, tmp_path / "out.mp4", scale=None, height=80))
    (note,) = report.notes
    assert note == (
        "frames went through memory on their way to libx264, where they were reduced from the network's 128x96"
    )
    assert probe(tmp_path / "out.mp4").size == report.output_size == (106, 80)
    check_clean(gpu)


def test_what_is_compared_comes_down_and_says_so(gpu: FakeLibrary, nvenc: None, tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", frames=5)
    rtsr.run(job(source, tmp_path / "first.mp4"))
    report = rtsr.run(job(source, tmp_path / "out.mp4", reference=tmp_path / "first.mp4"))
    assert report.notes == ("frames went through memory on their way to libx264, where they were compared",)
    assert report.reference == {"frames": 5, "psnr_y_db": 100.0}


def test_a_scale_that_takes_two_runs_is_refused_before_anything_is_written(gpu: FakeLibrary, tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", frames=2)
    with pytest.raises(UsageError, match=r"take one run of a network on it, and x4 is no such run of .*--decode gpu"):
        rtsr.run(job(source, tmp_path / "out.mp4", scale=Fraction(4)))
    assert list(tmp_path.glob("*.mp4")) == [source]


@pytest.mark.parametrize("n", [1, 4, 9])
def test_a_gpu_that_fails_ends_the_run_with_its_error(gpu: FakeLibrary, nvenc: None, tmp_path: Path, n: int) -> None:
    source = make_video(tmp_path / "in.mp4", frames=12)
    gpu.driver.fail_launch = n
    with pytest.raises(EngineError, match="illegal memory access"):
        rtsr.run(job(source, tmp_path / "out.mp4"))
    assert not (tmp_path / "out.mp4").exists()


def test_an_encoder_that_is_not_there_ends_the_run_before_its_first_frame(here: FakeLibrary, tmp_path: Path) -> None:
    """Real: PyAV asks for an encoder on a GPU, where there is no driver."""
    source = make_video(tmp_path / "in.mp4", frames=2)
    with PyAVSource(source) as opened, pytest.raises(rtsr.RtsrError, match=r"cannot write .*Operation not permitted"):
        sink.PyAVSink(tmp_path / "out.mp4", opened.video, opened, Encoding("h264_nvenc"), gpu=0)
    assert list(tmp_path.glob("*")) == [source]


class TestSource:
    def test_without_a_driver(self, tmp_path: Path) -> None:
        source = make_video(tmp_path / "in.mp4", frames=2)
        with pytest.raises(SourceError, match=r"GPU 0 decodes nothing here \(Operation not permitted\); leave out"):
            NvdecSource(source)

    @pytest.mark.parametrize(
        ("more", "said"),
        [
            ({"pix_fmt": "yuv420p10le", "codec": "libx265"}, "its pictures are yuv420p10le, not 8-bit 4:2:0"),
            ({"pix_fmt": "yuv444p"}, "its pictures are yuv444p, not 8-bit 4:2:0"),
            ({"codec": "libvpx-vp9", "size": (63, 48)}, "63x48 is odd, which NV12 is not"),
            ({"codec": "ffv1"}, "PyAV decodes its ffv1 on no NVIDIA GPU"),
        ],
        ids=["10 bits", "4:4:4", "odd", "no decoder"],
    )
    def test_what_the_gpu_does_not_decode_is_said_before_it_is_asked(
        self, tmp_path: Path, more: Any, said: str
    ) -> None:
        source = make_video(tmp_path / "in.mkv", frames=2, audio=False, **more)
        with pytest.raises(SourceError, match=f"{said}.*; leave out --decode gpu"):
            NvdecSource(source)

    def test_what_is_wrong_with_a_file_is_said_as_always(self, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match="does not exist; check the name"):
            NvdecSource(tmp_path / "none.mp4")

    def test_a_gpu_that_something_else_has_set_up(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What FFmpeg says where the primary context was made with other settings than its own."""
        source, real = make_video(tmp_path / "in.mp4", frames=2), av.open

        def refuse(name: str, **more: Any) -> Any:
            if more:
                raise OSError(errno.ENOTSUP, "Operation not supported")
            return real(name)

        monkeypatch.setattr(av, "open", refuse)
        with pytest.raises(SourceError, match="upscale in a process of its own, or leave out --decode gpu"):
            NvdecSource(source)

    def test_frames_that_are_not_on_the_gpu_are_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        source, real = make_video(tmp_path / "in.mp4", frames=2), av.open
        monkeypatch.setattr(av, "open", lambda name, **more: real(name))
        with pytest.raises(SourceError, match=r"the GPU makes .*yuv420p.* of it, not NV12; leave out --decode gpu"):
            NvdecSource(source)

    def test_a_picture_that_ffmpeg_does_not_crop_there(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        source, real = make_video(tmp_path / "in.mp4", frames=2), av.open
        kind = SimpleNamespace(name="cuda"), SimpleNamespace(name="nv12")
        first = SimpleNamespace(format=kind[0], sw_format=kind[1], width=66, height=48)
        monkeypatch.setattr(av, "open", lambda name, **more: real(name))
        monkeypatch.setattr(PyAVSource, "_read_first", lambda self: first)
        with pytest.raises(SourceError, match=r"is cropped on the left or at the top, .*; leave out --decode gpu"):
            NvdecSource(source)

    def test_a_decoder_that_makes_nothing_of_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        source, real = make_video(tmp_path / "in.mp4", frames=2), av.open
        monkeypatch.setattr(av, "open", lambda name, **more: real(name))
        monkeypatch.setattr(NvdecSource, "_decode", lambda self: (item for item in ()))
        with pytest.raises(SourceError, match=r"no pictures; .* the GPU does not know h264 .* at this size: leave"):
            NvdecSource(source)
