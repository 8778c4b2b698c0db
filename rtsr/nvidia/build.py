"""Builds an engine, in its serialized form called a plan, from an ONNX model; with TensorRT-RTX no GPU is needed."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rtsr.errors import EngineError
from rtsr.nvidia.library import Library
from rtsr.nvidia.profile import Profile

PARTS = {"u": (2, 2), "v": (2, 2), "uv": (2, 1)}
"""Rows and columns of the frame for one of an input's, rounded up: of the chroma planes."""
TYPES = {"FLOAT": "float32", "HALF": "float16", "INT8": "int8", "UINT8": "uint8", "INT32": "int32", "INT64": "int64"}
"""numpy's names of the libraries' types."""

LACKING = (
    "UNSUPPORTED_NODE",
    "INVALID_NODE",
    "UNSUPPORTED_NODE_ATTR",
    "UNSUPPORTED_NODE_INPUT",
    "UNSUPPORTED_NODE_DATATYPE",
    "UNSUPPORTED_NODE_DYNAMIC",
)
"""The parser's codes for what the library cannot run; versions have some or all of them."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output of an engine."""

    name: str
    output: bool
    dtype: str
    """numpy's name of it, e.g. float32."""
    shape: tuple[int, ...]
    """-1 where the size is free."""


@dataclass(frozen=True, slots=True, eq=False)
class Parsed:
    """A model as the library has read it; valid while this object is."""

    builder: Any
    network: Any
    parser: Any

    @property
    def inputs(self) -> list[Any]:
        return [self.network.get_input(i) for i in range(self.network.num_inputs)]

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Inputs, then outputs."""
        outputs = [self.network.get_output(i) for i in range(self.network.num_outputs)]
        return (*(_tensor(end, False) for end in self.inputs), *(_tensor(end, True) for end in outputs))


def tensors(library: Library, model: bytes) -> tuple[Tensor, ...]:
    """Inputs, then outputs of the engine that `model` makes, in the types that they have there.

    Raises EngineError as `build` does.
    """
    with library.lock:
        return _parse(library, model).tensors


def build(
    library: Library,
    model: bytes,
    profile: Profile,
    capabilities: Iterable[str] = (),
    timing_cache: bytes = b"",
) -> tuple[bytes, bytes]:
    """The plan of the ONNX `model` for the sizes of `profile`, and the timing cache, larger by what was measured.

    The model's types are the engine's: nothing is computed in less than it says. `capabilities` are those of the
    GPUs that the plan is for, e.g. 8.9; none means the GPU at hand, the only one where the library is TensorRT. The
    timing cache is empty where the library has none, and one that does not fit is ignored.

    Raises EngineError where the model cannot be read or has an operator that the library lacks, where GPUs of a
    capability are not supported, where there is no GPU but one is needed, or the build fails.
    """
    capabilities = tuple(capabilities)
    if capabilities and not library.capabilities:
        raise EngineError(
            f"{library.name} builds for the GPU at hand only; leave out the compute capability, or use --engine rtx"
        )
    for capability in capabilities:
        library.check_capability(capability)
    with library.lock:
        parsed = _parse(library, model)
        config = parsed.builder.create_builder_config()
        if hasattr(library.module.BuilderFlag, "TF32"):
            config.clear_flag(library.module.BuilderFlag.TF32)
        _add_profile(library, parsed, config, profile)
        if library.capabilities:  # Left alone, TensorRT-RTX builds for all GPUs that it knows.
            kinds = library.module.ComputeCapability
            wanted = [getattr(kinds, "SM" + capability.replace(".", "")) for capability in capabilities]
            config.num_compute_capabilities = max(len(wanted), 1)
            for place, kind in enumerate(wanted or [kinds.CURRENT]):
                config.set_compute_capability(kind, place)
        if library.has_timing_cache:
            _use_timings(config, timing_cache)
        library.said.clear()
        plan = parsed.builder.build_serialized_network(parsed.network, config)
        if plan is None:
            raise EngineError(_why(library, capabilities))
        times = config.get_timing_cache() if library.has_timing_cache else None
        return bytes(plan), b"" if times is None else bytes(times.serialize())


def _use_timings(config: Any, timing_cache: bytes) -> None:
    """Let `config` measure only what `timing_cache` lacks; everything, where that is another driver's or GPU's."""
    for content in (timing_cache, b""):
        times = config.create_timing_cache(content)
        if times is not None and config.set_timing_cache(times, ignore_mismatch=False):
            return


def _parse(library: Library, model: bytes) -> Parsed:
    module = library.module
    library.said.clear()
    try:
        builder = module.Builder(library.logger)
    except TypeError as cause:  # what a null pointer becomes: TensorRT makes no builder without a GPU
        raise EngineError(_why(library, ())) from cause
    network = builder.create_network(_flags(module))
    parser = module.OnnxParser(network, library.logger)
    if not parser.parse(model):
        raise EngineError(_unreadable(library, [parser.get_error(i) for i in range(parser.num_errors)]))
    if not network.num_inputs or not network.num_outputs:
        raise EngineError(f"{library.name} finds no network in the model; export it again")
    return Parsed(builder, network, parser)


def _flags(module: Any) -> int:
    """Strong typing, where it has to be asked for."""
    strong = getattr(module.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if strong is None else 1 << int(strong)


def _unreadable(library: Library, errors: list[Any]) -> str:
    """One line from what the parser says."""
    codes = [getattr(library.module.ErrorCode, code, None) for code in LACKING]
    operators = list(dict.fromkeys(e.node_operator() for e in errors if e.node_operator() and e.code() in codes))
    if operators:
        nodes = ", ".join(dict.fromkeys(e.node_name() or f"node {e.node()}" for e in errors))
        return (
            f"{library.name} {library.version} cannot run the operator {', '.join(operators)} as the model uses it "
            f"(at {nodes}); export the network without it, or use --engine onnx"
        )
    reason = " ".join(errors[0].desc().split()) if errors else library.said[-1] if library.said else "no reason given"
    return f"{library.name} cannot read the model: {reason}; export it again"


def _add_profile(library: Library, parsed: Parsed, config: Any, profile: Profile) -> None:
    made = parsed.builder.create_optimization_profile()
    for end in parsed.inputs:
        shapes = _shapes(end.name, tuple(end.shape), profile)
        made.set_shape(end.name, *shapes)
    if config.add_optimization_profile(made) < 0:
        raise EngineError(f"{library.name} does not take the sizes {profile.describe()}: {_last(library)}")


def _shapes(name: str, shape: tuple[int, ...], profile: Profile) -> list[tuple[int, ...]]:
    """The smallest, usual and largest shape of an input whose free sizes are -1."""
    if len(shape) != 4:
        raise EngineError(f"the model's input {name} has {len(shape)} dimensions, not batch, channels, height, width")
    down, across = PARTS.get(name, (1, 1))
    patches = profile.batch
    if shape[2] > 0 and shape[3] > 0:  # what judges patches gets all of a frame at once
        patches *= profile.patches(shape[3], shape[2])
    batches = (1, patches if shape[2] > 0 else 1, patches)
    sizes = (profile.smallest, profile.usual, profile.largest)
    free = [
        (n, shape[1], -(-height // down), -(-width // across))
        for n, (width, height) in zip(batches, sizes, strict=True)
    ]
    return [tuple(own if own > 0 else side for own, side in zip(shape, one, strict=True)) for one in free]


def _tensor(end: Any, output: bool) -> Tensor:
    kind = str(end.dtype.name)
    return Tensor(end.name, output, TYPES.get(kind, kind.lower()), tuple(end.shape))


def _last(library: Library) -> str:
    return library.said[-1] if library.said else "no reason given"


def _why(library: Library, capabilities: tuple[str, ...]) -> str:
    """Why a build failed, from what the library said."""
    first = library.said[0] if library.said else "no reason given"
    if not capabilities and any("cuda" in line.lower() for line in library.said):
        ahead = "; or say what GPU to build for, e.g. --capability 8.9" if library.capabilities else ""
        return f"{library.name} finds no usable GPU ({first}); install or update the NVIDIA driver{ahead}"
    return f"{library.name} {library.version} cannot build the engine: {first}"
