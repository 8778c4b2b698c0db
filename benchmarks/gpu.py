"""What a GPU takes for a frame, stage by stage and in the whole pipeline, and how far that is from what it could do.

    python -m benchmarks.gpu --engine rtx --json result.json

720p to 1080p and 1080p to 2160p with QuickSRNet-Small and -Medium, 8-bit planes in and out. Times of the stages are of
runs one behind the other on one stream, nothing else under way; frames a second are with as many under way as the
engine has lanes, and of the whole command with decoder and encoder. The floor of a frame is what it cannot be faster
than: the network's operations at the GPU's peak in half precision, or the planes over its memory's bandwidth, or over
the bus, whichever takes longest. Needs a GPU; elsewhere it says so and exits with status 1.
"""

import argparse
import dataclasses
import json
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
from av.error import FFmpegError

from benchmarks.machine import machine
from rtsr.errors import RtsrError
from rtsr.frame import Colour, Frame
from rtsr.job import Job
from rtsr.nvidia.buffers import Buffer, Pinned
from rtsr.nvidia.cache import cached_plan
from rtsr.nvidia.cuda import Device, Driver
from rtsr.nvidia.opening import Ready, find
from rtsr.nvidia.plan import Plan, bytes_of
from rtsr.nvidia.profile import Profile
from rtsr.nvidia.recipe import Recipe
from rtsr.pacing.spending import in_milliseconds
from rtsr.pipeline import run
from rtsr.resources import Network, find_network
from rtsr.sink.encoding import Encoding
from rtsr.upscaler import Upscaler, target_size

JOBS = ((1280, 720, Fraction(3, 2)), (1920, 1080, Fraction(2)), (720, 480, Fraction(2)))
MODELS = ("quicksrnet-small", "quicksrnet-medium")
COLOUR = Colour("bt709")
PLANES = ("y", "u", "v"), ("y_up", "u_up", "v_up")
MACS_PER_CLOCK = {(7, 5): 512, (8, 0): 1024, (8, 6): 512, (8, 7): 512, (8, 9): 512, (9, 0): 2048, (12, 0): 512}
"""Multiply-adds that the tensor cores of a multiprocessor do in a clock at most, in half precision without sparsity,
by compute capability. From these NVIDIA's peaks follow: T4 65, A100 312, A40 150, L4 121, H100 989 TFLOPS."""
BUS = 32e9
"""Bytes per second one way over PCI Express 4.0 with 16 lanes; what is slower shows as a distance to the floor."""
WARM_UP = 20


@dataclass(frozen=True, slots=True)
class Floor:
    """Milliseconds that a frame takes at least."""

    operations_ms: float | None
    """None where the GPU's peak is not known."""
    memory_ms: float | None
    bus_ms: float
    """In the direction that carries more."""

    @classmethod
    def of(cls, device: Device, macs: float, sent: int, received: int) -> "Floor":
        """For `macs` multiply-adds, `sent` bytes to the GPU and `received` back."""
        peak = MACS_PER_CLOCK.get(device.capability, 0) * device.multiprocessors * device.clock
        memory = 1e3 * (sent + received) / device.bandwidth if device.bandwidth else None
        return cls(1e3 * macs / peak if peak else None, memory, 1e3 * max(sent, received) / BUS)

    @property
    def ms(self) -> float:
        """What bounds the frame rate: all three go on at the same time."""
        return max(self.operations_ms or 0.0, self.memory_ms or 0.0, self.bus_ms)


@dataclass(frozen=True, slots=True)
class Flow:
    """Frames one after the other through all lanes."""

    lanes: int
    fps: float
    latency_ms: dict[str, float]
    """From submitting a frame to having it."""


