"""A GPU for tests: CUDA's rules of memory, streams, events and graphs, and an order of work that is never kind.

Work queued in streams runs late: not before somebody waits for it, or, with a seed, at any moment after it was
queued. Only the order within a stream, and events, are kept. So a wait that is missing shows as wrong numbers; what
CUDA would not forgive raises `Misuse`, which is no RtsrError, so that nothing hides it.
"""

import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count
from threading import get_ident

import numpy as np
from numpy.typing import NDArray

from rtsr.errors import EngineError
from rtsr.frame import GpuPlane
from rtsr.nvidia.cuda import FFMPEG_STREAM, Device, OutOfGpuMemory, Versions

NEW, FREED = 0xCD, 0xDD
"""What memory is filled with."""


class Misuse(AssertionError):
    """A call that CUDA forbids, or leaves undefined."""


@dataclass(eq=False)
class Block:
    """Allocated memory."""

    kind: str
    address: int
    data: NDArray[np.uint8]
    device: int
    alive: bool = True
    doomed: bool = False
    """Given to `free_async`: nothing new may use it."""

    def view(self, address: int, size: int) -> NDArray[np.uint8]:
        if not self.alive:
            raise Misuse(f"{self.kind} memory used after it was freed")
        start = address - self.address
        if start + size > len(self.data):
            raise Misuse(f"{size} bytes at {start} of {len(self.data)} bytes of {self.kind} memory")
        return self.data[start : start + size]


@dataclass(eq=False)
class Recording:
    """A moment of a stream."""

    stream: int
    done: bool = False


@dataclass(eq=False)
class Op:
    """Queued work; `after` must be done before it runs."""

    name: str
    run: Callable[[], None]
    blocks: tuple[Block, ...] = ()
    after: Recording | None = None
    owner: object = None
    graph: int | None = None


@dataclass(eq=False)
class Capture:
    stream: int
    thread: int
    ops: list[Op] = field(default_factory=list)
    broken: bool = False


