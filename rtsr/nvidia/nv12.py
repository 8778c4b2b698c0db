"""Pictures in the GPU's memory as video encoders there take them, lent out and taken back."""

from collections import defaultdict, deque
from contextlib import suppress

from rtsr.errors import EngineError
from rtsr.frame import GpuPlane
from rtsr.nvidia.cuda import Driver

ENDS = (("y", "uv"), ("y_up", "uv_up"))
"""Inputs and outputs of a network with the colour conversion in it, whose planes are NV12."""
PITCH = 256
"""Rows start at multiples of this, as FFmpeg's own do."""


class Surface:
    """Memory for an NV12 picture of `width` x `height`, both even; it is taken back when nobody holds this.

    Chroma lies right behind luma's last row, with the same pitch: NVENC is told where luma is, and no more.
    """

    def __init__(self, surfaces: "Surfaces", width: int, height: int) -> None:
        pitch = -(-width // PITCH) * PITCH
        self._surfaces, self._size = surfaces, pitch * height * 3 // 2
        self._address = 0
        self._address = address = surfaces._take(self._size)
        self.y = GpuPlane(address, pitch, height, width)
        self.uv = GpuPlane(address + pitch * height, pitch, height // 2, width)

    def __del__(self) -> None:
        if self._address:
            self._surfaces._give_back(self._address, self._size)


class Surfaces:
    """All surfaces of GPU `device`: made when they are needed, and freed in `close`, or when they come back later.

    An encoder registers the addresses that it gets once and for all, so none is freed while there is one. Surfaces are
    lent in one thread and come back in others.
    """

    def __init__(self, driver: Driver, device: int = 0) -> None:
        self.driver, self.device = driver, device
        # Surfaces come back whenever Python finds that nobody holds them, in the midst of anything: no lock, then.
        self._idle: defaultdict[int, deque[int]] = defaultdict(deque)
        self._closed = False

    def lend(self, width: int, height: int) -> Surface:
        """A surface that nobody uses; raises EngineError, `OutOfGpuMemory` where memory is too little."""
        return Surface(self, width, height)

    def close(self) -> None:
        """Free what nobody uses, and the rest when it comes back."""
        self._closed = True
        for size in tuple(self._idle):
            self._drain(size)

    def _take(self, size: int) -> int:
        if self._closed:
            raise EngineError("the engine is closed")
        try:
            return self._idle[size].popleft()
        except IndexError:
            self.driver.use(self.device)
            return self.driver.malloc(size)

    def _give_back(self, address: int, size: int) -> None:
        self._idle[size].append(address)
        if self._closed:  # Asked afterwards: then either `close` finds it, or this does.
            self._drain(size)

    def _drain(self, size: int) -> None:
        addresses = self._idle[size]
        with suppress(IndexError):  # Whichever thread takes one frees it.
            while True:
                self._free(addresses.pop())

    def _free(self, address: int) -> None:
        with suppress(EngineError):
            self.driver.use(self.device)  # Whichever thread let go of it.
        with suppress(EngineError):
            self.driver.free(address)
