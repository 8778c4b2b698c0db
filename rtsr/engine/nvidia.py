"""Networks on NVIDIA's GPUs, from plans that TensorRT or TensorRT-RTX built."""

from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from rtsr.card import Card
from rtsr.engine.onnx import check_tiles
from rtsr.errors import EngineError, OutOfMemory
from rtsr.frame import Colour, GpuFrame
from rtsr.nvidia.cuda import Driver, OutOfGpuMemory
from rtsr.nvidia.features import Bench, DeviceArray, Part
from rtsr.nvidia.lanes import LANES, Lanes, Ticket
from rtsr.nvidia.nv12 import ENDS as NV12
from rtsr.nvidia.nv12 import Surface, Surfaces
from rtsr.nvidia.plan import Kernels, Library, Plan, Unusable
from rtsr.nvidia.tiling import Cut, Pictures

PLANES = (("y", "u", "v"), ("y_up", "u_up", "v_up"))
"""Inputs and outputs of a network with the colour conversion in it."""

Planes = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]
Features = tuple[NDArray | DeviceArray, ...]


class Plans(Protocol):
    """Where plans come from."""

    def __call__(self, part: str, colour: Colour | None, nv12: bool, rebuild: bool = False) -> bytes:
        """The plan of a part of the network: `network`, or with several exits `stage1`, `head1`, `exit1`, ...,
        `estimator`; with a colour, of the part with 8-bit planes of that colour, or NV12, at both ends. `rebuild`:
        newly built, as the one that this gave before did not load."""
        ...


@dataclass(frozen=True, slots=True)
class Gpu:
    """Where plans run, and who is told what does not go as it should."""

    library: Library
    driver: Driver
    device: int = 0
    kernels: Callable[[bytes], Kernels | None] = field(default=lambda plan: None)
    """What was compiled for a plan before, where there is such a thing."""

    def load(
        self, data: bytes, name: str, inputs: tuple[str, ...] | None = None, outputs: tuple[str, ...] | None = None
    ) -> Plan:
        """The plan `data`, loaded; raises as `Plan` does."""
        self.driver.use(self.device)
        return Plan(self.library, data, name, self.driver, inputs, outputs, self.kernels(data))


@dataclass(frozen=True, slots=True, eq=False)
class UnderWay:
    """A frame that was submitted."""

    pictures: Pictures
    ticket: Ticket
    surface: Surface | None = None
    """Where the result goes, if it stays on the GPU."""


