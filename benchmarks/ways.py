"""What every way to make a tile reaches on whole pictures: early exits, plain networks, and the best of them turned.

    python -m benchmarks.ways DATA/benchmarks/BSD100 --scale 2 --flavour photo --json FILE
    python -m benchmarks.ways DATA/pairs --scale 2 --flavour capture --only supertuxkart_hacienda --json FILE

`card_gain` is what tiles are chosen by (`rtsr.pacing.mixed`), `gain` what was measured here, both over bicubic.
"""

import argparse
import json
from pathlib import Path

from benchmarks.machine import machine
from rtsr.engine.choice import Means
from rtsr.engine.exits import OneExit
from rtsr.pacing.mixed import find_ways, open_ways
from rtsr.pacing.paced import DEFAULT_MODEL
from rtsr.quality.evaluate import evaluate
from rtsr.resources import find_network
from rtsr.scale import parse_scale


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--scale", default="2")
    parser.add_argument("--flavour", default="photo")
    parser.add_argument("--only", action="append", default=[], help="pictures whose names hold this")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    scale = parse_scale(options.scale)
    network = find_network(f"{DEFAULT_MODEL}-{options.flavour}", scale)
    ways, rows = find_ways(network), []
    with open_ways(network, float("inf"), Means("onnx", "cpu"), turned=True) as engine:
        for k in range(len(ways) + 1):
            psnr = evaluate(OneExit(engine, k), options.dataset, scale, tuple(options.only)).psnr
            name, macs, gain = (ways[k - 1].name, ways[k - 1].macs, ways[k - 1].gain) if k else ("bicubic", 0.0, 0.0)
            over = psnr - (rows[0]["psnr_y"] if rows else psnr)
            rows.append({"way": name, "macs_per_pixel": macs, "psnr_y": psnr, "gain": over, "card_gain": gain})
            print(f"{name:45} {macs:9.0f} {psnr:8.3f} dB {over:+.3f}, by the card {gain:+.3f}", flush=True)
    if options.json:
        rounded = [{key: round(v, 3) if isinstance(v, float) else v for key, v in row.items()} for row in rows]
        result = {"machine": machine(), "dataset": options.dataset.name, "only": options.only, "scale": options.scale}
        result |= {"model": network.card.name, "ways": rounded}
        options.json.write_text(json.dumps(result, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
