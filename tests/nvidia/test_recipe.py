"""The key of an engine: everything that matters changes it, and nothing else does."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from rtsr.errors import EngineError, UsageError
from rtsr.frame import Colour
from rtsr.nvidia import recipe as recipes
from rtsr.nvidia.library import Errors, Library
from rtsr.nvidia.profile import Profile
from rtsr.nvidia.recipe import Recipe, Target, facts_of

BASE = Recipe(Profile.holding(1280, 720))
ADA = Target("8.9", "NVIDIA GeForce RTX 4070", "13.0")


def library(kind: str, version: str) -> Library:
    return Library(kind, SimpleNamespace(__version__=version), None, Errors())


def key(network: Path, recipe: Recipe = BASE, target: Target = ADA, kind: str = "rtx", version: str = "1.7.1") -> str:
    return facts_of(library(kind, version), network, recipe, target).key


@pytest.fixture
def network(tmp_path: Path) -> Path:
    (tmp_path / "network.onnx").write_bytes(b"weights")
    return tmp_path / "network.onnx"


def test_every_ingredient_changes_the_key(network, tmp_path, monkeypatch):
    (tmp_path / "other.onnx").write_bytes(b"other weights")
    keys = {
        "as it is": key(network),
        "network": key(tmp_path / "other.onnx"),
        "precision": key(network, replace(BASE, precision="fp32")),
        "size": key(network, Recipe(Profile.holding(1920, 1080))),
        "upright": key(network, Recipe(Profile.holding(720, 1280))),
        "smallest": key(network, Recipe(replace(BASE.profile, smallest=(32, 16)))),
        "usual": key(network, Recipe(replace(BASE.profile, usual=(1000, 720)))),
        "batch": key(network, Recipe(replace(BASE.profile, batch=2))),
        "planes": key(network, replace(BASE, colour=Colour("bt709"))),
        "matrix": key(network, replace(BASE, colour=Colour("bt601"))),
        "range": key(network, replace(BASE, colour=Colour("bt709", full_range=True))),
        "siting": key(network, replace(BASE, colour=Colour("bt709", chroma_left=False))),
        "capability": key(network, target=replace(ADA, capability="12.0")),
        "version": key(network, version="1.7.2"),
        "library": key(network, kind="tensorrt", version="1.7.1"),
    }
    monkeypatch.setattr(recipes, "maker", lambda: "0.1.0+0123")
    keys["rtsr"] = key(network)
    assert len(set(keys.values())) == len(keys)


def test_gpu_and_driver_count_for_tensorrt_only(network, monkeypatch):
    others = (replace(ADA, gpu="NVIDIA L4"), replace(ADA, driver="13.1"))
    assert {key(network, target=target) for target in others} == {key(network)}
    plain = key(network, kind="tensorrt", version="11.4")
    own = {key(network, target=target, kind="tensorrt", version="11.4") for target in others}
    monkeypatch.setattr(recipes.platform, "system", lambda: "Plan 9")
    elsewhere = key(network, kind="tensorrt", version="11.4")
    assert len({plain, elsewhere, *own}) == 4


def test_the_file_s_name_does_not_count(network, tmp_path):
    (tmp_path / "copy.onnx").write_bytes(network.read_bytes())
    assert key(tmp_path / "copy.onnx") == key(network)


def test_code_that_makes_models_counts():
    there = [name for name in recipes.MAKERS if Path(recipes.__file__).with_name(name).is_file()]
    assert {"build.py", "dense.py", "graph.py", "precision.py", "profile.py"} <= set(there)
    code = "import sys, rtsr.nvidia.dense, rtsr.nvidia.graph; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    used = {name.removeprefix("rtsr.nvidia.") + ".py" for name in done.stdout.split() if "rtsr.nvidia." in name}
    assert used <= set(there)
    number, _, code = recipes.maker().partition("+")
    assert number and len(code) == 12


def test_bad_ingredients(network, tmp_path):
    with pytest.raises(UsageError, match="unknown precision 'fp8'; known: fp32, fp16, int8"):
        Recipe(BASE.profile, "fp8")
    for wrong in ("8", "sm89", "8.9.1", "", "8.x"):
        with pytest.raises(UsageError, match=r"a compute capability is two numbers, e\.g\. 8\.9"):
            Target(wrong)
    with pytest.raises(EngineError, match=r"cannot read .*missing\.onnx: No such file"):
        key(tmp_path / "missing.onnx")
