"""Memory of the GPU and pinned memory of the host, each with one owner that gives it back once."""

from ctypes import c_ubyte

import numpy as np
from numpy.typing import NDArray

from rtsr.nvidia.cuda import Driver
from rtsr.nvidia.plan import Shape, bytes_of


class Buffer:
    """Memory of the GPU that grows when asked; none of it may be in use then, nor when it is released."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.address = 0
        self.size = 0

    def grow(self, size: int) -> int:
        """Hold at least `size` bytes, what was in them lost where that is more than before; returns the address."""
        if size > self.size:
            self.release()  # First: both may not fit.
            self.address, self.size = self._malloc(size), size
        return self.address

    def release(self) -> None:
        """Give the memory back, if there is any."""
        address, self.address, self.size = self.address, 0, 0
        if address:
            self._free(address)

    def _malloc(self, size: int) -> int:
        return self.driver.malloc(size)

    def _free(self, address: int) -> None:
        self.driver.free(address)


class Pinned(Buffer):
    """Pinned memory of the host, likewise."""

    def write(self, array: NDArray) -> None:
        """Copy `array` to the start."""
        self._view(array.shape, array.dtype)[...] = array

    def read(self, shape: Shape, dtype: np.dtype) -> NDArray:
        """A copy of the array at the start: the memory is soon another frame's."""
        return self._view(shape, dtype).copy()

    def _view(self, shape: Shape, dtype: np.dtype) -> NDArray:
        memory = (c_ubyte * bytes_of(shape, dtype)).from_address(self.address)
        return np.ctypeslib.as_array(memory).view(dtype).reshape(shape)

    def _malloc(self, size: int) -> int:
        return self.driver.malloc_host(size)

    def _free(self, address: int) -> None:
        self.driver.free_host(address)