class NvidiaEngine:
    """An `Engine` and a `GpuEngine`: runs the network of `card` on `gpu`, from `plans`; whole, where it has exits.

    Up to `lanes` frames are under way at a time (see `rtsr.nvidia.lanes`); where the GPU's memory is too little there
    are fewer, then tiles, and `note` is told so. Plans are asked for and loaded when they are first needed: the one
    for planes when a frame shows their colour. One that does not load is built again, once, and `note` is told. Serves
    one thread at a time. Whatever runs raises what `plans` raises, and EngineError where a plan cannot be loaded or
    run.
    """

    def __init__(
        self,
        card: Card,
        gpu: Gpu,
        plans: Plans,
        runtime: str = "TensorRT",
        lanes: int = LANES,
        note: Callable[[str], None] | None = None,
    ) -> None:
        self.card, self.gpu, self.runtime = card, gpu, runtime
        self.notes: list[str] = []
        """What did not go as it should, in lines for people."""
        self._plans, self._tell, self._wanted = plans, note, lanes
        self._part = f"exit{len(card.exits)}" if card.exits else "network"
        self._open = ExitStack()
        self._rgb: dict[str, Pictures] = {}
        self._planes: dict[tuple[Colour, bool], Pictures] = {}
        """By colour, and whether they are NV12."""
        self._surfaces: Surfaces | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Wait for what is under way, and free everything; what runs next begins anew. Any thread may call it."""
        with suppress(EngineError):  # Threads have a GPU each, and contexts go on theirs.
            self.gpu.driver.use(self.gpu.device)
        self._rgb.clear()
        self._planes.clear()
        self._surfaces = None
        self._open.close()

    @property
    def lanes(self) -> int:
        """Frames that may be under way with `submit`."""
        return min((pictures.lanes.count for pictures in self._planes.values()), default=self._wanted)

    def infer(self, tiles: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, 3, H, W) float32 in [0, 1] to (N, 3, H * scale, W * scale) in [0, 1].

        Raises EngineError where the shape does not fit the card or the plan, or the run fails.
        """
        return self._upscaled(self._part, tiles)

    def submit(self, planes: Planes, colour: Colour) -> UnderWay:
        """Start on the planes of a frame in 8-bit 4:2:0, which may be changed as soon as this returns.

        Luma is (H, W), chroma (ceil(H / 2), ceil(W / 2)). Raises EngineError where the plan is not for their size, or
        the run fails.
        """
        pictures = self._for_planes(colour, nv12=False)
        return UnderWay(pictures, pictures.submit(*(plane[None, None] for plane in planes)))

    def collect(self, frame: UnderWay) -> Planes:
        """The upscaled planes of a frame that was submitted, waited for; even sides, chroma sited on the left.

        Raises EngineError where the run failed.
        """
        y, *chroma = (plane[0, 0] for plane in frame.pictures.collect(frame.ticket))
        u, v = chroma if len(chroma) == 2 else (chroma[0][:, 0::2], chroma[0][:, 1::2])
        return y, u, v

    def submit_gpu(self, frame: GpuFrame, stay: bool) -> UnderWay:
        """Start on a frame that is on the GPU, which is held until it is done; with `stay` the result stays there, too.

        Where the GPU's memory is too little for all of it, it is not cut into tiles. Raises EngineError then, and as
        `submit` does.
        """
        pictures = self._for_planes(frame.colour, nv12=True)
        large = (pictures.cut.large(side) for side in (frame.width, frame.height))
        try:
            surface = self._lender().lend(*large) if stay else None
            into = () if surface is None else (surface.y, surface.uv)
            ticket = pictures.lanes.submit(frame.y, frame.uv, into=into, holds=(frame, surface))
            return UnderWay(pictures, ticket, surface)
        except OutOfGpuMemory as full:
            raise EngineError(
                f"{self.card.name}: the GPU has no room for frames of {frame.width}x{frame.height} ({full.figures}); "
                "leave out --decode gpu, and they are upscaled in tiles"
            ) from full

    def collect_gpu(self, frame: UnderWay) -> Surface:
        """As `collect`, of a frame that was to stay on the GPU: written to the end, so that anybody may read it."""
        frame.pictures.collect(frame.ticket)
        assert frame.surface is not None
        return frame.surface

    def _for_planes(self, colour: Colour, nv12: bool) -> Pictures:
        if (colour, nv12) not in self._planes:
            plan = self._loaded(self._part, colour, *(NV12 if nv12 else PLANES), nv12=nv12)
            self._planes[colour, nv12] = self._through(plan, Cut.planes(self.card))
        return self._planes[colour, nv12]

    def _lender(self) -> Surfaces:
        if self._surfaces is None:
            self._surfaces = Surfaces(self.gpu.driver, self.gpu.device)
            self._open.callback(self._surfaces.close)
        return self._surfaces

    def _upscaled(self, part: str, tiles: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the whole network in `part` makes of `tiles`."""
        check_tiles(self.card, tiles)
        if part not in self._rgb:
            self._rgb[part] = self._through(self._loaded(part, None, ("image",), ("upscaled",)), Cut.rgb(self.card))
        pictures, white = self._rgb[part], np.float32(self.card.value_max)
        batch = pictures.lanes.plan.inputs[0].largest[0]
        while True:
            try:
                large = _in_batches(pictures, tiles if white == 1 else tiles * white, batch)
                return large if white == 1 else large / white
            except OutOfMemory:
                batch = min(batch, len(tiles)) // 2
                if not batch:
                    raise

    def _through(self, plan: Plan, cut: Cut) -> Pictures:
        lanes = Lanes(self.gpu.driver, plan, self.gpu.device, self._wanted, self._note)
        self._open.callback(lanes.close)
        return Pictures(lanes, cut, self._note)

    def _loaded(
        self,
        part: str,
        colour: Colour | None,
        inputs: tuple[str, ...] | None,
        outputs: tuple[str, ...] | None,
        nv12: bool = False,
    ) -> Plan:
        name = self.card.name if part == "network" else f"{self.card.name}/{part}"
        try:
            plan = self.gpu.load(self._plans(part, colour, nv12), name, inputs, outputs)
        except Unusable as stale:  # What is kept may be of another build of the same version.
            self._note(f"the engine of {name} {stale.reason}: it is built again")
            plan = self.gpu.load(self._plans(part, colour, nv12, rebuild=True), name, inputs, outputs)
        self._open.callback(plan.close)
        return plan

    def _note(self, line: str) -> None:
        if line not in self.notes:
            self.notes.append(line)
            if self._tell is not None:
                self._tell(line)


class NvidiaStagedEngine(NvidiaEngine):
    """A `MultiExitEngine`: as `NvidiaEngine`, for the network of a `card` with several exits.

    What goes from a stage to the next, or to a head, stays on the GPU as `DeviceArray`s, which are given back when
    nobody holds them. Stages and heads return when they are done, so that their time can be taken. Where the GPU's
    memory is too little for one, they raise `rtsr.errors.OutOfMemory`, and `rtsr.pacing.anytime` takes smaller regions.
    So does `exit` for a single picture, in the same memory; several, and those of `infer`, go through lanes.
    """

    at_once = 1

    def __init__(
        self,
        card: Card,
        gpu: Gpu,
        plans: Plans,
        runtime: str = "TensorRT",
        lanes: int = LANES,
        note: Callable[[str], None] | None = None,
    ) -> None:
        if not card.exits:
            raise EngineError(f"{card.name} has one exit only, and no stages; run it as a plain network")
        super().__init__(card, gpu, plans, runtime, lanes, note)
        self._parts: dict[str, Part] = {}
        self._bench: Bench | None = None
        self._short = False

    def close(self) -> None:
        """As `NvidiaEngine.close`; features that somebody still holds are gone, too."""
        self._parts.clear()  # The stack still holds them: they go in `super().close`, on their GPU.
        self._bench = None
        super().close()

    def exit(self, k: int, tiles: NDArray[np.float32]) -> NDArray[np.float32]:
        """What exit `k` makes of `tiles`, in one run; shapes as for `infer`."""
        part = f"exit{self._checked(k)}"
        if len(tiles) > 1 or self.card.value_max != 1:
            return self._upscaled(part, tiles)
        check_tiles(self.card, tiles)
        (large,) = self._run(part, (tiles,))
        return self._desk().download(large)

    def stage(self, k: int, features: Features) -> tuple[DeviceArray, ...]:
        """Features behind stage `k` from those behind the stage before; or from (tiles,) where `k` is 1."""
        if k == 1 and isinstance(features[0], np.ndarray):
            check_tiles(self.card, features[0])
        if not self.card.exits[self._checked(k) - 1].stage_macs:
            return self._resident(features)  # The stage does nothing.
        return self._run(f"stage{k}", features)

    def head(self, k: int, features: Features) -> NDArray[np.float32]:
        """The upscaled tiles, in [0, 1], of the features behind stage `k`."""
        (large,) = self._run(f"head{self._checked(k)}", features)
        return self._desk().download(large)

    def estimate(self, patches: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, exits + 1): how good each exit, bicubic first, is thought to be on `patches`, (N, 3, 32, 32) in [0, 1].

        Whether more is better, `card.estimator.sign` says.
        """
        if self.card.estimator is None:
            raise EngineError(f"{self.card.name} has no estimator; train one, or choose an exit for all tiles")
        batch = self._loaded_part("estimator").plan.inputs[0].largest[0]
        parts = (patches[start : start + batch] for start in range(0, len(patches), batch))
        return np.concatenate([self._desk().download(self._run("estimator", (part,))[0]) for part in parts])

    def _run(self, name: str, features: Features) -> tuple[DeviceArray, ...]:
        try:
            return self._desk().run(self._loaded_part(name), self._resident(features))
        except OutOfGpuMemory as full:
            if not self._short:
                self._short = True
                self._note(f"{self.card.name}: GPU memory is short ({full.figures}), so regions are refined in parts")
            raise

    def _resident(self, features: Features) -> tuple[DeviceArray, ...]:
        """`features` on the GPU, where all but the picture are."""
        dtype = np.dtype(np.float32)
        return tuple(self._desk().upload(end, dtype) if isinstance(end, np.ndarray) else end for end in features)

    def _desk(self) -> Bench:
        if self._bench is None:
            self._bench = self._open.enter_context(Bench(self.gpu.driver, self.gpu.device))
        return self._bench

    def _loaded_part(self, name: str) -> Part:
        if name not in self._parts:
            self._desk()  # First, so that it is closed last.
            self._parts[name] = Part(self._loaded(name, None, None, None))
            self._open.callback(self._parts[name].close)
        return self._parts[name]

    def _checked(self, k: int) -> int:
        if not 1 <= k <= len(self.card.exits):
            raise EngineError(f"{self.card.name} has exits 1 to {len(self.card.exits)}, not {k}")
        return k


def _in_batches(pictures: Pictures, tiles: NDArray[np.float32], batch: int) -> NDArray[np.float32]:
    """What becomes of `tiles`, up to `batch` in one run."""
    done: list[NDArray[np.float32]] = []
    waiting: list[Ticket] = []
    for start in range(0, len(tiles), batch):
        waiting.append(pictures.submit(tiles[start : start + batch]))
        if len(waiting) > pictures.lanes.count:
            done += pictures.collect(waiting.pop(0))
    for ticket in waiting:
        done += pictures.collect(ticket)
    return done[0] if len(done) == 1 else np.concatenate(done)
