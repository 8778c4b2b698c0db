"""Decoders end with what opened them: their threads and memory are not left to the garbage collector."""

import gc
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import islice
from pathlib import Path
from threading import Event

import av
import pytest

import rtsr
from rtsr.errors import SourceError, UsageError
from rtsr.frame import Colour, Video
from rtsr.quality.comparison import read_input
from rtsr.quality.reference import Reference
from rtsr.source.live import PlayedSource
from rtsr.source.pyav import PyAVSource
from tests.media import make_unreadable_colours, make_video

TASKS = Path("/proc/self/task")

pytestmark = pytest.mark.skipif(not TASKS.is_dir(), reason="native threads are counted in Linux's /proc")


def threads() -> int:
    """Of this process, Python's and native ones."""
    return len(list(TASKS.iterdir()))


@pytest.fixture(autouse=True)
def uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_video(tmp_path / "in.mp4", frames=8)


def in_part(source: PyAVSource) -> None:
    with source:
        assert len(list(islice(source.items(), 3))) == 3


def test_a_source_that_is_left(clip: Path) -> None:
    read_input(clip)  # OpenCV's own threads are made once, and stay.
    before = threads()
    for _ in range(3):
        with PyAVSource(clip):
            pass
        in_part(PyAVSource(clip))
        in_part(PlayedSource(clip, Event()))
        read_input(clip)
        assert threads() == before


def test_a_source_that_cannot_be_opened(tmp_path: Path) -> None:
    source, before = make_unreadable_colours(tmp_path / "in.mkv"), threads()
    for _ in range(3):
        with pytest.raises(SourceError, match="matrix 8"):
            PyAVSource(source)
    assert threads() == before


def test_a_reference(tmp_path: Path, clip: Path) -> None:
    before = threads()
    video = Video(64, 48, Colour("bt709"), Fraction(1, 30))
    with Reference(clip, video):
        pass
    with pytest.raises(UsageError, match="is 64x48"):
        Reference(clip, video.resized(128, 96))
    joined = tmp_path / "joined.ts"
    parts = [make_video(tmp_path / f"{side}.ts", frames=1, size=(side, 48), audio=False) for side in (64, 96)]
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    with pytest.raises(SourceError, match="size changes"):
        Reference(joined, video)
    assert threads() == before


def test_whole_runs(tmp_path: Path, clip: Path) -> None:
    def upscale(**wishes: object) -> None:
        rtsr.upscale(clip, tmp_path / "out.mp4", engine="bicubic", overwrite=True, **wishes)  # type: ignore[arg-type]

    upscale(scale=2)  # As above.
    before = threads()
    for _ in range(3):
        upscale(scale=2)
        with suppress(UsageError):
            upscale(height=44)
        assert threads() == before


def test_pictures_are_freed_with_their_source(clip: Path) -> None:
    with PyAVSource(clip):
        pass
    assert not [found for found in gc.get_objects() if isinstance(found, av.VideoFrame)]
