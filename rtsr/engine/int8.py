"""Networks in 8 bits on the processor, by ONNX Runtime: whether that gives what it should here, and is quicker."""

from dataclasses import dataclass
from statistics import median
from time import perf_counter

import numpy as np

from rtsr.card import card_in_8_bits
from rtsr.engine.onnx import OnnxEngine
from rtsr.errors import EngineError, UsageError
from rtsr.resources import Network

MARK = ": in 8 bits"
"""Behind what runs such a network, for people."""
SIDE, ROUNDS, FEW, LONG = 96, 7, 3, 0.1
"""Of the picture that is timed, in input pixels; how often it is, and how often where that took so many seconds."""
CLOSE = 4 / 255
"""Root mean square by which the two forms may differ, white being 1: rounding makes 1 to 2 levels of it, and sums
that overflow, as they do on x86 processors without VNNI, ten and more."""
WORTHWHILE = 0.8
"""Share of the time of floats up to which a deadline is better served in 8 bits."""


class NoForm(UsageError):
    """A network has no form in 8 bits."""


_trials: "dict[tuple[str, str, int | None], Trial]" = {}


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of running a network in floats and in 8 bits."""

    right: bool
    """Whether both gave the same, but for rounding."""
    share: float
    """Time in 8 bits over time in floats."""

    @property
    def pays(self) -> bool:
        """Whether 8 bits are right, and quick enough to be worth what they lose."""
        return self.right and self.share <= WORTHWHILE


def trial(network: Network, threads: int | None = None) -> Trial:
    """Run `network`, which has both forms, on `threads` cores, by default all; for 0.1 s and more, once a process.

    Raises CardError and EngineError where it cannot be loaded.
    """
    assert network.card.int8 is not None
    key = network.card.sha256, network.card.int8.sha256, threads
    if key not in _trials:
        _trials[key] = _try(network, threads)
    return _trials[key]


def _try(network: Network, threads: int | None) -> Trial:
    # Bright: the sums are largest there.
    image = np.random.default_rng(0).uniform(0.5, 1, (1, 3, SIDE, SIDE)).astype(np.float32)
    with OnnxEngine(network.card, network.path, threads) as floats, _engine(network, threads) as whole:
        engines = (floats, whole)
        made = [engine.infer(image) for engine in engines]
        # In turns: what else the machine does hits both.
        times = list[list[float]]()
        while len(times) < (ROUNDS if sum(map(sum, times)) < LONG else FEW):
            times.append([_seconds(engine, image) for engine in engines])
    right = float(np.sqrt(np.mean(np.square(made[0] - made[1])))) < CLOSE
    return Trial(right, median(in_8_bits / in_floats for in_floats, in_8_bits in times))


def open_int8(network: Network, threads: int | None, provider: str | None) -> OnnxEngine:
    """The engine that runs `network` in 8 bits on `threads` cores; `runtime` says that it does.

    Raises UsageError where there is no such form of it, or `provider` is not the processor's; EngineError where the
    processor does not compute it right.
    """
    if network.card.int8 is None:
        raise NoForm(
            f"{network.card.name} has no form in 8 bits for the processor; quicksrnet-small and others of one "
            "exit like it have, and `rtsr quantize` makes one of others like them"
        )
    if provider not in (None, "auto", "cpu"):
        raise UsageError(f"8 bits are for the processor, not for {provider}; leave out the precision, or the provider")
    if not trial(network, threads).right:
        raise EngineError(
            "ONNX Runtime's sums of 8-bit products overflow on this processor, which has no instructions for them "
            "(VNNI on x86); leave out --precision int8"
        )
    return _engine(network, threads)


def _engine(network: Network, threads: int | None) -> OnnxEngine:
    engine = OnnxEngine(card_in_8_bits(network.card), network.int8_path, threads, "cpu")
    engine.runtime += MARK
    return engine


def _seconds(engine: OnnxEngine, image: np.ndarray) -> float:
    began = perf_counter()
    engine.infer(image)
    return perf_counter() - began
