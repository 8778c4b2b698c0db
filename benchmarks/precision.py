"""What half precision and 8-bit weights cost in quality: PSNR of every shipped network and exit, rounded as GPUs round.

    python -m benchmarks.precision ../shared/data/benchmarks/Set5 --json result.json

Runs on the processor (see `rtsr.nvidia.rehearsal`); exits are run in stages, with the features between them rounded.
"""

import argparse
import json
from pathlib import Path

from benchmarks.machine import machine
from rtsr.engine import open_engine
from rtsr.engine.onnx import OnnxEngine
from rtsr.engine.stages import StagedEngine
from rtsr.nvidia.rehearsal import rehearse
from rtsr.quality.evaluate import evaluate, evaluate_exits
from rtsr.resources import networks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, nargs="+")
    parser.add_argument("--threads", type=int, help="cores to use; by default all")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result: dict[str, object] = {"machine": machine()}
    for dataset in options.dataset:
        rows: dict[str, dict[str, float]] = {}
        for name, network in networks().items():
            exact = _scores(open_engine(network.card, network.path, options.threads), dataset)
            for precision in ("fp16", "int8"):
                found = _scores(rehearse(network, precision, options.threads), dataset)
                for title, (psnr, before) in ((k, (v, exact[k])) for k, v in found.items()):
                    row = rows.setdefault(name + title, {"fp32": round(before, 4)})
                    row[f"{precision}_loss"] = round(before - psnr, 4)
            for title in exact:
                row = rows[name + title]
                losses = f"{row['fp16_loss']:8.4f} {row['int8_loss']:8.4f}"
                print(f"{dataset.name:8} {name + title:44} {row['fp32']:7.3f} {losses}", flush=True)
        result[dataset.name] = rows
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", "utf-8")


def _scores(engine: OnnxEngine | StagedEngine, dataset: Path) -> dict[str, float]:
    """Mean PSNR by exit, or of the whole network."""
    scale = engine.card.scale
    if isinstance(engine, StagedEngine):
        every = evaluate_exits(engine, dataset, scale)
        return {f", exit {k}": found.psnr for k, found in enumerate(every) if k}
    return {"": evaluate(engine, dataset, scale).psnr}


if __name__ == "__main__":
    main()
