"""Which engines are stale and why, and what cleaning removes."""

import re
import subprocess
from dataclasses import replace
from types import SimpleNamespace

import pytest

from rtsr import resources
from rtsr.nvidia import store, upkeep
from rtsr.nvidia.cache import cached_plan
from rtsr.nvidia.here import targets
from rtsr.nvidia.planfile import Entry, entries, read_plan, write_plan
from rtsr.nvidia.profile import Profile
from rtsr.nvidia.recipe import Recipe, Target
from rtsr.nvidia.upkeep import clean, examine
from tests.nvidia.test_cache import process
from tests.nvidia.test_kept import started

NAME = "quicksrnet-small-x2-capture"
NETWORK = resources.networks()[NAME].path
RECIPE = Recipe(Profile.holding(640, 360))
ADA = Target("8.9", "NVIDIA GeForce RTX 4070", "13.0")


@pytest.fixture
def entry(rtx, cache) -> Entry:
    """The only engine in the cache."""
    cached_plan(rtx, NETWORK, RECIPE, ADA, name=NAME)
    (only,) = entries()
    return only


def rewritten(entry: Entry, name: str = NAME, **facts: str) -> Entry:
    """The engine with other facts in its file."""
    header, plan = read_plan(entry.path)
    changed = replace(header.facts, **facts)
    write_plan(entry.path, name, changed, header.tensors, header.seconds, plan)
    return next(one for one in entries() if one.path == entry.path)


def test_an_engine_that_fits(entry):
    assert examine(entry).state == "unknown"  # There is no GPU to ask.
    assert examine(entry, [replace(ADA, capability="7.5"), ADA]).state == "valid"


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"version": "1.6.1.120"}, r"^it was built with TensorRT-RTX 1\.6\.1\.120, and [\d.]+ is installed$"),
        ({"rtsr": "0.0.9+0123456789ab"}, r"^it was built by rtsr 0\.0\.9\+0123456789ab, and this is "),
        ({"network": "0" * 64}, "^the network has changed since it was built$"),
    ],
)
def test_stale_engines_say_why(entry, facts, reason):
    verdict = examine(rewritten(entry, **facts), [ADA])
    assert verdict.state == "stale"
    assert re.search(reason, verdict.reason)


def test_a_network_that_rtsr_does_not_ship_may_be_anything(entry):
    assert examine(rewritten(entry, name="mine", network="0" * 64), [ADA]).state == "valid"


def test_engines_for_other_gpus(entry):
    verdict = examine(entry, [replace(ADA, capability="12.0")])
    assert (verdict.state, verdict.reason) == ("elsewhere", "it is for GPUs of compute capability 8.9, here is 12.0")


def test_engines_that_are_bound_to_a_gpu_and_a_driver(entry):
    one = rewritten(entry, gpu=ADA.gpu, driver=ADA.driver)
    assert examine(one, [ADA]).state == "valid"
    assert examine(one, [replace(ADA, gpu="NVIDIA L4")]).reason == "it is for a NVIDIA GeForce RTX 4070"
    verdict = examine(one, [replace(ADA, driver="13.1")])
    assert (verdict.state, verdict.reason) == ("stale", "it was built under the driver 13.0, and 13.1 is installed")


def test_a_library_that_is_not_there(entry):
    verdict = examine(rewritten(entry, library="tensorrt"), [ADA])
    assert verdict.state == "unknown" and "pip install 'rtsr[tensorrt]'" in verdict.reason


def test_damaged_engines(entry):
    content = entry.path.read_bytes()
    entry.path.write_bytes(content[:-1])
    assert examine(entries()[0], [ADA]).reason == "it is cut off"
    entry.path.write_bytes(content[:20])
    (damaged,) = entries()
    assert damaged.header is None and examine(damaged, [ADA]).reason == "its first lines are damaged"
    entry.path.write_bytes(content)
    whole, _ = read_plan(entry.path)
    write_plan(entry.path, NAME, whole.facts, whole.tensors, 1, b"no plan" * 999)
    assert examine(entries()[0], [ADA]).reason == "it is no plan of TensorRT-RTX, or damaged"


def test_cleaning_removes_all_that_is_rtsr_s_and_nothing_else(rtx, entry, cache):
    kept, compiled, _ = started(rtx, read_plan(entry.path)[1])
    compiled.kernels.add("720p")
    kept.save()
    half = cache / f"{entry.path.stem}.abcd.tmp"
    half.write_bytes(b"half")
    others = [cache / "notes.txt", cache / "mine.plan", cache / f"{'g' * 32}.plan", cache.parent / f"{'0' * 32}.plan"]
    for other in others:
        other.write_text("not rtsr's")
    size = sum(path.stat().st_size for path in (entry.path, kept.path, half))
    assert clean() == (3, size)
    assert not store.files() and all(other.read_text() == "not rtsr's" for other in others)
    assert clean() == (0, 0)


def test_cleaning_where_nothing_ever_was(cache):
    assert clean() == (0, 0) and not cache.exists()


def test_cleaning_what_is_stale_spares_the_rest(rtx, entry, cache):
    cached_plan(rtx, NETWORK, RECIPE, Target("12.0"))
    for one in entries():
        kept, compiled, _ = started(rtx, read_plan(one.path)[1])
        compiled.kernels.add("720p")
        kept.save()
    rewritten(entry, version="1.6")
    assert clean(lambda one: examine(one).state == "stale")[0] == 2
    (left,) = entries()
    assert left.header is not None and left.header.facts.capability == "12.0"
    assert [upkeep.plan_of(path) for path in store.files(".runtime")] == [left.header.sha256]


def test_cleaning_spares_what_is_being_built(entry, cache):
    code = f"""
import sys
from rtsr.nvidia import store
with store.locked({entry.path.stem!r}):
    print("ready", flush=True)
    sys.stdin.readline()
"""
    holder: subprocess.Popen[str] = process(code)
    try:
        assert clean() == (0, 0) and entry.path.is_file()
    finally:
        holder.communicate("\n", timeout=60)
    assert clean()[0] == 1


def test_targets_of_a_machine():
    cards = [((8, 9), "NVIDIA GeForce RTX 4070"), ((12, 0), "NVIDIA GeForce RTX 5080")]
    devices = tuple(SimpleNamespace(capability=capability, name=name) for capability, name in cards)
    driver = SimpleNamespace(devices=lambda: devices, versions=lambda: SimpleNamespace(driver=(13, 1)))
    assert targets(driver) == (
        Target("8.9", "NVIDIA GeForce RTX 4070", "13.1"),
        Target("12.0", "NVIDIA GeForce RTX 5080", "13.1"),
    )
