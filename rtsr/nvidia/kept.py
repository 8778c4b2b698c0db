"""What libraries measure or compile, and would have to again: files, which go unused where they do not fit."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from rtsr.nvidia import store
from rtsr.nvidia.library import Library
from rtsr.nvidia.recipe import Facts
from rtsr.nvidia.store import Damaged

TIMES = b"rtsr times 1\n"
RUNTIME = b"rtsr runtime 1\n"
SAVING = 5.0
"""Seconds that who is about to end waits for others that keep the same: what is lost can be compiled again."""


class TimingCache:
    """How fast TensorRT found its kernels to be: one file for all engines of a GPU, driver and version."""

    def __init__(self, library: Library, facts: Facts) -> None:
        self._library = library
        self._key = _key(facts.library, facts.version, facts.capability, facts.gpu, facts.driver, facts.system)

    @property
    def path(self) -> Path:
        return store.cache_folder() / f"{self._key}.times"

    def read(self) -> bytes:
        """What was measured so far; nothing where there is no file that can be used."""
        try:
            return store.read(self.path, TIMES)[1]
        except (OSError, Damaged):
            return b""

    def merge(self, measured: bytes) -> None:
        """Add `measured` to the file, with what others put there meanwhile where the two fit; raises OSError."""
        module = self._library.module
        with store.locked(self._key) as folder, self._library.lock:
            config = module.Builder(self._library.logger).create_builder_config()
            times = config.create_timing_cache(measured)
            if times is None:
                return
            theirs = self.read()
            others = config.create_timing_cache(theirs) if theirs else None
            if others is not None:
                times.combine(others, False)  # Where that fails, the newer ones stay alone.
            store.write(folder / self.path.name, TIMES, {}, bytes(times.serialize()))


class RuntimeCache:
    """The kernels that TensorRT-RTX compiled for a plan on a GPU: with them the next start is quick.

    Give the execution contexts of the plan's engine the cache, and save it when they have run:

        config = engine.create_runtime_config()
        cache = RuntimeCache(library, plan, gpu, driver)
        cache.attach(config)
        context = engine.create_execution_context(config)
        ...
        cache.save()

    `gpu` is the GPU's name, `driver` the driver's version. Without a runtime cache in the library nothing is done. One
    instance serves one thread at a time.
    """

    def __init__(self, library: Library, plan: bytes, gpu: str, driver: str) -> None:
        self._library = library
        self._plan = sha256(plan).hexdigest()
        self._facts = {"plan": self._plan, "gpu": gpu, "driver": driver, "version": library.version}
        self._key = _key(library.kind, library.version, self._plan, gpu, driver)
        self._cache: Any = None
        self._read = b""

    @property
    def path(self) -> Path:
        return store.cache_folder() / f"{self._key}.runtime"

    def attach(self, config: Any) -> bool:
        """Give `config`, an `IRuntimeConfig`, what was compiled before; returns whether there was something of use.

        Needs a current CUDA context.
        """
        if not self._library.has_runtime_cache:
            return False
        self._cache = config.create_runtime_cache()
        try:
            self._read = store.read(self.path, RUNTIME)[1]
        except (OSError, Damaged):
            self._read = b""
        used = bool(self._read) and bool(self._cache.deserialize(self._read))
        config.set_runtime_cache(self._cache)
        return used

    def save(self) -> bool:
        """Keep what was compiled, where that is more than was there; returns whether it was. Raises OSError, Busy."""
        if self._cache is None:
            return False
        content = bytes(self._cache.serialize() or b"")
        if not content or content == self._read:
            return False
        with store.locked(self._key, SAVING) as folder:
            store.write(folder / self.path.name, RUNTIME, self._facts, content)
        self._read = content
        return True


def plan_of(path: Path) -> str:
    """SHA-256 of the plan that the runtime cache `path` belongs to; empty where the file is damaged."""
    try:
        return str(store.read_facts(path, RUNTIME).get("plan", ""))
    except (OSError, Damaged):
        return ""


def _key(*facts: str) -> str:
    return sha256(json.dumps(facts).encode()).hexdigest()[: store.KEY]
