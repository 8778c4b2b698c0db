"""Checkpoints from elsewhere: fitted to the networks of rtsr, and read without running anything."""

import os
import pickle
from fractions import Fraction

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from rtsr.engine import open_engine
from rtsr.engine.onnx import OnnxEngine
from rtsr.engine.stages import StagedEngine
from rtsr.errors import ImportFailed, UsageError
from rtsr.importing import import_network, sign_of
from rtsr.importing.checkpoint import read_weights
from rtsr.importing.fitting import fit, fitting
from rtsr.quality.evaluate import evaluate
from rtsr.resources import Network
from tests.networks import random_network

X2, X1_5, X4 = Fraction(2), Fraction(3, 2), Fraction(4)
ARCH = "quicksrnet-small"


@pytest.fixture
def model():
    return random_network(ARCH, X2)


def refused(path, message, arch=ARCH, scale=X2):
    """`path` is refused in one line that names it, and nothing is written."""
    out = path.parent / "out"
    with pytest.raises(ImportFailed, match=message) as error:
        import_network(path, out, arch, scale)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    assert not out.exists()


@pytest.mark.parametrize(
    ("suffix", "wrapped"),
    [
        (".pth", lambda state: state),
        (".pt", lambda state: {"state_dict": state, "epoch": 3}),
        (".t7", lambda state: {"params": {}, "params_ema": state}),
        (".ckpt", lambda state: {"model": {f"module.{name}": value for name, value in state.items()}, "optimiser": {}}),
        (".pth", lambda state: {"generator": {"state_dict": {name: value.half() for name, value in state.items()}}}),
        (".pt", lambda state: {"model": {name: 0 * state[name] for name in state}, "average": state, "step": 1}),
    ],
)  # fmt: skip
def test_weights_are_unwrapped_and_exported(tmp_path, model, suffix, wrapped):
    path = tmp_path / f"some{suffix}"
    torch.save(wrapped(model.state_dict()), path)
    check(
        import_network(path, tmp_path / "out", ARCH, X2),
        tmp_path,
        model,
        1e-4 if "generator" not in read(path) else 0.01,
    )


def read(path) -> dict:
    return torch.load(path, weights_only=True)


def check(card, tmp_path, model, allowed):
    """The card describes a network that does what `model` does."""
    image = np.random.default_rng(3).random((2, 3, 9, 7), np.float32)
    with OnnxEngine(card, tmp_path / "out" / "some.onnx") as engine, torch.inference_mode():
        np.testing.assert_allclose(engine.infer(image), model(torch.from_numpy(image)), atol=allowed)
    assert (card.name, card.arch, card.scale, card.flavour) == ("some", ARCH, 2, "photo")
    assert card.summary == "QuickSRNet-Small x2, imported" and card.training.startswith("weights of some.")


def test_safetensors(tmp_path, model):
    save_file(model.state_dict(), tmp_path / "some.safetensors")
    check(import_network(tmp_path / "some.safetensors", tmp_path / "out", ARCH, X2), tmp_path, model, 1e-4)
    content = (tmp_path / "some.safetensors").read_bytes()
    for damaged in (b"", content[:100], content[:-7], b"\xff" * 64):
        (tmp_path / "bad.safetensors").write_bytes(damaged)
        with pytest.raises(ImportFailed, match="damaged, or no safetensors file"):
            import_network(tmp_path / "bad.safetensors", tmp_path / "no", ARCH, X2)


def test_the_architecture_that_weights_fit_is_found(tmp_path):
    for arch, scale in ((ARCH, X1_5), ("rlfn-s", X2), ("enaf-quicksrnet-medium", X4), ("smsr", Fraction(3))):
        assert list(fitting(random_network(arch, scale).state_dict())) == [(arch, scale)]
    torch.save(random_network(ARCH, X1_5).state_dict(), tmp_path / "some.pth")
    refused(tmp_path / "some.pth", r"conv_last\.weight is .*; it fits --arch quicksrnet-small --scale 1\.5", None, X2)
    card = import_network(tmp_path / "some.pth", tmp_path / "out")
    assert (card.arch, card.scale) == (ARCH, X1_5)


