"""The cache of engines: found again, safe among processes, and never in the way."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rtsr import resources
from rtsr.errors import EngineError
from rtsr.nvidia import cache as caching
from rtsr.nvidia import store
from rtsr.nvidia.cache import cached_plan, plan_path
from rtsr.nvidia.planfile import read_plan, write_plan
from rtsr.nvidia.profile import Profile
from rtsr.nvidia.recipe import Recipe, Target
from rtsr.nvidia.validity import Verdict

NETWORK = resources.networks()["quicksrnet-small-x2-capture"].path
RECIPE = Recipe(Profile.holding(640, 360))
ADA = Target("8.9")
BUILD = """
import os, sys, time
from pathlib import Path
from rtsr.nvidia.cache import cached_plan
from rtsr.nvidia.library import load_library
from tests.nvidia.test_cache import ADA, NETWORK, RECIPE
library = load_library("rtx")
print("ready", flush=True)
sys.stdin.readline()
notes = []
plan = cached_plan(library, NETWORK, RECIPE, ADA, note=notes.append)
from hashlib import sha256
print(len(notes), sha256(plan).hexdigest())
"""


def process(code: str) -> subprocess.Popen[str]:
    """A Python process that has said that it is ready, and goes on when it is written to."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    started = subprocess.Popen([sys.executable, "-c", code], env=environment, text=True, **pipes)
    assert started.stdout is not None and started.stdout.readline() == "ready\n"
    return started


def test_built_once_and_found_again(rtx, cache, monkeypatch):
    notes = []
    plan = cached_plan(rtx, NETWORK, RECIPE, ADA, name="Small", note=notes.append)
    assert notes == ["building an engine of Small for GPUs of compute capability 8.9: once, some seconds"]
    path = plan_path(rtx, NETWORK, RECIPE, ADA)
    assert path.parent == cache
    header, kept = read_plan(path)
    assert kept == plan and header.name == "Small" and header.seconds > 0
    assert [(end.name, end.dtype, end.shape) for end in header.tensors] == [
        ("image", "float32", (-1, 3, -1, -1)),
        ("upscaled", "float32", (-1, 3, -1, -1)),
    ]
    monkeypatch.setattr(caching, "build", lambda *arguments: pytest.fail("built again"))
    assert cached_plan(rtx, NETWORK, RECIPE, ADA, note=notes.append) == plan and len(notes) == 1
    assert not list(cache.glob("*.tmp"))


def test_what_is_found_needs_no_onnx(rtx, cache):
    cached_plan(rtx, NETWORK, RECIPE, ADA)
    code = """
import sys
from rtsr.nvidia.cache import cached_plan
from rtsr.nvidia.library import load_library
from tests.nvidia.test_cache import ADA, NETWORK, RECIPE
cached_plan(load_library("rtx"), NETWORK, RECIPE, ADA, note=sys.exit)
print("onnx" in sys.modules)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("False\n", 0), done.stderr


def test_different_wishes_lie_side_by_side(rtx, cache):
    cached_plan(rtx, NETWORK, RECIPE, ADA)
    cached_plan(rtx, NETWORK, RECIPE, Target("12.0"))
    cached_plan(rtx, NETWORK, Recipe(RECIPE.profile, "fp32"), ADA)
    assert len(list(cache.glob("*.plan"))) == 3


def test_two_processes_build_one_engine(rtx, cache):
    both = [process(BUILD) for _ in range(2)]
    for one in both:
        assert one.stdin is not None
        one.stdin.write("\n")
        one.stdin.flush()
    said = sorted(one.communicate(timeout=120)[0].split() for one in both)
    (found, first), (built, second) = said
    assert (found, built) == ("0", "1") and first == second
    assert [path.suffix for path in store.files() if path.suffix != ".lock"] == [".plan"]


def test_a_process_that_dies_while_it_builds_blocks_nobody(rtx, cache):
    key = plan_path(rtx, NETWORK, RECIPE, ADA).stem
    holder = process(
        f"import sys\nfrom rtsr.nvidia import store\nwith store.locked({key!r}) as folder:\n"
        f"    (folder / '{key}.half.tmp').write_bytes(b'half')\n"
        "    print('ready', flush=True)\n    sys.stdin.readline()"
    )
    with pytest.raises(store.Busy, match="another process has been building the same engine"), store.locked(key, 0):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.communicate(timeout=60)
    notes = []
    assert cached_plan(rtx, NETWORK, RECIPE, ADA, note=notes.append)
    assert len(notes) == 1


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def extend(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"more")


def exchange(path: Path) -> None:
    """Another engine's file under this name."""
    header, plan = read_plan(path)
    other = header.facts.__class__(**{**{f: getattr(header.facts, f) for f in header.facts.__slots__}, "batch": 2})
    write_plan(path, header.name, other, header.tensors, 1, plan)


