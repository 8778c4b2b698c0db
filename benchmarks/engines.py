"""What building engines ahead of time takes: every shipped network, by GPU and precision. Needs no GPU.

python -m benchmarks.engines --json benchmarks/results/engines-rtx.json
"""

import argparse
import json
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from benchmarks.machine import machine
from rtsr import resources
from rtsr.frame import Colour
from rtsr.nvidia.build import build
from rtsr.nvidia.cache import ready
from rtsr.nvidia.library import Library, load_library
from rtsr.nvidia.profile import Profile
from rtsr.nvidia.recipe import PRECISIONS, Recipe

CAPABILITIES = ("7.5", "8.6", "8.9", "12.0")
LIMIT = 5.0
"""Seconds that no engine should take."""


def measure(library: Library, recipe: Recipe, capability: str, name: str, network: Path) -> dict[str, object]:
    """Time, wall and processor, of making one engine from the network's file, and its bytes."""
    began, worked = time.perf_counter(), time.process_time()
    plan, _ = build(library, ready(network, recipe), recipe.profile, (capability,))
    return {
        "network": name,
        "ends": "rgb" if recipe.colour is None else "planes",
        "precision": recipe.precision,
        "capability": capability,
        "seconds": round(time.perf_counter() - began, 3),
        "work_seconds": round(time.process_time() - worked, 3),
        "bytes": len(plan),
    }


def measured(library: Library, profile: Profile) -> Iterator[dict[str, object]]:
    """All engines of all shipped networks, network by network; whole ones, last exits too, also with planes."""
    networks = resources.networks().values()
    first = resources.parts(next(iter(networks)))
    measure(library, Recipe(profile), CAPABILITIES[0], *next(iter(first.items())))  # Loads what all need.
    for network in networks:
        for name, path in resources.parts(network).items():
            colours = (None, Colour("bt709")) if name in resources.whole(network) else (None,)
            for colour, precision, capability in product(colours, PRECISIONS, CAPABILITIES):
                yield measure(library, Recipe(profile, precision, colour, network.card), capability, name, path)


def line(rows: list[dict[str, object]], title: str) -> str:
    """Longest, mean and sum over `rows`."""
    walls, works = ([float(str(row[key])) for row in rows] for key in ("seconds", "work_seconds"))
    size = sum(int(str(row["bytes"])) for row in rows) / len(rows)
    return (
        f"{title:40} {len(rows):4} engines  longest {max(walls):5.2f} s  mean {sum(walls) / len(walls):5.2f} s  "
        f"processor, longest {max(works):5.2f} s  mean {sum(works) / len(works):5.2f} s  {size / 1e6:5.2f} MB each"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures and the machine's data here")
    parser.add_argument("--size", default="1280x720", help="frames that the engines are for")
    options = parser.parse_args()
    library = load_library("rtx")
    width, _, height = options.size.partition("x")
    rows = list[dict[str, object]]()
    last = ""
    for row in measured(library, Profile.holding(int(width), int(height))):
        name = str(row["network"]).partition("/")[0]
        if last not in ("", name):
            print(line([one for one in rows if str(one["network"]).partition("/")[0] == last], last), flush=True)
        last = name
        rows.append(row)
    print(line([one for one in rows if str(one["network"]).partition("/")[0] == last], last))
    kinds = (("ends", ("rgb", "planes")), ("precision", PRECISIONS), ("capability", CAPABILITIES))
    for key, values in kinds:
        for value in values:
            print(line([row for row in rows if row[key] == value], value))
    late = [row for row in rows if float(str(row["seconds"])) >= LIMIT]
    print(line(rows, "all") + f"  {len(late)} took {LIMIT:g} s or more")
    if options.json:
        facts = {**machine(), "library": f"{library.name} {library.version}", "size": options.size}
        lines = ",\n".join(f" {json.dumps(row)}" for row in rows)
        options.json.write_text(f'{{"machine": {json.dumps(facts)}, "results": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
