"""What rtsr can use on this machine, and for what it cannot, the reason and the line that helps."""

import platform
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from importlib.metadata import version
from importlib.util import find_spec

import av
import av.error
import av.logging
import numpy as np
import onnxruntime
from av.codec.hwaccel import HWAccel, hwdevices_available

from rtsr.engine.int8 import open_int8, trial
from rtsr.engine.onnx import OnnxEngine
from rtsr.engine.providers import CPU, TABLE, check_built
from rtsr.errors import RtsrError
from rtsr.nvidia.cuda import CudaDriver
from rtsr.nvidia.library import MODULES, NAMES, load_library
from rtsr.nvidia.opening import Ready, find, find_any
from rtsr.nvidia.presence import driver_version
from rtsr.nvidia.store import cache_folder, files
from rtsr.resources import networks

ENCODERS = {
    "libx264": "H.264 on the processor",
    "libx265": "H.265 on the processor",
    "libsvtav1": "AV1 on the processor",
    "h264_nvenc": "H.264 on an NVIDIA GPU",
    "hevc_nvenc": "H.265 on an NVIDIA GPU",
    "av1_nvenc": "AV1 on an NVIDIA GPU",
    "h264_qsv": "H.264 on an Intel GPU",
    "hevc_qsv": "H.265 on an Intel GPU",
    "h264_amf": "H.264 on an AMD GPU",
    "h264_videotoolbox": "H.264 on a Mac",
    "hevc_videotoolbox": "H.265 on a Mac",
}
"""What `--codec` may be worth giving."""
DECODERS = ("h264", "hevc", "av1", "vp9")
CLOSE = 1e-2
"""Difference to the processor, white being 1, above which a provider computes something else."""
INSTALL = re.compile(r"pip (?:un)?install .*$")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that rtsr may use."""

    part: str
    """What it belongs to."""
    name: str
    works: bool
    detail: str
    """What it is; or why it is of no use, with what helps."""

    @property
    def install(self) -> str:
        """The line that installs what is missing; empty where there is none."""
        found = INSTALL.search(self.detail)
        return found[0] if found and not self.works else ""


def examine() -> Iterator[Finding]:
    """Everything that is looked at, in a few seconds; nothing is built or changed."""
    yield Finding("rtsr", "rtsr", True, f"{version('rtsr')}, Python {platform.python_version()}, {platform.platform()}")
    yield _tried("rtsr", "networks", _networks)
    yield _tried("rtsr", "--engine auto", _automatic)
    for name in TABLE:
        yield _tried("ONNX Runtime", name, lambda name=name: _provider(name))
    yield _tried("ONNX Runtime", "--precision int8", _int8)
    yield _tried("NVIDIA", "driver", _driver)
    yield from _gpus()
    for kind in MODULES:
        yield _tried("NVIDIA", NAMES[kind], lambda kind=kind: _library(kind))
    yield _tried("NVIDIA", "cache of engines", _cache)
    yield _tried("VapourSynth", "VapourSynth", _vapoursynth)
    yield _tried("video", "PyAV", lambda: f"{av.__version__}, decodes {', '.join(_decoders())}")
    level = av.logging.get_level()
    av.logging.set_level(av.logging.PANIC)
    try:
        yield _tried("video", "NVDEC", _nvdec)
        for codec, what in ENCODERS.items():
            yield _tried("video", codec, lambda codec=codec, what=what: _encoder(codec, what))
    finally:
        av.logging.set_level(level)


class _Missing(Exception):
    """Something is of no use; the message says why."""


def _tried(part: str, name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(part, name, True, look())
    except (RtsrError, _Missing) as cause:
        return Finding(part, name, False, str(cause))
    except Exception as cause:  # Whatever a driver or a package that is half installed comes up with.
        return Finding(part, name, False, (str(cause) or repr(cause)).splitlines()[0])


def _networks() -> str:
    found = networks()
    if not found:
        raise _Missing("none is installed; reinstall rtsr")
    return f"{len(found)} shipped; see: rtsr models"


def _automatic() -> str:
    """What runs where nothing is said."""
    ready = find_any()
    if isinstance(ready, Ready):
        return f"takes {ready.describe()}"
    network = next(network for network in networks().values() if not network.card.exits)
    return f"takes {OnnxEngine(network.card, network.path, 1, 'auto').runtime}; {ready}"


def _provider(name: str) -> str:
    """Of a provider that made a picture larger, as the processor does."""
    provider = TABLE[name]
    check_built(provider)
    network = next(network for network in networks().values() if not network.card.exits)
    image = np.random.default_rng(0).random((1, 3, 32, 32), np.float32)
    results = [OnnxEngine(network.card, network.path, 1, kind).infer(image) for kind in {CPU.name: 0, name: 0}]
    off = float(np.abs(results[0] - results[-1]).max())
    if off > CLOSE:
        raise _Missing(f"{provider.title} computes something else than the processor: off by {off:.2g}")
    return f"{onnxruntime.__version__}" + (f", differs from the processor by {off:.1g}" if name != CPU.name else "")


def _int8() -> str:
    """What 8 bits save on this processor, if it computes them right."""
    network = next((network for network in networks().values() if network.card.int8), None)
    if network is None:
        raise _Missing("no network has a form in 8 bits; reinstall rtsr")
    open_int8(network, None, "cpu").__exit__()
    share = trial(network).share
    return f"{share:.2g} of the time of floats on the processor, by {network.card.arch} x{float(network.card.scale):g}"


def _driver() -> str:
    found = driver_version()
    if found is None:
        raise _Missing("there is no NVIDIA driver; with an NVIDIA GPU, install it from its maker")
    return "for CUDA {}.{} and older".format(*found)


def _gpus() -> Iterator[Finding]:
    if driver_version() is None:
        return
    try:
        devices = CudaDriver().devices()
    except RtsrError as cause:
        yield Finding("NVIDIA", "GPU", False, str(cause))
        return
    for device in devices:
        yield Finding("NVIDIA", f"GPU {device.index}", True, str(device))


def _library(kind: str) -> str:
    library = load_library(kind)
    if driver_version() is None:
        ahead = f"{library.version} builds engines ahead of time here" if library.capabilities else library.version
        raise _Missing(f"{ahead}, but runs none: there is no NVIDIA driver")
    ready = find(kind)
    return f"{library.version}, runs on {ready.device.name}"


def _cache() -> str:
    folder = cache_folder()
    kept = files()
    size = sum(path.stat().st_size for path in kept)
    above = next(path for path in (folder, *folder.parents) if path.exists())
    if not above.is_dir():
        raise _Missing(f"{above} is no folder; set RTSR_CACHE to another")
    free = shutil.disk_usage(above).free
    return f"{folder}, {len(kept)} files, {size / 1e6:.1f} MB; {free / 1e9:.0f} GB free"


def _vapoursynth() -> str:
    if find_spec("vapoursynth") is None:
        if sys.version_info < (3, 12):
            raise _Missing("needs Python 3.12 or newer, and there: pip install 'rtsr[vs]'")
        raise _Missing("not installed; try: pip install 'rtsr[vs]'")
    import vapoursynth  # pyright: ignore[reportMissingImports]

    sources = [name for name in ("bs", "lsmas", "ffms2") if hasattr(vapoursynth.core, name)]
    reads = f"reads files with {', '.join(sources)}" if sources else "has no source: pip install vapoursynth-bestsource"
    return f"{vapoursynth.core.version_number()}, {reads}"


def _decoders() -> list[str]:
    return [name for name in DECODERS if name in av.codecs_available]


def _nvdec() -> str:
    """Of an NVIDIA GPU that FFmpeg opens; what it decodes shows with a video only."""
    what = "decodes on an NVIDIA GPU (--decode gpu)"
    if "cuda" not in hwdevices_available():
        raise _Missing(f"{what}: PyAV {av.__version__} comes without it on {sys.platform}")
    try:
        # A context of its own: the one that is shared would be set up for the rest of the process.
        av.CodecContext.create("h264", "r", hwaccel=HWAccel("cuda", allow_software_fallback=False))
    except (av.error.FFmpegError, OSError, ValueError) as cause:
        raise _Missing(f"{what}: {_said(cause)}") from cause
    return what


def _said(cause: Exception) -> str:
    return str(cause).rpartition("] ")[2].strip().rstrip(".")


def _encoder(codec: str, what: str) -> str:
    """Of an encoder that really opens: PyAV lists those of hardware that is not here, too."""
    if codec not in av.codecs_available:
        raise _Missing(f"{what}: PyAV {av.__version__} comes without it on {sys.platform}")
    if codec.startswith("lib"):  # Needs nothing that could be missing, and some say much when they are opened.
        return what
    context = av.CodecContext.create(codec, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.time_base = 640, 360, Fraction(1, 30)
    context.pix_fmt = "nv12" if codec.endswith("_qsv") else "yuv420p"
    try:
        context.open()
    except (av.error.FFmpegError, OSError, ValueError) as cause:
        raise _Missing(f"{what}: {_said(cause)}") from cause
    return what