def junk_inside(path: Path) -> None:
    """A whole file, by its hash, whose content is no plan: only the runtime can tell."""
    header, _ = read_plan(path)
    write_plan(path, header.name, header.facts, header.tensors, 1, b"no plan" * 1000)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (cut, "it is cut off"),
        (flip, "its content is not what was written"),
        (extend, "its content is not what was written"),
        (exchange, "it is another engine's"),
        (junk_inside, "it is no plan of TensorRT-RTX, or damaged"),
        (lambda path: path.write_bytes(b""), "it is no file of this version of rtsr"),
        (lambda path: path.write_bytes(b"junk" * 999), "it is no file of this version of rtsr"),
        (lambda path: path.write_bytes(b"rtsr plan 1\n{"), "its first lines are damaged"),
        (lambda path: path.write_bytes(b"rtsr plan 1\n[]\n"), "its first lines are damaged"),
        (lambda path: path.write_bytes(b'rtsr plan 1\n{"size": 0, "sha256": ""}\n'), "its content is not what"),
        (lambda path: path.write_bytes(b"rtsr plan 2\n{}\n"), "it is no file of this version of rtsr"),
    ],
)
def test_a_broken_file_is_built_again(rtx, cache, damage, reason):
    plan = cached_plan(rtx, NETWORK, RECIPE, ADA)
    damage(plan_path(rtx, NETWORK, RECIPE, ADA))
    notes = []
    again = cached_plan(rtx, NETWORK, RECIPE, ADA, name="Small", note=notes.append)
    assert len(again) == len(plan) and len(notes) == 2
    assert notes[0].startswith(f"the kept engine of Small is of no use: {reason}")
    assert read_plan(plan_path(rtx, NETWORK, RECIPE, ADA))[1] == again
    assert cached_plan(rtx, NETWORK, RECIPE, ADA, note=notes.append) == again and len(notes) == 2


def test_a_folder_in_place_of_the_file(rtx, cache):
    path = plan_path(rtx, NETWORK, RECIPE, ADA)
    path.mkdir(parents=True)
    notes = []
    assert cached_plan(rtx, NETWORK, RECIPE, ADA, note=notes.append)
    assert "Is a directory" in notes[0] and "engines cannot be kept" in notes[-1]


def test_stale_is_built_again_and_refused_is_an_error(rtx, cache, monkeypatch):
    cached_plan(rtx, NETWORK, RECIPE, ADA)
    notes = []
    monkeypatch.setattr(caching, "judge", lambda library, plan: Verdict("stale", "it was built for other GPUs"))
    cached_plan(rtx, NETWORK, RECIPE, ADA, note=notes.append)
    assert notes[0].endswith(" is of no use: it was built for other GPUs") and len(notes) == 2
    monkeypatch.setattr(caching, "judge", lambda library, plan: Verdict("refused", "the driver is too old"))
    with pytest.raises(EngineError, match="quicksrnet-small-x2-capture cannot run here: the driver is too old"):
        cached_plan(rtx, NETWORK, RECIPE, ADA)


def test_rebuild_builds_whatever_is_there(rtx, cache):
    notes = []
    for _ in range(2):
        cached_plan(rtx, NETWORK, RECIPE, ADA, note=notes.append, rebuild=True)
    assert len(notes) == 2


def test_without_a_usable_folder_the_engine_is_built_all_the_same(rtx, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("RTSR_CACHE", str(tmp_path / "file"))
    notes = []
    assert cached_plan(rtx, NETWORK, RECIPE, ADA, note=notes.append)
    (why,) = [note for note in notes if "cannot be kept" in note]
    assert why.endswith("built anew at each start; set RTSR_CACHE") and "\n" not in why


def test_a_full_disk_costs_one_build_only(rtx, cache, monkeypatch):
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store.os, "fsync", full)
    notes = []
    assert cached_plan(rtx, NETWORK, RECIPE, ADA, note=notes.append)
    assert len(notes) == 2 and "No space left on device" in notes[1]
    assert [path.suffix for path in store.files()] == [".lock"]


def test_the_folder_is_the_user_s_own(monkeypatch):
    monkeypatch.delenv("RTSR_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere/of/mine")
    if sys.platform == "linux":
        assert store.cache_folder() == Path("/somewhere/of/mine/rtsr/engines")
    monkeypatch.setenv("RTSR_CACHE", "~/engines of mine")
    assert store.cache_folder() == Path.home() / "engines of mine" / "engines"
