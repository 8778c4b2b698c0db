"""What the runtime says of plans, and what follows."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from rtsr.nvidia.validity import REBUILD, REFUSED, judge


def answering(rtx, state: str, *diagnostics: str):
    """TensorRT-RTX with a runtime that has a GPU to ask, and found this."""
    module = rtx.module
    flags = sum(int(getattr(module.EngineInvalidityDiagnostics, name)) for name in diagnostics)

    class Runtime:
        def __init__(self, logger: object) -> None:
            assert logger is rtx.logger

        def get_engine_validity(self, plan: bytes) -> tuple[object, int]:
            return getattr(module.EngineValidity, state), flags

    kinds = {"EngineInvalidityDiagnostics": module.EngineInvalidityDiagnostics, "EngineValidity": module.EngineValidity}
    return replace(rtx, module=SimpleNamespace(Runtime=Runtime, __version__=rtx.version, **kinds))


def test_the_real_runtime_knows_what_is_no_plan(rtx):
    verdict = judge(rtx, b"no plan" * 1000)
    assert verdict.state == "stale" and verdict.reason == "it is no plan of TensorRT-RTX, or damaged"


@pytest.mark.parametrize("name", REBUILD)
def test_what_building_again_removes_is_stale(rtx, name):
    verdict = judge(answering(rtx, "INVALID", name), b"plan")
    assert verdict.state == "stale" and verdict.reason and "{" not in verdict.reason


@pytest.mark.parametrize("name", REFUSED)
def test_what_building_again_does_not_change_is_refused(rtx, name):
    verdict = judge(answering(rtx, "INVALID", name, "VERSION_MISMATCH"), b"plan")
    assert verdict.state == "refused" and verdict.reason and "{" not in verdict.reason


def test_valid_and_slower_engines_are_used(rtx):
    assert judge(answering(rtx, "VALID"), b"plan").state == "valid"
    assert judge(answering(rtx, "SUBOPTIMAL", "UNSUPPORTED_CC"), b"plan").state == "valid"
    assert judge(answering(rtx, "INVALID", "INSUFFICIENT_GPU_MEMORY"), b"plan").state == "valid"


def test_no_reason_at_all_means_that_there_is_no_gpu(rtx):
    assert judge(answering(rtx, "INVALID"), b"plan").state == "unknown"


def test_every_diagnosis_of_the_library_is_known_here(rtx):
    known = {*REBUILD, *REFUSED, "INSUFFICIENT_GPU_MEMORY"}
    assert set(rtx.module.EngineInvalidityDiagnostics.__members__) == known


def test_a_library_without_the_check(rtx):
    assert judge(replace(rtx, module=SimpleNamespace(Runtime=object)), b"plan").state == "unknown"
