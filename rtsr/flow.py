"""Frames on their way from a source to a sink, on three threads: decode, upscale and encode.

Queues between the threads are bounded (`rtsr.buffer`); the first error is raised in the caller.
"""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

from rtsr.buffer import buffered
from rtsr.frame import Frame, GpuFrame
from rtsr.pacing.delivery import Delivery
from rtsr.pacing.paced import PacedUpscaler
from rtsr.quality.reference import Reference
from rtsr.report import Progress
from rtsr.sink.pyav import PyAVSink
from rtsr.source.base import Copied, Item, Source
from rtsr.source.live import LiveSource
from rtsr.stopping import Stopping
from rtsr.upscaler import UnderWay, Upscaler

DEPTH = 6
"""Frames and packets that may wait between two stages."""
LIVE_DEPTH = 4
"""The same for a live input: what waits is late."""


@dataclass(frozen=True, slots=True, eq=False)
class Flow:
    """Everything from `source` to `sink`: decoding and upscaling on their own threads, encoding on the caller's."""

    source: Source
    upscaler: Upscaler | PacedUpscaler
    delivery: Delivery | None
    reference: Reference | None
    sink: PyAVSink
    progress: Progress
    stopping: Stopping
    stay: bool = False
    """Whether frames, which are on the GPU, stay there for the encoder."""
    _submitting: deque[float] = field(default_factory=deque)
    """Seconds that it took to submit each frame that is under way."""

    def run(self, watch: Callable[[Progress], None] | None = None) -> None:
        """Let everything through, and call `watch` after every frame."""
        depth = DEPTH if self.delivery is None or self.delivery.live is None else LIVE_DEPTH
        with closing(buffered(self._upscaled(buffered(self._decoded(), depth)), depth)) as items:
            try:
                self.stopping.check()
                for item in items:
                    with self.stopping.whole():
                        self._write(item)
                    if watch and not isinstance(item, Copied):
                        watch(self.progress)
                    self.stopping.check()
                self.stopping.check()
            finally:
                self.stopping.end()

    def _decoded(self) -> Generator[Item, None, None]:
        items = self.source.items()
        while True:
            began = time.perf_counter()
            item = next(items, None)
            if item is None:
                return
            if not isinstance(item, Copied):
                self.progress.seconds["decode"].append(time.perf_counter() - began)
            if self.delivery is not None and isinstance(item, Frame):
                waited = self.source.waited if isinstance(self.source, LiveSource) else 0.0  # Files are there.
                self.delivery.arrived(item, waited)
            yield item

    def _upscaled(self, items: Generator[Item, None, None]) -> Generator[Item, None, None]:
        with closing(items):
            if self.delivery is None:
                yield from self._overlapped(items)
            else:
                yield from self._in_time(items, self.delivery)

    def _in_time(self, items: Generator[Item, None, None], delivery: Delivery) -> Generator[Item, None, None]:
        for item in items:
            if not isinstance(item, Frame):
                yield item
                continue
            with _timed(self.progress, "upscale"):
                large = delivery.make(item)
            if large is not None:
                yield large

    def _overlapped(self, items: Generator[Item, None, None]) -> Generator[Item, None, None]:
        """All in the order in which they came, as many frames under way as the engine has lanes."""
        assert isinstance(self.upscaler, Upscaler)
        waiting: deque[UnderWay | Copied] = deque()
        for item in items:
            if isinstance(item, Copied):
                waiting.append(item)
            else:
                began = time.perf_counter()
                waiting.append(self._submitted(self.upscaler, item))
                self._submitting.append(time.perf_counter() - began)
            while waiting and (isinstance(waiting[0], Copied) or len(self._submitting) >= self.upscaler.lanes):
                yield self._collected(self.upscaler, waiting.popleft())
        while waiting:
            yield self._collected(self.upscaler, waiting.popleft())

    def _submitted(self, upscaler: Upscaler, item: Frame | GpuFrame) -> UnderWay:
        size = self.sink.video.width, self.sink.video.height
        return upscaler.submit(item, *size) if isinstance(item, Frame) else upscaler.submit_gpu(item, *size, self.stay)

    def _collected(self, upscaler: Upscaler, item: UnderWay | Copied) -> Item:
        if isinstance(item, Copied):
            return item
        began = time.perf_counter()
        large = upscaler.collect_gpu(item) if self.stay else upscaler.collect(item)
        self.progress.seconds["upscale"].append(self._submitting.popleft() + time.perf_counter() - began)
        return large

    def _write(self, item: Item) -> None:
        if isinstance(item, Copied):
            self.sink.write(item)
            return
        if self.reference is not None and isinstance(item, Frame):
            self.reference.compare(item)
        with _timed(self.progress, "encode"):
            self.sink.write(item)
        if self.delivery is not None and isinstance(item, Frame):
            self.delivery.written(item)
        self.progress.done += 1


@contextmanager
def _timed(progress: Progress, stage: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    progress.seconds[stage].append(time.perf_counter() - began)
