"""Engines, built once and found again: the way to a plan for everything that runs one."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from rtsr.errors import EngineError, need
from rtsr.nvidia import store
from rtsr.nvidia.build import build, tensors
from rtsr.nvidia.kept import TimingCache
from rtsr.nvidia.library import Library
from rtsr.nvidia.planfile import read_plan, words, write_plan
from rtsr.nvidia.recipe import Facts, Recipe, Target, facts_of
from rtsr.nvidia.store import Damaged
from rtsr.nvidia.validity import judge

Note = Callable[[str], None]
"""Takes one line for the user."""


def silent(line: str) -> None:
    """A `Note` that drops what it gets."""


def cached_plan(
    library: Library,
    network: Path,
    recipe: Recipe,
    target: Target,
    *,
    name: str = "",
    note: Note = silent,
    rebuild: bool = False,
    must_keep: bool = False,
) -> bytes:
    """The plan of the ONNX file `network` for `target`: out of the cache, or built and put there.

    `name` stands for the network in what `note` is told: that an engine is built, why the one that was there is of no
    use, or that the cache is not, which is an error only with `must_keep`. `rebuild`: build even so, e.g. because what
    is there did not load. Safe in several threads and processes at once: one builds, the others wait. Raises
    EngineError where the network cannot be read, where `build` does, and where the runtime refuses what building again
    would not change.
    """
    facts = facts_of(library, network, recipe, target)
    wanted = _Wanted(library, network, recipe, target, facts, name or network.stem, note, must_keep)
    plan = None if rebuild else wanted.stored()
    if plan is not None:
        return plan
    try:
        with store.locked(wanted.facts.key):
            plan = None if rebuild else wanted.stored(silent)  # What came while this waited.
            return wanted.built(keep=True) if plan is None else plan
    except OSError as cause:
        wanted.cannot_keep(cause)
    return wanted.built(keep=False)


def plan_path(library: Library, network: Path, recipe: Recipe, target: Target) -> Path:
    """The file in which `cached_plan` keeps this plan; raises EngineError where the network cannot be read."""
    return _path(facts_of(library, network, recipe, target))


def ready(network: Path, recipe: Recipe) -> bytes:
    """The ONNX model that the plan of `recipe` is built from; raises EngineError, or MissingDependency without onnx."""
    need("onnx", "rtx")  # Not at import: who finds the plan in the cache needs none, and starts the sooner.
    from rtsr.nvidia.dense import convolved
    from rtsr.nvidia.graph import prepare

    return convolved(prepare(network, recipe.precision, recipe.colour, recipe.card, recipe.nv12))


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A plan that somebody asks for."""

    library: Library
    network: Path
    recipe: Recipe
    target: Target
    facts: Facts
    name: str
    note: Note
    must_keep: bool

    def stored(self, note: Note | None = None) -> bytes | None:
        """The plan in the cache, where it is of use."""
        say = note or self.note
        try:
            header, plan = read_plan(_path(self.facts))
            if header.facts != self.facts:
                raise Damaged("it is another engine's")
        except FileNotFoundError:
            return None
        except (OSError, Damaged) as cause:
            say(f"the kept engine of {self.name} is of no use: {words(cause)}")
            return None
        verdict = judge(self.library, plan)
        if verdict.state == "refused":
            raise EngineError(f"the engine of {self.name} cannot run here: {verdict.reason}")
        if verdict.state == "stale":
            say(f"the kept engine of {self.name} is of no use: {verdict.reason}")
            return None
        return plan

    def built(self, keep: bool) -> bytes:
        """The plan, newly built; where `keep`, it goes to the cache, whose lock is held."""
        ahead = bool(self.library.capabilities)
        gpu = f"GPUs of compute capability {self.target.capability}" if ahead else self.target.gpu or "this GPU"
        self.note(f"building an engine of {self.name} for {gpu}: once, some seconds")
        times = TimingCache(self.library, self.facts) if self.library.has_timing_cache and keep else None
        began = perf_counter()
        model = ready(self.network, self.recipe)
        capabilities = (self.target.capability,) if ahead else ()
        plan, measured = build(self.library, model, self.recipe.profile, capabilities, times.read() if times else b"")
        seconds = perf_counter() - began
        if keep:
            try:
                write_plan(_path(self.facts), self.name, self.facts, tensors(self.library, model), seconds, plan)
                if times is not None:
                    times.merge(measured)
            except OSError as cause:
                self.cannot_keep(cause)
        return plan

    def cannot_keep(self, cause: OSError) -> None:
        folder, reason = store.cache_folder(), cause.strerror or cause
        if self.must_keep:
            raise EngineError(f"engines cannot be kept in {folder} ({reason}); set RTSR_CACHE to another folder")
        self.note(f"engines cannot be kept in {folder} ({reason}): built anew at each start; set RTSR_CACHE")


def _path(facts: Facts) -> Path:
    return store.cache_folder() / f"{facts.key}.plan"