class FakeDriver:
    """A `Driver`. `total` bytes of memory; `seed` None: work runs as late as it can, else at random.

    `fail_malloc`: the allocation of this number, from 1, finds no memory. `fail_launch`: the network's run of this
    number kills the GPU, as a bad kernel does: it and every later call raise.
    """

    def __init__(
        self, total: int = 1 << 34, seed: int | None = None, devices: int = 1, capability: tuple[int, int] = (8, 9)
    ) -> None:
        self.total, self.capability = total, capability
        self.fail_malloc: int | None = None
        self.fail_launch: int | None = None
        self.dead = False
        self.calls: list[str] = []
        self.launches = self.runs = self.mallocs = 0
        self.most = 0
        """Bytes of device memory in use at a time, at most."""
        self.misuses: list[str] = []
        self._random = None if seed is None else random.Random(seed)
        self._devices = devices
        self._current: dict[int, int] = {}
        self._blocks: dict[int, Block] = {}
        self._graveyard: list[Block] = []
        self._streams: dict[int, deque[Op]] = {FFMPEG_STREAM: deque()}
        self._homes: dict[int, int] = {}
        self._events: dict[int, Recording | None] = {}
        self._graphs: dict[int, list[Op]] = {}
        self._capture: Capture | None = None
        self._handles = count(FFMPEG_STREAM + 1)
        self._addresses = count(1 << 40, 1 << 32)

    def versions(self) -> Versions:
        return Versions((13, 0), (13, 0))

    def devices(self) -> tuple[Device, ...]:
        return tuple(
            Device(i, f"Fake {i}", self.capability, self.total, 10, 1_000_000_000, 100_000_000_000)
            for i in range(self._devices)
        )

    def use(self, index: int) -> None:
        self._enter("use")
        self._current[get_ident()] = index

    def memory(self) -> tuple[int, int]:
        return self.total - self._used(), self.total

    def malloc(self, size: int) -> int:
        self._enter("malloc", captured=False)
        return self._malloc("device", size)

    def free(self, address: int) -> None:
        self._free("device", address)

    def malloc_async(self, size: int, stream: int) -> int:
        self._stream(stream)
        self._enter("malloc_async", captured=False)
        return self._malloc("pool", size)

    def free_async(self, address: int, stream: int) -> None:
        block = self._owned("pool", address)
        if block.doomed:
            raise Misuse("memory of the pool freed twice")
        block.doomed = True

        def release() -> None:
            self._check_unused(block)
            self._bury(block)

        if self.dead:
            self._bury(block)
        self._enter("free_async", captured=False)
        self._stream(stream).append(Op("free", release))

    def malloc_host(self, size: int) -> int:
        self._enter("malloc_host", captured=False)
        return self._malloc("pinned", size)

    def free_host(self, address: int) -> None:
        self._free("pinned", address)

    def upload(self, device: int, host: int, size: int, stream: int) -> None:
        self._copy("upload", device, host, size, stream, "pinned")

    def download(self, host: int, device: int, size: int, stream: int) -> None:
        self._copy("download", host, device, size, stream, "device")

    def copy_rows(
        self, to: int, to_pitch: int, source: int, source_pitch: int, width: int, rows: int, stream: int
    ) -> None:
        self._enter("copy_rows")
        if width > min(to_pitch, source_pitch):
            raise Misuse("rows that overlap")
        target, origin = self.block("device", to), self.block("device", source)
        pairs = [
            (target.view(to + row * to_pitch, width), origin.view(source + row * source_pitch, width))
            for row in range(rows)
        ]

        def run() -> None:
            if not (target.alive and origin.alive):
                raise Misuse("memory used after it was freed")
            for large, small in pairs:
                large[:] = small

        self._queue(stream, Op("copy_rows", run, (target, origin)))

    def create_stream(self) -> int:
        self._enter("create_stream")
        stream = next(self._handles)
        self._streams[stream], self._homes[stream] = deque(), self.here()
        return stream

    def destroy_stream(self, stream: int) -> None:
        if self._streams.pop(stream) and not self.dead:
            raise Misuse("a stream destroyed with work in it")
        self._enter("destroy_stream")

    def synchronize(self, stream: int) -> None:
        self._enter("synchronize", captured=False)
        self._drain(stream)
        self._alive()

    def create_event(self) -> int:
        self._enter("create_event")
        event = next(self._handles)
        self._events[event] = None
        return event

    def destroy_event(self, event: int) -> None:
        moment = self._events.pop(event)
        if moment is not None and not moment.done and not self.dead:
            raise Misuse("an event destroyed before it was reached")
        self._enter("destroy_event")

    def record(self, event: int, stream: int) -> None:
        self._enter("record")
        moment = self._events[event] = Recording(stream)
        self._queue(stream, Op("record", lambda: setattr(moment, "done", True)))

    def wait(self, stream: int, event: int) -> None:
        self._enter("wait")
        self._queue(stream, Op("wait", lambda: None, after=self._events[event]))

    def synchronize_event(self, event: int) -> None:
        self._enter("synchronize_event", captured=False)
        moment = self._events[event]
        if moment is not None:
            self._reach(moment)
        self._alive()

    def begin_capture(self, stream: int) -> None:
        self._enter("begin_capture", captured=False)
        self._stream(stream)
        self._capture = Capture(stream, get_ident())

    def end_capture(self, stream: int) -> int:
        capture, self._capture = self._capture, None
        if capture is None or capture.stream != stream:
            raise Misuse("a capture ended that had not begun")
        self._enter("end_capture")
        if capture.broken:
            raise EngineError("the GPU failed: operation failed due to a previous error during capture")
        graph = next(self._handles)
        self._graphs[graph] = capture.ops
        return graph

    def launch(self, graph: int, stream: int) -> None:
        self._enter("launch")
        if graph not in self._graphs:
            raise Misuse("a graph launched that does not exist")
        self.launches += 1
        ops = self._graphs[graph]

        def run() -> None:
            for op in ops:
                op.run()

        blocks = tuple(block for op in ops for block in op.blocks)
        self._queue(stream, Op("graph", run, blocks, owner=ops[0].owner if ops else None, graph=graph))

    def destroy_graph(self, graph: int) -> None:
        if any(op.graph == graph for op in self.pending()) and not self.dead:
            raise Misuse("a graph destroyed while it is launched")
        del self._graphs[graph]
        self._enter("destroy_graph")

    def compute(self, stream: int, run: Callable[[], None], addresses: Iterable[int], owner: object) -> None:
        """Queue a run of the network, which reads and writes memory of the GPU at `addresses`."""
        blocks = tuple(self.block("device", address) for address in addresses)

        def counted() -> None:
            self.runs += 1
            if self.runs == self.fail_launch:
                self.dead = True
            else:
                run()

        self._queue(stream, Op("compute", counted, blocks, owner=owner))

    def here(self) -> int:
        """The GPU that this thread is on."""
        return self._current.get(get_ident(), 0)

    def capturing(self, stream: int) -> bool:
        return self._capture is not None and self._capture.stream == stream

    def break_capture(self) -> None:
        assert self._capture is not None
        self._capture.broken = True

    def write(self, plane: GpuPlane, pixels: NDArray[np.uint8]) -> None:
        """What a decoder does: `pixels` (rows, columns) come into memory of the GPU some time after this returns."""
        block, pixels = self.block("device", plane.address), pixels.copy()

        def run() -> None:
            for row, line in enumerate(pixels):
                block.view(plane.address + row * plane.pitch, plane.columns)[:] = line

        self._queue(FFMPEG_STREAM, Op("decode", run, (block,)))

    def read(self, plane: GpuPlane) -> NDArray[np.uint8]:
        """What an encoder sees of memory of the GPU just now: (rows, columns)."""
        block = self.block("device", plane.address)
        rows = (block.view(plane.address + row * plane.pitch, plane.columns) for row in range(plane.rows))
        return np.stack([row.copy() for row in rows])

    def bytes_at(self, address: int, size: int) -> NDArray[np.uint8]:
        """Memory of the GPU, for the network that runs."""
        return self.block("device", address).view(address, size)

    def pending(self) -> list[Op]:
        """Work that is queued."""
        # Copies: a decoder's thread may be queueing.
        return [op for queue in tuple(self._streams.values()) for op in tuple(queue)]

    def in_use(self, owner: object) -> bool:
        """Whether work of `owner` is queued."""
        return any(op.owner is owner for op in self.pending())

    def check_clean(self) -> None:
        """Raise Misuse unless everything was given back."""
        left = {
            "memory": [f"{block.kind} {len(block.data)}" for block in self._blocks.values()],
            "streams": [stream for stream in self._streams if stream != FFMPEG_STREAM],
            "events": list(self._events),
            "graphs": list(self._graphs),
            "misuse": self.misuses,
        }
        if any(left.values()):
            raise Misuse(f"left behind: { {what: items for what, items in left.items() if items} }")

    def block(self, kind: str, address: int) -> Block:
        """The block that `address` is in."""
        for block in (*self._blocks.values(), *self._graveyard):
            if block.address <= address < block.address + len(block.data):
                if not block.alive or block.doomed:
                    raise Misuse(f"{block.kind} memory used after it was freed")
                if (kind == "pinned") != (block.kind == "pinned"):
                    raise Misuse(f"{kind} memory is needed, this is {block.kind}")
                return block
        raise Misuse(f"{address} is no {kind} memory" + (": pageable?" if kind == "pinned" else ""))

    def _copy(self, name: str, to: int, source: int, size: int, stream: int, reads: str) -> None:
        self._enter(name)
        writes = "device" if reads == "pinned" else "pinned"
        target, origin = self.block(writes, to), self.block(reads, source)
        target.view(to, size), origin.view(source, size)

        def run() -> None:
            target.view(to, size)[:] = origin.view(source, size)

        self._queue(stream, Op(name, run, (target, origin)))

    def _malloc(self, kind: str, size: int) -> int:
        self.mallocs += 1
        free = self.total - self._used()
        if self.mallocs == self.fail_malloc or (kind != "pinned" and size > free):
            raise OutOfGpuMemory(size, free, self.total)
        data = np.full(size, NEW, np.uint8)
        address = data.ctypes.data if kind == "pinned" else next(self._addresses)
        self._blocks[address] = Block(kind, address, data, self.here())
        self.most = max(self.most, self._used())
        return address

    def _free(self, kind: str, address: int) -> None:
        block = self._owned(kind, address)
        self._check_unused(block)
        self._bury(block)
        self._enter(f"free {kind}", captured=False)

    def _owned(self, kind: str, address: int) -> Block:
        block = self._blocks.get(address)
        if block is None or block.kind != kind:
            raise Misuse(f"{address} is no {kind} memory, or was freed before")
        return block

    def _check_unused(self, block: Block) -> None:
        if not self.dead and any(block in op.blocks for op in self.pending()):
            raise Misuse(f"{block.kind} memory freed while work that uses it is queued")

    def _bury(self, block: Block) -> None:
        del self._blocks[block.address]
        block.data[:] = FREED
        block.alive = False
        self._graveyard.append(block)  # Its address is never given out again.

    def _used(self) -> int:
        return sum(len(block.data) for block in self._blocks.values() if block.kind != "pinned")

    def _stream(self, stream: int) -> deque[Op]:
        if stream not in self._streams:
            raise Misuse("a stream used that does not exist")
        if self._homes.get(stream, self.here()) != self.here():
            raise Misuse(f"a stream of GPU {self._homes[stream]} used by a thread that is on GPU {self.here()}")
        return self._streams[stream]

    def _queue(self, stream: int, op: Op) -> None:
        queue = self._stream(stream)
        if any(block.device != self.here() for block in op.blocks if block.kind != "pinned"):
            raise Misuse("memory of another GPU")
        if self.capturing(stream):
            assert self._capture is not None
            if op.after is not None:
                self._capture.broken = True
            self._capture.ops.append(op)
        else:
            queue.append(op)

    def _enter(self, call: str, captured: bool = True) -> None:
        """What every call does first; `captured`: whether it is allowed while its thread captures."""
        self.calls.append(call)
        self._alive()
        if not captured and self._capture is not None and self._capture.thread == get_ident():
            self._capture.broken = True
            raise EngineError(f"the GPU failed: operation not permitted when stream is capturing ({call})")
        if self._random is not None:
            for _ in range(self._random.randrange(4)):
                ready = [stream for stream in self._streams if self._ready(stream)]
                if ready:
                    self._step(self._random.choice(ready))

    def _alive(self) -> None:
        if self.dead:
            raise EngineError("the GPU failed: an illegal memory access was encountered")

    def _ready(self, stream: int) -> bool:
        queue = self._streams[stream]
        return bool(queue) and (queue[0].after is None or queue[0].after.done)

    def _step(self, stream: int) -> None:
        """Run the first work of `stream`, which may run."""
        op = self._streams[stream].popleft()
        if not self.dead or op.name == "record":
            op.run()

    def _drain(self, stream: int) -> None:
        while self._streams[stream]:
            self._advance(stream)

    def _reach(self, moment: Recording) -> None:
        while not moment.done:
            self._advance(moment.stream)

    def _advance(self, stream: int) -> None:
        after = self._streams[stream][0].after
        if after is not None:
            self._reach(after)
        self._step(stream)
