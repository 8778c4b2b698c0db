"""Names of providers and their devices."""

import pytest

from rtsr.engine.providers import CPU, OPTIONS, TABLE
from rtsr.errors import UsageError
from rtsr.provider import PROVIDERS, Wanted, parse_provider


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("auto", Wanted("auto")),
        ("cpu", Wanted("cpu")),
        ("CUDA:1", Wanted("cuda", "1")),
        ("directml:0", Wanted("directml", "0")),
        ("openvino:GPU.1", Wanted("openvino", "gpu.1")),
        ("openvino:npu", Wanted("openvino", "npu")),
        ("coreml:CPUAndGPU", Wanted("coreml", "cpuandgpu")),
    ],
)
def test_names_are_understood(text: str, wanted: Wanted) -> None:
    assert parse_provider(text) == wanted
    assert parse_provider(str(wanted)) == wanted


@pytest.mark.parametrize(
    "text", ["", "gpu", "cpu:1", "auto:0", "cuda:", "cuda:x", "cuda:-1", "openvino:tpu", "openvino:cpu.1", "coreml:1"]
)
def test_what_does_not_exist_is_refused_with_what_does(text: str) -> None:
    with pytest.raises(UsageError, match=r"known: auto, cpu|names no device of"):
        parse_provider(text)


def test_every_name_but_auto_is_in_the_tables() -> None:
    assert {"auto", *TABLE} == set(PROVIDERS) and OPTIONS.keys() == TABLE.keys()
    assert CPU.options(4) == {}


def test_results_are_those_of_float32() -> None:
    """Each of these has a default, on some hardware, that is not."""
    assert TABLE["cuda"].options(None)["use_tf32"] == "0"
    assert TABLE["coreml"].options(None)["ModelFormat"] == "MLProgram"
    for device in ("", "cpu", "gpu", "gpu.1"):
        assert '"INFERENCE_PRECISION_HINT": "f32"' in OPTIONS["openvino"](device, None)["load_config"]
