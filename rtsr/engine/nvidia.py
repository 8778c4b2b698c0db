"""Networks on NVIDIA's GPUs, from plans that TensorRT or TensorRT-RTX built."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from rtsr.card import Card
from rtsr.engine.onnx import check_tiles
from rtsr.errors import EngineError, OutOfMemory
from rtsr.frame import Colour
from rtsr.nvidia.cuda import Driver, OutOfGpuMemory
from rtsr.nvidia.features import Bench, DeviceArray, Part
from rtsr.nvidia.lanes import LANES, Lanes, Ticket
from rtsr.nvidia.plan import Kernels, Library, Plan
from rtsr.nvidia.tiling import Cut, Pictures

PLANES = (("y", "u", "v"), ("y_up", "u_up", "v_up"))
"""Inputs and outputs of a network with the colour conversion in it."""

Plans = Callable[[str, Colour | None], bytes]
"""The plan of a part of the network: `network`, or with several exits `stage1`, `head1`, `exit1`, ..., `estimator`;
with a colour, of the part with 8-bit planes of that colour at both ends."""
Planes = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]
Features = tuple[NDArray | DeviceArray, ...]


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


class NvidiaEngine:
    """An `Engine` and a `PlaneEngine`: runs the network of `card` on `gpu`, from `plans`; whole, where it has exits.

    Up to `lanes` frames are under way at a time (see `rtsr.nvidia.lanes`); where the GPU's memory is too little there
    are fewer, then tiles, and `note` is told so. Plans are asked for and loaded when they are first needed: the one
    for planes when a frame shows their colour. Serves one thread at a time. Whatever runs raises what `plans` raises,
    and EngineError where a plan cannot be loaded or run.
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
        self._planes: dict[Colour, Pictures] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Wait for what is under way, and free everything; what runs next begins anew."""
        self._rgb.clear()
        self._planes.clear()
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
        if colour not in self._planes:
            plan = self._loaded(self._part, colour, *PLANES)
            self._planes[colour] = self._through(plan, Cut.planes(self.card))
        pictures = self._planes[colour]
        return UnderWay(pictures, pictures.submit(*(plane[None, None] for plane in planes)))

    def collect(self, frame: UnderWay) -> Planes:
        """The upscaled planes of a frame that was submitted, waited for; even sides, chroma sited on the left.

        Raises EngineError where the run failed.
        """
        y, u, v = frame.pictures.collect(frame.ticket)
        return y[0, 0], u[0, 0], v[0, 0]

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
        self, part: str, colour: Colour | None, inputs: tuple[str, ...] | None, outputs: tuple[str, ...] | None
    ) -> Plan:
        name = self.card.name if part == "network" else f"{self.card.name}/{part}"
        plan = self.gpu.load(self._plans(part, colour), name, inputs, outputs)
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
    memory is too little for one, they raise `rtsr.errors.OutOfMemory`, and `rtsr.anytime` takes smaller regions.
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
        if not card.exits:
            raise EngineError(f"{card.name} has one exit only, and no stages; run it as a plain network")
        super().__init__(card, gpu, plans, runtime, lanes, note)
        self._parts: dict[str, Part] = {}
        self._bench: Bench | None = None
        self._short = False

    def close(self) -> None:
        """As `NvidiaEngine.close`; features that somebody still holds are gone, too."""
        self._parts.clear()
        self._bench = None
        super().close()

    def exit(self, k: int, tiles: NDArray[np.float32]) -> NDArray[np.float32]:
        """What exit `k` makes of `tiles`, in one run; shapes as for `infer`."""
        return self._upscaled(f"exit{self._checked(k)}", tiles)

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
