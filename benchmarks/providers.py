"""ONNX Runtime's providers beside its processor: time of the plain networks, and how far their results differ.

    python -m benchmarks.providers openvino --size 640x360 --rounds 12 --json result.json
    python -m benchmarks.providers int8 --threads 1

`int8` is the processor again, with networks in 8 bits. Others need ONNX Runtime with the provider (`rtsr doctor` says
how to install it). Both run in turns, so that what else the machine does hits both; processor time counts where a
machine is busy, the least wall time where it is not.
"""

import argparse
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np
import onnxruntime

from benchmarks.machine import machine
from rtsr.engine.int8 import open_int8
from rtsr.engine.onnx import OnnxEngine
from rtsr.resources import Network, networks

WARM_UP = 3
MODELS = ("quicksrnet-small", "quicksrnet-medium")


@dataclass
class Times:
    """Milliseconds of every run of one engine."""

    wall: list[float] = field(default_factory=list)
    work: list[float] = field(default_factory=list)
    """Processor time of the whole process."""

    def add(self, engine: OnnxEngine, image: np.ndarray) -> None:
        began, worked = time.perf_counter(), time.process_time()
        engine.infer(image)
        self.wall.append(1e3 * (time.perf_counter() - began))
        self.work.append(1e3 * (time.process_time() - worked))

    def summary(self) -> dict[str, float]:
        figures = {"wall_ms": median(self.wall), "least_wall_ms": min(self.wall), "work_ms": median(self.work)}
        return {name: round(value, 2) for name, value in figures.items()}


def compare(network: Network, provider: str, size: tuple[int, int], rounds: int, threads: int | None) -> dict:
    """Times of `network` on a picture of noise with the processor and with `provider`, and their difference."""
    width, height = size
    image = np.random.default_rng(0).random((1, 3, height, width), np.float32)
    engines = {"cpu": OnnxEngine(network.card, network.path, threads, "cpu")}
    whole = provider == "int8"
    other = open_int8(network, threads, "cpu") if whole else OnnxEngine(network.card, network.path, threads, provider)
    engines[provider] = other
    results = [engine.infer(image) for engine in engines.values()]
    for engine in engines.values():
        for _ in range(WARM_UP):
            engine.infer(image)
    times = {name: Times() for name in engines}
    for _ in range(rounds):
        for name, engine in engines.items():
            times[name].add(engine, image)
    ratio = median(b / a for a, b in zip(times["cpu"].work, times[provider].work, strict=True))
    return {
        "network": network.card.name,
        **{name: taken.summary() for name, taken in times.items()},
        "work_of_cpu": round(ratio, 3),
        "least_wall_of_cpu": round(min(times[provider].wall) / min(times["cpu"].wall), 3),
        "largest_difference": float(np.abs(results[0] - results[1]).max()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("provider", help="as for --provider: openvino, cuda:1, ...; or int8")
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--threads", type=int, help="cores; default: all")
    parser.add_argument("--json", type=Path, help="write the figures and the machine's data here")
    options = parser.parse_args()
    width, height = (int(side) for side in options.size.split("x"))
    chosen = [n for n in networks().values() if n.card.arch in MODELS and n.card.flavour == "capture"]
    results = [compare(n, options.provider, (width, height), options.rounds, options.threads) for n in chosen]
    for row in results:
        print(json.dumps(row))
    if options.json:
        told = {"machine": machine(), "onnxruntime": onnxruntime.__version__, "size": [width, height]}
        told["threads"] = options.threads
        options.json.write_text(json.dumps({**told, "results": results}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
