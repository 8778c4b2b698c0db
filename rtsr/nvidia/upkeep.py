"""Keeping the cache in order: which engines are stale and why, and what can go."""

from collections.abc import Callable, Sequence
from hashlib import sha256

from rtsr.errors import EngineError
from rtsr.nvidia import store
from rtsr.nvidia.kept import plan_of
from rtsr.nvidia.library import load_library
from rtsr.nvidia.planfile import Entry, entries, read_plan, words
from rtsr.nvidia.recipe import Facts, Target, maker
from rtsr.nvidia.store import Busy, Damaged
from rtsr.nvidia.validity import Verdict, judge
from rtsr.resources import networks, parts


def examine(entry: Entry, here: Sequence[Target] = ()) -> Verdict:
    """Whether the engine `entry` is of use with what is installed, on the GPUs that are `here`.

    `stale` engines are not looked at any more, or are built again, at the next run. The runtime itself is asked last,
    where there is a GPU.
    """
    if entry.header is None:
        return Verdict("stale", entry.damage)
    facts = entry.header.facts
    try:
        library = load_library(facts.library)
    except EngineError as cause:
        return Verdict("unknown", str(cause))
    if library.version != facts.version:
        return Verdict("stale", f"it was built with {library.name} {facts.version}, and {library.version} is installed")
    if facts.rtsr != maker():
        return Verdict("stale", f"it was built by rtsr {facts.rtsr}, and this is {maker()}")
    if _outdated(entry.header.name, facts.network):
        return Verdict("stale", "the network has changed since it was built")
    if here:
        elsewhere = _elsewhere(facts, here)
        if elsewhere is not None:
            return elsewhere
    try:
        _, plan = read_plan(entry.path)
    except (OSError, Damaged) as cause:
        return Verdict("stale", words(cause))
    verdict = judge(library, plan)
    if verdict.state == "unknown":  # What could be compared is as it should be.
        return Verdict("valid") if here else Verdict("unknown", "nothing speaks against it, but no GPU is here to ask")
    return verdict


def clean(unwanted: Callable[[Entry], bool] | None = None) -> tuple[int, int]:
    """Remove all that rtsr keeps in the cache, or `unwanted` plans and their kernels only; how many files and bytes.

    Files that are not rtsr's stay, and so do those that another process is just writing. Raises OSError where a file
    cannot be removed.
    """
    if unwanted is None:
        doomed = {path.name[: store.KEY] for path in store.files()}
    else:
        gone = [entry for entry in entries() if unwanted(entry)]
        doomed = {entry.path.name[: store.KEY] for entry in gone}
        staying = {entry.header.sha256 for entry in entries() if entry not in gone and entry.header is not None}
        doomed |= {path.name[: store.KEY] for path in store.files(".runtime") if plan_of(path) not in staying}
    count = size = 0
    for key in sorted(doomed):
        try:
            with store.locked(key, patience=0) as folder:
                for path in store.files():
                    if path.name.startswith(key) and path.suffix != ".lock":
                        size += path.stat().st_size
                        path.unlink()
                        count += 1
            (folder / f"{key}.lock").unlink(missing_ok=True)
        except Busy:
            continue
    return count, size


def _elsewhere(facts: Facts, here: Sequence[Target]) -> Verdict | None:
    """Where no GPU that is here is the plan's: what it is for."""
    alike = [target for target in here if target.capability == facts.capability]
    if not alike:
        found = ", ".join(sorted({target.capability for target in here}))
        return Verdict("elsewhere", f"it is for GPUs of compute capability {facts.capability}, here is {found}")
    if facts.gpu and facts.gpu not in {target.gpu for target in alike}:
        return Verdict("elsewhere", f"it is for a {facts.gpu}")
    if facts.driver and facts.driver not in {target.driver for target in alike}:
        return Verdict("stale", f"it was built under the driver {facts.driver}, and {alike[0].driver} is installed")
    return None


def _outdated(name: str, digest: str) -> bool:
    """Whether `name` is a shipped network's, or of a part of one, and `digest` is not the hash of its file."""
    network = networks().get(name.partition("/")[0])
    if network is None:
        return False
    return digest not in {sha256(path.read_bytes()).hexdigest() for path in parts(network).values()}
