"""Training runs on what was asked for, or says why not."""

import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from rtsr.errors import UsageError
from rtsr.models import build
from rtsr.train.hardware import Hardware, choose_hardware
from rtsr.train.loop import train
from rtsr.train.recipe import Recipe
from rtsr.train.state import trained_weights
from tests.train.pictures import small_crops

RECIPE = Recipe("r", "quicksrnet-small", Fraction(2), "photo", ("photos",), steps=12, batch=2, patch=16)


@pytest.fixture
def cuda() -> None:
    """Skips without a CUDA device, or fails where RTSR_REQUIRE_GPU=1 says that there is one."""
    if not torch.cuda.is_available():
        if os.environ.get("RTSR_REQUIRE_GPU") == "1":
            pytest.fail("RTSR_REQUIRE_GPU=1, and PyTorch finds no CUDA device")
        pytest.skip("needs a CUDA device")


@pytest.mark.parametrize(
    ("wish", "says"),
    [(("tpu", "float32"), "unknown device"), (("cpu", "fp8"), "unknown precision"), (("cpu", "tf32"), "needs CUDA")],
)
def test_what_cannot_be_is_refused(wish: tuple[str, str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        choose_hardware(*wish)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_cuda_auto_is_the_processor_and_cuda_an_error() -> None:
    assert choose_hardware() == Hardware("cpu", "float32")
    with pytest.raises(UsageError, match="--device cpu"):
        choose_hardware("cuda")


def test_bf16_on_the_processor_is_refused_where_it_lacks_the_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_f": True}, raising=False)
    with pytest.raises(UsageError, match="AVX-512 BF16"):
        choose_hardware("cpu", "bf16")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False)
    assert choose_hardware("cpu", "bf16") == Hardware("cpu", "bf16")
    assert choose_hardware("cpu", "bf16").describe().endswith(", bf16")


def test_bf16_on_the_processor_learns_as_float32_does(tmp_path: Path) -> None:
    """PyTorch computes in bf16 on every processor, if slowly."""
    recipe, errors, weights = replace(RECIPE, steps=60), [], []
    crops = small_crops(recipe)
    low, high, _ = (torch.from_numpy(side) for side in crops.batch(1000))
    for name, hardware in (("float32", Hardware()), ("bf16", Hardware("cpu", "bf16"))):
        assert train(recipe, crops, tmp_path / name, lambda _: "", lambda _: None, hardware=hardware)
        network = build(recipe.arch, recipe.scale).eval()
        network.load_state_dict(trained_weights(tmp_path / name))
        errors.append(float((network(low) - high).detach().abs().mean()))
        weights.append(network.conv_first.weight.detach())
    untrained = float((build(recipe.arch, recipe.scale).eval()(low) - high).detach().abs().mean())
    assert weights[1].dtype == torch.float32
    assert (weights[0] != weights[1]).any()
    assert errors[1] < 0.9 * untrained
    assert errors[1] < 1.02 * errors[0]


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("precision", ["float32", "tf32", "bf16"])
def test_cuda_trains_to_nearly_the_same_weights_and_its_checkpoint_goes_on_elsewhere(
    tmp_path: Path, precision: str
) -> None:
    crops = small_crops(RECIPE)
    for name, hardware in (("cpu", Hardware()), ("cuda", choose_hardware("cuda", precision))):
        assert train(RECIPE, crops, tmp_path / name, lambda _: "", lambda _: None, hardware=hardware)
    ours, theirs = (torch.load(tmp_path / name, weights_only=True, map_location="cpu") for name in ("cpu", "cuda"))
    for key, value in ours["average"].items():
        torch.testing.assert_close(theirs["average"][key], value, rtol=0, atol=2e-3)
    longer = replace(RECIPE, steps=14)
    assert train(longer, crops, tmp_path / "cuda", lambda _: "", lambda _: None)