def stages(driver: Driver, plan: Plan, frame: Frame, rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds of uploading, computing and downloading `frame`, each alone."""
    arrays = [plane[None, None] for plane in (frame.y, frame.u, frame.v)]
    shapes = tuple(array.shape for array in arrays)
    stream, context = driver.create_stream(), plan.context()
    held: list[Buffer] = []

    def buffer(kind: type[Buffer], size: int) -> Buffer:
        held.append(kind(driver))
        held[-1].grow(size)
        return held[-1]

    try:
        outputs, scratch = context.reshape(shapes)
        into = [bytes_of(shape, end.dtype) for shape, end in zip(shapes, plan.inputs, strict=True)]
        out = [bytes_of(shape, end.dtype) for shape, end in zip(outputs, plan.outputs, strict=True)]
        staged, inputs = ([buffer(kind, size) for size in into] for kind in (Pinned, Buffer))
        landed, results = ([buffer(kind, size) for size in out] for kind in (Pinned, Buffer))
        work = buffer(Buffer, max(scratch, 1))
        context.bind([b.address for b in inputs], [b.address for b in results], work.address, work.size)
        for pinned, array in zip(staged, arrays, strict=True):
            assert isinstance(pinned, Pinned)
            pinned.write(array)

        def upload() -> None:
            for device, host, size in zip(inputs, staged, into, strict=True):
                driver.upload(device.address, host.address, size, stream)

        def download() -> None:
            for host, device, size in zip(landed, results, out, strict=True):
                driver.download(host.address, device.address, size, stream)

        def timed(work: Callable[[], None]) -> dict[str, float]:
            taken = []
            for turn in range(WARM_UP + rounds):
                began = time.perf_counter()
                work()
                driver.synchronize(stream)
                if turn >= WARM_UP:
                    taken.append(time.perf_counter() - began)
            return in_milliseconds(taken)

        works = {"upload": upload, "compute": lambda: context.enqueue(stream), "download": download}
        return {name: timed(work) for name, work in works.items()}
    finally:
        driver.synchronize(stream)
        for one in held:
            one.release()
        context.close()
        driver.destroy_stream(stream)


def overlapped(upscaler: Upscaler, frame: Frame, size: tuple[int, int], rounds: int) -> "Flow":
    """Frames a second with all lanes busy, and the time from submitting a frame to having it."""
    waiting: deque = deque()
    latencies: list[float] = []
    began = time.perf_counter()
    for turn in range(WARM_UP + rounds):
        if turn == WARM_UP:
            began = time.perf_counter()
        waiting.append((time.perf_counter(), upscaler.submit(frame, *size)))
        if len(waiting) >= upscaler.lanes:
            submitted, ticket = waiting.popleft()
            upscaler.collect(ticket)
            if turn >= WARM_UP:
                latencies.append(time.perf_counter() - submitted)
    while waiting:
        submitted, ticket = waiting.popleft()
        upscaler.collect(ticket)
        latencies.append(time.perf_counter() - submitted)
    seconds = time.perf_counter() - began
    return Flow(upscaler.lanes, rounds / seconds, in_milliseconds(latencies))


def noise(width: int, height: int) -> Frame:
    random = np.random.default_rng(0)
    shapes = [(height, width), *[(-(-height // 2), -(-width // 2))] * 2]
    y, u, v = (random.integers(16, 236, shape, np.uint8) for shape in shapes)
    return Frame(y, u, v, COLOUR)


def clip(path: Path, width: int, height: int, frames: int) -> Path:
    """A video of a moving gradient, quick to decode."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=60, options={"preset": "ultrafast"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        wave = np.add.outer(np.arange(height + height // 2), np.arange(width + frames)).astype(np.uint8)
        for n in range(frames):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(wave[:, n : n + width]), format="yuv420p")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def encoding() -> Encoding:
    """The GPU's encoder where there is one, else the processor's quickest."""
    try:
        context = av.CodecContext.create("h264_nvenc", "w")
        assert isinstance(context, av.VideoCodecContext)
        context.width, context.height, context.pix_fmt, context.time_base = 640, 360, "yuv420p", Fraction(1, 30)
        context.open()
        return Encoding(codec="h264_nvenc")
    except (FFmpegError, OSError, ValueError):
        return Encoding(options={"preset": "ultrafast"})


def measure(ready: Ready, network: Network, job: tuple[int, int, Fraction], rounds: int, frames: int) -> dict:
    """Everything of one network at one size."""
    width, height, scale = job
    size, frame = target_size(width, height, scale), noise(width, height)
    recipe = Recipe(Profile.holding(width, height), colour=COLOUR, card=network.card)
    part = f"exit{len(network.card.exits)}" if network.card.exits else ""
    file = network.path / f"{part}.onnx" if part else network.path
    name = f"{network.card.name}/{part}" if part else network.card.name
    began = time.perf_counter()
    data = cached_plan(ready.library, file, recipe, ready.target, name=name, note=tell)
    built = time.perf_counter() - began
    ready.driver.use(ready.device.index)
    plan = Plan(ready.library, data, name, ready.driver, *PLANES)
    alone = stages(ready.driver, plan, frame, rounds)
    plan.close()
    how = {"model": network.card_path, "engine": ready.library.kind}
    starts, flow = [], Flow(0, 0.0, {})
    for _ in range(2):
        began = time.perf_counter()
        with Upscaler(scale, **how, tell=tell) as upscaler:
            upscaler.frame(frame, *size)
            starts.append(time.perf_counter() - began)
            flow = overlapped(upscaler, frame, size, rounds)
    sent, received = (
        sum(plane.size for plane in (y, *[y[::2, ::2]] * 2)) for y in (frame.y, np.empty(size[::-1], "B"))
    )
    floor = Floor.of(ready.device, network.card.macs_per_pixel * width * height, sent, received)
    with TemporaryDirectory() as folder:
        source = clip(Path(folder) / "in.mp4", width, height, frames)
        report = run(Job(source, Path(folder) / "out.mp4", scale=scale, encoding=encoding(), **how))
    return {
        "network": network.card.name,
        "from": [width, height],
        "to": list(size),
        "plan_s": built,
        "starts_s": starts,
        "stages_ms": alone,
        "overlapped": dataclasses.asdict(flow),
        "pipeline": {"fps": report.frames / report.seconds, "stages_ms": report.stages, "engine": report.engine},
        "floor": dataclasses.asdict(floor),
        "compute_of_floor": alone["compute"]["p50"] / max(floor.operations_ms or 0.0, floor.memory_ms or 0.0, 1e-9),
        "frame_of_floor": 1e3 / flow.fps / floor.ms,
        "notes": list(report.notes),
    }


def tell(line: str) -> None:
    print(line, file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default="rtx", choices=["rtx", "tensorrt"])
    parser.add_argument("--rounds", type=int, default=300, help="frames that are timed in each measurement")
    parser.add_argument("--frames", type=int, default=600, help="frames of the clip for the whole pipeline")
    parser.add_argument("--json", type=Path, help="write the figures and the machine's data here")
    options = parser.parse_args()
    try:
        ready = find(options.engine)
        results = [
            measure(ready, find_network(model, job[2]), job, options.rounds, options.frames)
            for job in JOBS
            for model in MODELS
        ]
    except RtsrError as cause:
        sys.exit(f"error: nothing to measure: {cause}")
    told = {"machine": machine(), "gpu": str(ready.device), "runs": ready.describe(), "results": results}
    text = json.dumps(told, indent=1)
    print(text)
    if options.json:
        options.json.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
