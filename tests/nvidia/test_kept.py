"""What is kept between runs: TensorRT's timings and TensorRT-RTX's kernels."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from rtsr import resources
from rtsr.errors import EngineError
from rtsr.nvidia import kept as kept_module
from rtsr.nvidia import store
from rtsr.nvidia.build import build
from rtsr.nvidia.cache import cached_plan, ready
from rtsr.nvidia.kept import TIMES, RuntimeCache, TimingCache, plan_of
from rtsr.nvidia.planfile import entries
from rtsr.nvidia.profile import Profile
from rtsr.nvidia.recipe import Recipe, Target, facts_of

NETWORK = resources.networks()["quicksrnet-small-x2-capture"].path
RECIPE = Recipe(Profile.holding(640, 360))
ADA = Target("8.9", "NVIDIA GeForce RTX 4070", "13.0")


@pytest.fixture
def full(rtx):
    """Stands for TensorRT: TensorRT-RTX has its API, timing caches included, which do nothing there and warn."""
    return replace(rtx, kind="tensorrt")


def timings(library) -> bytes:
    """An empty timing cache, as the library writes it."""
    config = library.module.Builder(library.logger).create_builder_config()
    return bytes(config.create_timing_cache(b"").serialize())


@pytest.mark.filterwarnings("ignore:Use Deprecated in TensorRT-RTX")
def test_timings_are_merged_into_one_file(full, cache):
    times = TimingCache(full, facts_of(full, NETWORK, RECIPE, ADA))
    assert times.read() == b""
    times.merge(timings(full))
    first = times.read()
    assert first and times.path.parent == cache
    times.merge(timings(full))
    assert times.read() == first  # Nothing was measured.
    times.path.write_bytes(b"junk" * 100)
    assert times.read() == b""
    times.merge(timings(full))
    assert times.read() == first


def test_engines_of_a_gpu_share_their_timings_and_no_other_gpu_does(full, cache):
    large = Recipe(Profile.holding(1920, 1080), "fp32")

    def path(recipe, target):
        return TimingCache(full, facts_of(full, NETWORK, recipe, target)).path

    assert path(RECIPE, ADA) == path(large, ADA)
    others = [replace(ADA, gpu="NVIDIA L4"), replace(ADA, driver="13.1")]
    assert len({path(RECIPE, target) for target in (ADA, *others)}) == 3


@pytest.mark.filterwarnings("ignore:Use Deprecated in TensorRT-RTX")
def test_the_way_of_an_engine_of_tensorrt(full, cache):
    """Built for the GPU at hand, with the timing cache before and behind it, and kept for this GPU and driver only."""
    assert full.has_timing_cache and not full.capabilities
    notes = []
    plan = cached_plan(full, NETWORK, RECIPE, ADA, name="Small", note=notes.append)
    assert notes == ["building an engine of Small for NVIDIA GeForce RTX 4070: once, some seconds"]
    (entry,) = entries()
    assert entry.header is not None and (entry.header.facts.gpu, entry.header.facts.driver) == (ADA.gpu, ADA.driver)
    assert TimingCache(full, entry.header.facts).read() and len(store.files(".times")) == 1
    assert cached_plan(full, NETWORK, RECIPE, ADA, note=notes.append) == plan and len(notes) == 1
    cached_plan(full, NETWORK, RECIPE, replace(ADA, driver="13.1"), note=notes.append)
    assert len(notes) == 2 and len(entries()) == 2
    with pytest.raises(EngineError, match="builds for the GPU at hand only; leave out the compute capability"):
        build(full, NETWORK.read_bytes(), RECIPE.profile, ("8.9",))


class Picky:
    """Stands before the library's module, builders and configurations; takes no timings of `refused`, in one way.

    "unread": no timing cache is made of them; "mismatch": it is not used, so that a configuration has none, nor
    combined with another.
    """

    def __init__(self, real, refused, how):
        self.real, self.refused, self.how = real, refused, how

    def __getattr__(self, name):
        return getattr(self.real, name)

    def Builder(self, logger):
        return Picky(self.real.Builder(logger), self.refused, self.how)

    def create_builder_config(self):
        return Picky(self.real.create_builder_config(), self.refused, self.how)

    def create_timing_cache(self, content):
        if content == self.refused and self.how == "unread":
            return None
        return PickyTimes(content, self.refused)

    def set_timing_cache(self, times, ignore_mismatch):
        self.times = None if times.content == self.refused else times
        return self.times is not None

    def get_timing_cache(self):
        return self.times

    def build_serialized_network(self, network, config):
        return self.real.build_serialized_network(network, config.real)


class PickyTimes:
    def __init__(self, content, refused):
        self.content, self.refused = content, refused

    def serialize(self):
        return self.content + b"!"

    def combine(self, others, ignore_mismatch):
        if others is None:
            raise TypeError("combine(): incompatible function arguments")
        if others.content == self.refused:
            return False
        self.content += others.content
        return True


@pytest.mark.parametrize(("had", "after"), [(b"", b"!"), (b"own", b"own!"), (b"other", b"!")])
@pytest.mark.parametrize("how", ["unread", "mismatch"])
def test_timings_that_do_not_fit_cost_no_build(full, how, had, after):
    picky = replace(full, module=Picky(full.module, b"other", how))
    plan, measured = build(picky, ready(NETWORK, RECIPE), RECIPE.profile, timing_cache=had)
    assert plan and measured == after


@pytest.mark.parametrize("how", ["unread", "mismatch"])
def test_timings_that_do_not_fit_give_way_to_newer_ones(full, cache, how):
    times = TimingCache(replace(full, module=Picky(full.module, b"other", how)), facts_of(full, NETWORK, RECIPE, ADA))
    cache.mkdir(parents=True)
    store.write(times.path, TIMES, {}, b"other")
    times.merge(b"own")
    assert times.read() == b"own!"
    times.merge(b"more")
    assert times.read() == b"moreown!!"


def test_measured_timings_that_cannot_be_read_leave_the_file(full, cache):
    times = TimingCache(
        replace(full, module=Picky(full.module, b"other", "unread")), facts_of(full, NETWORK, RECIPE, ADA)
    )
    times.merge(b"own")
    times.merge(b"other")
    assert times.read() == b"own!"


class Compiled:
    """An `IRuntimeCache` that compiles what it is told to, and takes only what it wrote itself."""

    def __init__(self) -> None:
        self.kernels: set[str] = set()

    def serialize(self) -> bytes:
        return b"kernels:" + ",".join(sorted(self.kernels)).encode()

    def deserialize(self, blob: bytes) -> bool:
        if not blob.startswith(b"kernels:"):
            return False
        self.kernels = set(filter(None, blob[8:].decode().split(",")))
        return True


class Config:
    """An `IRuntimeConfig`."""

    cache: Compiled | None = None

    def create_runtime_cache(self) -> Compiled:
        return Compiled()

    def set_runtime_cache(self, cache: Compiled) -> bool:
        self.cache = cache
        return True


def test_the_library_has_what_the_fakes_stand_for(rtx):
    assert all(hasattr(rtx.module.IRuntimeConfig, name) for name in ("create_runtime_cache", "set_runtime_cache"))
    assert all(hasattr(rtx.module.IRuntimeCache, name) for name in ("serialize", "deserialize"))
    assert hasattr(rtx.module.ICudaEngine, "create_runtime_config")


def started(library, plan: bytes = b"plan", gpu: str = "NVIDIA GeForce RTX 4070", driver: str = "13.0"):
    """A new start: the cache, and what it was given."""
    kept, config = RuntimeCache(library, plan, gpu, driver), Config()
    found = kept.attach(config)
    assert config.cache is not None
    return kept, config.cache, found


def test_the_second_start_finds_the_kernels_of_the_first(rtx, cache):
    kept, compiled, found = started(rtx)
    assert not found
    compiled.kernels.add("720p")
    assert kept.save() and not kept.save()
    assert plan_of(kept.path)
    again, compiled, found = started(rtx)
    assert found and compiled.kernels == {"720p"}
    assert not again.save()  # Nothing is new.
    compiled.kernels.add("1080p")
    assert again.save()
    assert started(rtx)[1].kernels == {"720p", "1080p"}


def test_who_saves_does_not_wait_for_long(rtx, cache, monkeypatch):
    monkeypatch.setattr(kept_module, "SAVING", 0.05)
    kept, compiled, _ = started(rtx)
    compiled.kernels.add("720p")
    with store.locked(kept.path.stem), pytest.raises(store.Busy):
        kept.save()
    assert kept.save()


@pytest.mark.parametrize("other", [{"plan": b"plan 2"}, {"gpu": "NVIDIA L4"}, {"driver": "13.1"}])
def test_kernels_are_of_a_plan_a_gpu_and_a_driver(rtx, cache, other):
    kept, compiled, _ = started(rtx)
    compiled.kernels.add("720p")
    kept.save()
    assert not started(rtx, **other)[2]


@pytest.mark.parametrize("content", [b"", b"junk" * 99, b"rtsr runtime 1\n{}\n"])
def test_a_broken_file_is_as_none(rtx, cache, content):
    kept, compiled, _ = started(rtx)
    compiled.kernels.add("720p")
    kept.save()
    kept.path.write_bytes(content)
    again, compiled, found = started(rtx)
    assert not found and plan_of(kept.path) == ""
    compiled.kernels.add("720p")
    assert again.save() and started(rtx)[2]


def test_what_the_runtime_does_not_take_is_as_none(rtx, cache):
    kept, _, _ = started(rtx)
    store.cache_folder().mkdir(parents=True)
    store.write(kept.path, b"rtsr runtime 1\n", {"plan": "x"}, b"of another version")
    assert not started(rtx)[2]


def test_without_a_runtime_cache_nothing_is_done(rtx, cache):
    old = RuntimeCache(replace(rtx, module=SimpleNamespace(__version__="11.4")), b"plan", "", "")
    assert not old.attach(SimpleNamespace()) and not old.save() and not cache.exists()