def test_weights_of_another_network_are_named(tmp_path, model):
    state = model.state_dict()
    path = tmp_path / "some.pth"
    torch.save(random_network("quicksrnet-medium", X4).state_dict(), path)
    refused(path, r"unknown conv_mid\.2\.weight.* and 3 more; .*; it fits --arch quicksrnet-medium --scale 4")
    torch.save({"layer.weight": torch.zeros(3)}, path)
    refused(
        path,
        r"missing conv_first.weight, .* and 5 more; unknown layer.weight; no architecture of rtsr is near; leave out",
    )
    torch.save({name: value for name, value in state.items() if name != "conv_mid.1.bias"}, path)
    refused(path, r"does not hold quicksrnet-small x2: missing conv_mid\.1\.bias; take a complete checkpoint")
    torch.save({**state, "extra": torch.zeros(2), "step": torch.tensor(3)}, path)
    refused(path, "unknown extra, step; take a complete checkpoint")
    torch.save({**state, "conv_first.bias": torch.zeros(31)}, path)
    refused(path, r"conv_first\.bias is \(31,\), not \(32,\)")
    torch.save({**state, "conv_first.bias": torch.full((32,), torch.inf)}, path)
    refused(path, r"conv_first\.bias holds values that are not numbers")


class Command:
    """What runs a command when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


def test_code_is_refused_and_not_run(tmp_path, model):
    mark, path = tmp_path / "ran", tmp_path / "some.pth"
    torch.save({"state_dict": model.state_dict(), "more": Command(mark)}, path)
    refused(path, r"holds Python code \((posix|nt)\.system\), which is not run")
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        path.write_bytes(pickle.dumps({"a": Command(mark)}, protocol))
        refused(path, "holds Python code|may hold code, which is not run")
    torch.save({"state_dict": model.state_dict(), "more": Command(mark)}, path, pickle_protocol=4)
    refused(path, "may hold code, which is not run")
    assert not mark.exists()
    torch.save(model, path)
    refused(path, r"holds Python code \(rtsr\.models\.quicksrnet\.QuickSRNet\)")
    torch.jit.save(torch.jit.script(nn.Conv2d(1, 1, 1)), path)
    refused(path, "is a TorchScript program")


@pytest.mark.parametrize("zipped", [True, False])
def test_weights_pickled_in_another_way_are_saved_again(tmp_path, model, zipped):
    path = tmp_path / "some.pth"
    torch.save(model.state_dict(), path, pickle_protocol=4, _use_new_zipfile_serialization=zipped)
    refused(path, r"may hold code, which is not run; save the network again with torch\.save\(state_dict\)")


ODD = {
    "sparse": (lambda value: value.to_sparse(), "is of layout sparse_coo; save it as a dense tensor"),
    "meta": (lambda value: value.to("meta"), "has no values"),
    "quantised": (lambda value: torch.quantize_per_tensor(value, 0.1, 0, torch.qint8), "is quantised"),
    "float8": (lambda value: value.to(torch.float8_e4m3fn), "holds float8_e4m3fn"),
    "complex": (lambda value: value.to(torch.complex64), "holds complex64"),
    "int8": (lambda value: value.to(torch.int8), "holds int8, not floating numbers; save it as float32"),
    "double": (lambda value: value.double() + 1e200, "holds values that are not numbers in float32"),
}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.filterwarnings("ignore")  # of PyTorch, which deprecates quantised tensors
def test_tensors_of_other_kinds_are_named(tmp_path, model, kind):
    change, message = ODD[kind]
    state = model.state_dict()
    torch.save({**state, "conv_first.weight": change(state["conv_first.weight"])}, tmp_path / "some.pth")
    refused(tmp_path / "some.pth", rf"conv_first\.weight {message}")


def test_weights_that_are_too_large_are_said_to_be(tmp_path):
    state = random_network("rlfn-s", X2).state_dict()
    torch.save({name: 1e30 * value for name, value in state.items()}, tmp_path / "some.pth")
    refused(tmp_path / "some.pth", "makes no numbers of a picture: its weights are too large", "rlfn-s")


def test_half_and_double_precision_are_taken(tmp_path, model):
    for kind in (torch.float16, torch.bfloat16, torch.float64):
        torch.save({name: value.to(kind) for name, value in model.state_dict().items()}, tmp_path / "some.pth")
        assert import_network(tmp_path / "some.pth", tmp_path / "out", overwrite=True).arch == ARCH


def test_the_nearest_architecture_is_named(tmp_path, model):
    path = tmp_path / "some.pth"
    state = model.state_dict()
    del state["conv_mid.1.bias"]
    torch.save(state, path)
    cure = r"the nearest is quicksrnet-small x2, but for missing conv_mid\.1\.bias; take a complete checkpoint"
    refused(path, cure, None, None)
    refused(path, cure, "rlfn-s")
    torch.save({**model.state_dict(), "conv_first.bias": torch.zeros(31)}, path)
    refused(path, r"x2, but for conv_first\.bias is \(31,\), not \(32,\); take a complete", None, None)


def test_damaged_files(tmp_path, model):
    path = tmp_path / "some.pth"
    torch.save(model.state_dict(), path)
    content = path.read_bytes()
    for damaged in (b"", b"no checkpoint", content[:2000], content[:-100]):
        path.write_bytes(damaged)
        refused(path, "is damaged, or no checkpoint of PyTorch")
    for useless in ({}, [torch.zeros(3)], {"state_dict": {"step": 3}}, torch.zeros(3), 5):
        torch.save(useless, path)
        refused(path, "holds no weights by name")


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "some.pth").symlink_to("/proc/self/mem")  # a file whose reading fails, even for root
    refused(tmp_path / "some.pth", "cannot read .*: ")
    (tmp_path / "net.pth").mkdir()
    refused(tmp_path / "net.pth", "is a folder")


def test_what_was_asked_for_wrongly(tmp_path, model):
    path = tmp_path / "some.pth"
    refused(path, "is not there")
    torch.save(model.state_dict(), path)
    for arch, scale, message in (
        ("srcnn", X2, "unknown architecture 'srcnn'; known: quicksrnet-small"),
        (ARCH, None, "--scale is missing"),
        (ARCH, Fraction(5, 2), r"by 1\.5, 2, 3 or 4, not by 2\.5"),
    ):
        with pytest.raises(UsageError, match=message):
            import_network(path, tmp_path / "out", arch, scale)
    assert not (tmp_path / "out").exists()


def test_the_sign_of_estimates_is_looked_up():
    model = random_network("enaf-quicksrnet-medium", X2)
    with torch.no_grad():
        model.estimator.lastOut.weight.mul_(0.01)
        for bias in (30.0, -30.0):
            model.estimator.lastOut.bias.fill_(bias)
            assert sign_of(model) == (1 if bias > 0 else -1)


def test_a_released_network_keeps_its_quality(shared, tmp_path):
    card = import_network(shared / "checkpoints" / "rlfn_ntire_x4.pth", tmp_path)
    assert (card.arch, card.scale) == ("rlfn-ntire", 4)
    with OnnxEngine(card, tmp_path / "rlfn_ntire_x4.onnx", threads=1) as engine:
        found = evaluate(engine, shared / "data" / "benchmarks" / "Set5", X4)
    assert found.psnr == pytest.approx(32.10, abs=0.01)


class OneExit:
    """A network with several exits as an engine that takes one of them."""

    def __init__(self, engine: StagedEngine, k: int) -> None:
        self.card, self.k, self._engine = engine.card, k, engine

    def infer(self, tiles):
        return self._engine.exit(self.k, tiles)


def test_a_released_network_with_exits_keeps_its_quality(shared, tmp_path):
    card = import_network(shared / "checkpoints" / "enaf_fsrcnn_x4.t7", tmp_path, "enaf-fsrcnn", X4, name="net")
    assert card.estimator is not None and card.estimator.sign == -1
    with open_engine(card, Network(card, tmp_path / "net.toml").path, 1) as engine:
        assert isinstance(engine, StagedEngine)
        for k, psnr in ((1, 30.20), (2, 30.52), (3, 30.62)):
            found = evaluate(OneExit(engine, k), shared / "data" / "benchmarks" / "Set5", X4)
            assert found.psnr == pytest.approx(psnr, abs=0.01)
        estimates = engine.estimate(np.full((1, 3, 32, 32), 0.5, np.float32))
        assert estimates.max() < 0


def test_weights_of_a_network_of_ours_load_strictly(model, tmp_path):
    torch.save(model.state_dict(), tmp_path / "some.pth")
    weights = read_weights(tmp_path / "some.pth")
    loaded = fit(ARCH, X2, weights, tmp_path / "some.pth").state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in model.state_dict().items())
