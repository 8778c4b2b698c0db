"""A network on an NVIDIA GPU, from a card to pixels: engines are built or found when frames show their size."""

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rtsr.card import check_hash
from rtsr.engine.nvidia import Gpu, NvidiaEngine, NvidiaStagedEngine, UnderWay
from rtsr.frame import Colour, GpuFrame, GpuPlane
from rtsr.nvidia.cache import cached_plan, silent
from rtsr.nvidia.kept import RuntimeCache
from rtsr.nvidia.lanes import LANES
from rtsr.nvidia.nv12 import Surface
from rtsr.nvidia.opening import Ready
from rtsr.nvidia.profile import Profile, Size
from rtsr.nvidia.recipe import Recipe
from rtsr.resources import Network, parts

Array = NDArray[np.float32]
Planes = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]
USUAL: Size = (1280, 720)
"""Frames that engines of networks with exits are built for, where their size is not known: they see parts of frames."""


class NvidiaNetwork:
    """`network` with what is `ready`: an engine in stages where it has several exits, and one that takes planes.

    Engines are built, or taken out of the cache, for the first of the usual sizes that holds `size`, (width, height),
    or the first picture; where larger ones come, others take their place. `tell` is told, in a line, what takes long,
    and what does not go as it should. Raises CardError where `network` is not its card's.
    """

    at_once = 1

    def __init__(
        self,
        network: Network,
        ready: Ready,
        why: str = "",
        precision: str = "fp16",
        size: Size | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        check_hash(network.card, network.path)
        self.card, self.notes = network.card, list[str]()
        unusual = "" if precision == "fp16" else f", {precision}"
        self.runtime = ready.describe() + unusual + (f": {why}" if why else "")
        self._network, self._ready, self._precision, self._tell = network, ready, precision, tell or silent
        self._files = parts(network)
        if size is None and network.card.exits:
            size = USUAL
        self._profile = Profile.holding(*size) if size else None
        self._inner: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Wait for what is under way, and free everything."""
        if self._inner is not None:
            self._inner.close()
            self._inner = None

    @property
    def lanes(self) -> int:
        """Frames that may be under way with `submit`."""
        return LANES if self._inner is None else self._inner.lanes

    def infer(self, tiles: Array) -> Array:
        """(N, 3, H, W) in [0, 1] to (N, 3, H * scale, W * scale) in [0, 1]; as for `NvidiaEngine`."""
        return self._for(tiles).infer(tiles)

    def submit(self, planes: Planes, colour: Colour) -> UnderWay:
        """Start on the planes of a frame; see `NvidiaEngine.submit`."""
        return self._for(planes[0]).submit(planes, colour)

    def collect(self, frame: UnderWay) -> Planes:
        """The upscaled planes of a frame that was submitted."""
        return self._opened().collect(frame)

    def submit_gpu(self, frame: GpuFrame, stay: bool) -> UnderWay:
        """Start on a frame that is on the GPU; see `NvidiaEngine.submit_gpu`."""
        return self._for(frame.y).submit_gpu(frame, stay)

    def collect_gpu(self, frame: UnderWay) -> Surface:
        """The upscaled frame of one that was to stay on the GPU."""
        return self._opened().collect_gpu(frame)

    def exit(self, k: int, tiles: Array) -> Array:
        """What exit `k` makes of `tiles`, in one run."""
        return self._for(tiles).exit(k, tiles)

    def stage(self, k: int, features: tuple[Any, ...]) -> tuple[Any, ...]:
        """Features behind stage `k`, which stay on the GPU, from those before; or from (tiles,) where `k` is 1."""
        picture = features[0]
        return (self._for(picture) if isinstance(picture, np.ndarray) else self._opened()).stage(k, features)

    def head(self, k: int, features: tuple[Any, ...]) -> Array:
        """The upscaled tiles, in [0, 1], of the features behind stage `k`."""
        return self._opened().head(k, features)

    def estimate(self, patches: Array) -> Array:
        """(N, exits + 1): how good each exit, bicubic first, is thought to be on `patches`."""
        return self._opened().estimate(patches)

    def _for(self, picture: NDArray | GpuPlane) -> Any:
        """The engine, built for frames that are large enough for `picture`."""
        height, width = picture.shape[-2:]
        if self._profile is None or not self._profile.holds(width, height):
            if self._inner is not None:
                self._inner.close()  # Frames under way are lost: sizes do not change within a video.
            self._profile, self._inner = Profile.holding(width + width % 2, height + height % 2), None
        return self._opened()

    def _opened(self) -> Any:
        if self._inner is None:
            if self._profile is None:
                self._profile = Profile.holding(*USUAL)
            make = NvidiaStagedEngine if self.card.exits else NvidiaEngine
            gpu = Gpu(self._ready.library, self._ready.driver, self._ready.device.index, self._kernels)
            self._inner = make(self.card, gpu, self._plan, self.runtime, note=self._note)
        return self._inner

    def _plan(self, part: str, colour: Colour | None, nv12: bool, rebuild: bool = False) -> bytes:
        name = self.card.name if part == "network" else f"{self.card.name}/{part}"
        assert self._profile is not None
        recipe = Recipe(self._profile, self._precision, colour, self.card, nv12)
        library, target = self._ready.library, self._ready.target
        return cached_plan(library, self._files[name], recipe, target, name=name, note=self._tell, rebuild=rebuild)

    def _kernels(self, plan: bytes) -> RuntimeCache:
        target = self._ready.target
        return RuntimeCache(self._ready.library, plan, target.gpu, target.driver)

    def _note(self, line: str) -> None:
        self.notes.append(line)
        self._tell(line)
