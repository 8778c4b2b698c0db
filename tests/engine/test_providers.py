"""What was asked for runs, or an error says why not; here without any provider but the processor."""

import sys
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest

from rtsr.engine import open_engine, session
from rtsr.engine.providers import CPU, INSTEAD, TABLE, Provider, choose
from rtsr.engine.session import open_session
from rtsr.errors import EngineError
from rtsr.provider import Wanted
from rtsr.resources import networks

NETWORK = networks()["quicksrnet-small-x2-photo"]
STAGED = networks()["enaf-quicksrnet-medium-x2-photo"]
AZURE = Provider("azure", "Azure", "AzureExecutionProvider", "pip install onnxruntime")
"""Comes with ONNX Runtime, loads everywhere and runs nothing of a network."""
HERE = onnxruntime.get_available_providers()


@pytest.fixture
def with_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", *HERE])


@pytest.mark.parametrize("network", [NETWORK, STAGED], ids=["plain", "exits"])
def test_one_that_is_not_installed_is_an_error_with_the_line_that_installs_it(network) -> None:
    if "CUDAExecutionProvider" in HERE:
        pytest.fail("the tests are to run with plain onnxruntime, which has no CUDA")
    with pytest.raises(EngineError) as caught:
        open_engine(network.card, network.path, provider="cuda:0")
    said = f"ONNX Runtime {onnxruntime.__version__} was installed without CUDA"
    assert str(caught.value) == f"{said}; try: {INSTEAD} 'onnxruntime-gpu[cuda,cudnn]'"


@pytest.mark.parametrize(
    ("name", "system"), [("directml", "a part of Windows"), ("coreml", "a part of macOS")], ids=["directml", "coreml"]
)
def test_one_of_another_system_is_an_error_without_such_a_line(name: str, system: str) -> None:
    if TABLE[name].platform == sys.platform:
        pytest.skip(f"this is {sys.platform}")
    with pytest.raises(EngineError, match=system) as caught:
        open_engine(NETWORK.card, NETWORK.path, provider=name)
    assert "pip" not in str(caught.value)


def test_one_that_onnx_runtime_silently_replaces_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime warns, and opens a session on the processor."""
    monkeypatch.setattr(session, "check_built", lambda provider: None)
    with pytest.warns(UserWarning), pytest.raises(EngineError, match="OpenVINO does not load: it finds no device GPU"):
        open_session(NETWORK.path, 1, replace(TABLE["openvino"], device="gpu"))


def test_one_that_leaves_the_work_to_the_processor_is_an_error() -> None:
    if AZURE.runtime_name not in HERE:
        pytest.fail(f"ONNX Runtime {onnxruntime.__version__} comes without {AZURE.runtime_name}: test with another")
    with pytest.raises(EngineError, match="Azure cannot run Conv, ConvTranspose of this network"):
        open_session(NETWORK.path, 1, replace(AZURE, name="openvino"))


def test_a_provider_that_fails_in_a_run_is_not_replaced() -> None:
    """By default ONNX Runtime prints a line and goes on with the processor."""
    assert open_session(NETWORK.path, 1)._enable_fallback is False


def test_auto_takes_what_loads_and_says_why(with_cuda: None) -> None:
    tried: list[str] = []

    def loads(provider: Provider) -> None:
        tried.append(provider.name)

    chosen = choose(Wanted("auto"), loads)
    assert tried == ["cuda"] and chosen.describe() == "ONNX Runtime, CUDA: the best that loads here"


def test_auto_takes_the_processor_where_nothing_else_loads_and_says_why(with_cuda: None) -> None:
    """With a real attempt: CUDA is said to be there, and is not."""
    with pytest.warns(UserWarning):
        engine = open_engine(NETWORK.card, NETWORK.path, 1, provider="auto")
    assert engine.runtime == "ONNX Runtime, CPU: CUDA does not load: it finds no device here"
    assert engine.infer(np.zeros((1, 3, 8, 8), np.float32)).shape == (1, 3, 16, 16)


@pytest.mark.parametrize("network", [NETWORK, STAGED], ids=["plain", "exits"])
def test_what_runs_is_said(network) -> None:
    assert open_engine(network.card, network.path, 1).runtime == "ONNX Runtime, CPU"
    with_reason = open_engine(network.card, network.path, 1, "auto").runtime
    assert with_reason == "ONNX Runtime, CPU: no other provider"


def test_what_was_asked_for_is_named_without_a_reason() -> None:
    assert choose(Wanted("cpu"), lambda provider: None) == CPU
    assert replace(TABLE["openvino"], device="gpu.1").describe() == "ONNX Runtime, OpenVINO GPU.1"
