"""Frames and sound of a VapourSynth script's output nodes."""

import os
from collections.abc import Generator, Iterator
from contextlib import chdir, closing
from fractions import Fraction
from pathlib import Path
from threading import Event
from types import ModuleType
from typing import Any, Self

import av
import numpy as np
from av.container import InputContainer
from av.stream import Stream

from rtsr.errors import SourceError, need
from rtsr.frame import MATRICES, Colour, Frame, Video
from rtsr.part import WHOLE, Part
from rtsr.source.base import Copied, Item
from rtsr.source.cut import Cut
from rtsr.source.sound import encode_sound

SCRIPT = ".vpy"
"""File type of scripts."""
UNSPECIFIED, BT709, BT601, BT2020 = 2, 1, 6, 9
HD_LINES = 720
FINE = Fraction(1, 90000)
"""Time base of clips whose frame rate varies."""


class VapourSynthSource:
    """The first video output of the script `path`, and all its audio outputs; or `part` of them.

    The script runs here, in its own folder. Pictures become 8-bit 4:2:0, with the script's matrix and range; sound
    becomes FLAC, which loses nothing of whole samples. Raises SourceError for a script that fails or has no video
    that can be read, MissingDependency where VapourSynth is not installed.
    """

    stream: Stream | None = None

    def __init__(self, path: Path, part: Part = WHOLE, stop: Event | None = None) -> None:
        self.path = path
        self._part, self._stop = part, stop
        self._cut: Cut | None = None
        self.notes: list[str] = []
        self.metadata: dict[str, str] = {}
        self._vs = need("vapoursynth", "vs")
        self._container: InputContainer | None = None
        self._sound = None
        try:
            outputs = self._evaluate()
            clip = self._clip(outputs)
            first = self._frame(clip, 0)
            self._node, whole = self._prepare(clip, dict(first.props))
            self.video = part.limit(whole)
            nodes = [node for _, node in sorted(outputs.items()) if isinstance(node, self._vs.AudioNode)]
            if nodes:
                self._sound, notes = encode_sound(self._vs, nodes, path)
                self.notes += notes
                self._container = av.open(self._sound.name)
        except BaseException:
            self.__exit__()
            raise

    @property
    def others(self) -> list[Stream]:
        """The sound's streams."""
        return [] if self._container is None else list(self._container.streams)

    def chapters(self) -> list:
        """None: scripts have no chapters."""
        return []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._vs.clear_outputs()
        if self._container is not None:
            self._container.close()
        if self._sound is not None:
            self._sound.close()

    def items(self) -> Generator[Item, None, None]:
        """Every frame in order, and packets of sound before the frame that they start with or before. Runs once."""
        if not self._part:
            yield from self._items(0)
            return
        # Where each frame lasts as long as any other, those before the part are not asked for.
        first = 0 if self.video.rate is None else int(self._part.start * self.video.rate)
        items = self._items(min(first, self._node.num_frames - 1))
        self._cut = Cut(self._part, 0, self.video, self.others, str(self.path), self._stop)
        yield from self._cut.items(items)

    @property
    def lead(self) -> Fraction:
        """Seconds by which the first frame of the part follows its start."""
        return Fraction(0) if self._cut is None else self._cut.lead

    def _items(self, first: int) -> Generator[Frame | Copied, None, None]:
        """From the frame `first` on."""
        sound, waiting = self._packets(), None
        pts, base = Fraction(first), self.video.time_base
        try:
            with closing(self._node[first:].frames()) as frames:
                for n, picture in enumerate(frames, first):
                    while (waiting := waiting or next(sound, None)) and waiting[0] <= pts * base:
                        yield waiting[1]
                        waiting = None
                    duration = self._duration(n, picture.props) / base
                    y, u, v = (np.asarray(picture[i]) for i in range(3))
                    yield Frame(y, u, v, self.video.colour, round(pts), round(pts + duration) - round(pts))
                    pts += duration
        except self._vs.Error as cause:
            raise SourceError(f"{self.path}: {_line(cause)}") from cause
        if waiting:
            yield waiting[1]
        yield from (copied for _, copied in sound)

    def _evaluate(self) -> dict[int, Any]:
        """Run the script; returns its outputs by number."""
        if not os.path.isfile(self.path):
            raise SourceError(f"{self.path} does not exist; check the name")
        self._vs.clear_outputs()
        try:
            code = compile(self.path.read_text("utf-8"), str(self.path), "exec")
            with chdir(self.path.absolute().parent):
                exec(code, {"__name__": "__vapoursynth__", "__file__": str(self.path.absolute())})
        except KeyboardInterrupt:
            raise
        except BaseException as cause:  # Whatever a script raises, SystemExit included.
            raise SourceError(f"{self.path} fails{_place(cause, self.path)}: {_line(cause)}") from cause
        return dict(self._vs.get_outputs())

    def _clip(self, outputs: dict[int, Any]) -> Any:
        videos = [outputs[n] for n in sorted(outputs) if isinstance(outputs[n], self._vs.VideoOutputTuple)]
        if not videos:
            raise SourceError(f"{self.path} has no video output; end it with clip.set_output()")
        if videos[0].alpha is not None:
            self.notes.append("transparency was left out")
        self.notes += [f"{len(videos) - 1} more video outputs were left out"] if len(videos) > 1 else []
        clip = videos[0].clip
        if clip.format is None or not clip.width or not clip.height:
            raise SourceError(f"{self.path}: its clip changes its format or size; make both constant first")
        if clip.width % 2 or clip.height % 2:
            raise SourceError(f"{self.path}: {clip.width}x{clip.height} is odd; add core.std.Crop(clip, right=1, ...)")
        return clip

    def _frame(self, clip: Any, n: int) -> Any:
        try:
            return clip.get_frame(n)
        except self._vs.Error as cause:
            raise SourceError(f"{self.path}: {_line(cause)}") from cause

    def _prepare(self, clip: Any, props: dict[str, Any]) -> tuple[Any, Video]:
        """The clip in 8-bit 4:2:0, and what it is."""
        vs, form = self._vs, clip.format
        code = int(props.get("_Matrix", UNSPECIFIED))
        if code == UNSPECIFIED or form.color_family != vs.YUV:
            code = BT709 if clip.height >= HD_LINES else BT601
        if code not in MATRICES:
            raise SourceError(f"{self.path}: the colour matrix {code} is not known; convert it to BT.709 first")
        site, full = int(props.get("_ChromaLocation", 0)), int(props.get("_Range", 0)) == 1
        if form.color_family != vs.YUV:
            clip, full = clip.resize.Bicubic(format=vs.YUV420P8, matrix=code, range=vs.RANGE_LIMITED), False
        elif form.id != vs.YUV420P8 or site > 1:
            clip = clip.resize.Bicubic(format=vs.YUV420P8, chromaloc=site % 2, matrix_in=code)
        self.notes += _reductions(vs, form, props)
        aspect = (int(props.get("_SARNum", 1)), int(props.get("_SARDen", 1)))
        constant = clip.fps > 0
        return clip, Video(
            width=clip.width,
            height=clip.height,
            colour=Colour(MATRICES[code], full, chroma_left=site % 2 == 0),
            time_base=1 / clip.fps if constant else FINE,
            rate=clip.fps if constant else None,
            frames=clip.num_frames,
            sample_aspect=Fraction(*aspect) if min(aspect) > 0 else Fraction(1),
            matrix=code,
            primaries=int(props.get("_Primaries", UNSPECIFIED)),
            transfer=int(props.get("_Transfer", UNSPECIFIED)),
        )

    def _duration(self, n: int, props: Any) -> Fraction:
        """Of a frame, in seconds."""
        if self.video.rate:
            return 1 / self.video.rate
        num, den = props.get("_DurationNum", 0), props.get("_DurationDen", 0)
        if num <= 0 or den <= 0:
            raise SourceError(f"{self.path}: frame {n} has no duration; give the clip a rate with core.std.AssumeFPS")
        return Fraction(num, den)

    def _packets(self) -> Iterator[tuple[Fraction, Copied]]:
        """Packets of sound, each with its time in seconds."""
        if self._container is not None:
            for packet in self._container.demux():
                if packet.size and packet.pts is not None and packet.time_base is not None:
                    yield packet.pts * packet.time_base, Copied(packet.stream.index, packet)


def _reductions(vs: ModuleType, form: Any, props: dict[str, Any]) -> list[str]:
    """What 8-bit 4:2:0 cannot keep."""
    lost = []
    if form.bits_per_sample > 8:
        lost.append(f"{form.bits_per_sample} bits a sample became 8")
    if form.color_family != vs.GRAY and form.subsampling_h == 0:
        lost.append("chroma at full height became 4:2:0")
    if props.get("_FieldBased", 0):
        lost.append("interlaced pictures were upscaled as whole frames; deinterlace the input first")
    return lost


def _place(cause: BaseException, path: Path) -> str:
    """In which line of the script `cause` was raised."""
    line = getattr(cause, "lineno", None) if isinstance(cause, SyntaxError) else None
    trace = cause.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return f" in line {line}" if line else ""


def _line(cause: BaseException) -> str:
    return (str(cause) or type(cause).__name__).strip().splitlines()[-1]
