"""Whether a plan can run here, by the runtime's own check of its header."""

from dataclasses import dataclass

from rtsr.nvidia.library import Library

REBUILD = {
    "VERSION_MISMATCH": "it was built with another version of {name} than {version}",
    "UNSUPPORTED_CC": "it was built for other GPUs than this one",
    "MALFORMED_ENGINE": "it is no plan of {name}, or damaged",
}
"""Reasons that building the engine again removes."""
REFUSED = {
    "OLD_CUDA_DRIVER": "the NVIDIA driver is too old for {name} {version}; update the driver",
    "OLD_CUDA_RUNTIME": "the CUDA runtime is too old for {name} {version}; update the driver and rtsr's extra",
    "CUDA_ERROR": "CUDA does not work here; see: rtsr doctor",
}
"""Reasons that no engine could get round."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a runtime says of a plan."""

    state: str
    """`valid`; `stale`, to be built again; `refused`, which building again does not change; `unknown`, where the
    library has no such check, or no GPU is there to check for."""
    reason: str = ""
    """In words; empty where it is valid."""


def judge(library: Library, plan: bytes) -> Verdict:
    """What the runtime says of `plan`; only its header is looked at, so this takes no time.

    The runtime asks the GPU. Without one it still knows a file that is no plan, but says of all others that they are
    invalid, for no reason: that is `unknown` here.
    """
    runtime = library.module.Runtime
    if not hasattr(runtime, "get_engine_validity"):
        return Verdict("unknown", f"{library.name} has no check for this")
    with library.lock:
        library.said.clear()
        state, diagnostics = runtime(library.logger).get_engine_validity(plan)
    if state != library.module.EngineValidity.INVALID:
        return Verdict("valid")
    known = library.module.EngineInvalidityDiagnostics.__members__
    found = [name for name, flag in known.items() if int(diagnostics) & int(flag)]
    for reasons, outcome in ((REFUSED, "refused"), (REBUILD, "stale")):
        said = [reasons[name].format(name=library.name, version=library.version) for name in found if name in reasons]
        if said:
            return Verdict(outcome, said[0])
    if found:  # too little memory, which is found out when it is asked for
        return Verdict("valid")
    return Verdict("unknown", "no GPU is here to check it for")
