"""`rtsr engines`: engines for NVIDIA GPUs, built ahead of time and kept."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from rtsr.cli.app import app
from rtsr.cli.options import parse_size
from rtsr.errors import EngineError, SinkError, UsageError
from rtsr.frame import KR_KB, Colour
from rtsr.resources import Network, find_networks

engines_app = typer.Typer(rich_markup_mode="markdown", no_args_is_help=True)
app.add_typer(engines_app, name="engines", help="Engines for NVIDIA GPUs: build ahead of time, list, check, clean.")

USUAL = ("rgb", "bt709", "bt601")
"""Forms that engines are built in unless said otherwise: pictures, and what almost all videos are."""
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@engines_app.callback()
def engines() -> None:
    """Engines for NVIDIA GPUs: build ahead of time, list, check, clean.

    A run builds what it needs itself, once. They are kept in the user's cache folder, or in `$RTSR_CACHE`.

    Example: `rtsr engines build quicksrnet-small --capability 8.9 --size 1280x720`
    """


@dataclass(frozen=True, slots=True)
class Built:
    """An engine, or with several exits all engines, of a network for a GPU and size."""

    name: str
    capability: str
    precision: str
    sizes: str
    engines: int
    built: int
    """How many of them were not there yet."""
    seconds: float
    """For those that were not."""
    bytes: int


@engines_app.command("build")
def build_command(
    models: Annotated[list[str], typer.Argument(metavar="MODEL...", help="Networks; `rtsr models` lists them.")],
    engine: Annotated[str, typer.Option(help="rtx (TensorRT-RTX) or tensorrt.")] = "rtx",
    capability: Annotated[
        list[str] | None,
        typer.Option(help="GPUs to build for, by compute capability, e.g. 8.9. Repeatable. Default: those here."),
    ] = None,
    size: Annotated[
        list[str] | None, typer.Option(help="Frames to build for, and all smaller ones. Repeatable. Default: 1280x720.")
    ] = None,
    precision: Annotated[str, typer.Option(help="fp32, fp16 or int8.")] = "fp16",
    colour: Annotated[
        list[str] | None,
        typer.Option(
            help="What goes in: rgb, or planes of video as bt709, bt601, bt2020, with :full and :centre behind it, and "
            ":nv12 for --decode gpu. Repeatable. Default: rgb, bt709, bt601."
        ),
    ] = None,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Build anew what is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Build engines ahead of time. With `rtx` and `--capability` this needs no GPU.

    Sizes are rounded up to the usual ones (640x360, 960x540, 1280x720, 1920x1080, ...), as a run does.

    Example: `rtsr engines build quicksrnet-small --capability 8.9 --capability 12.0 --size 1280x720`
    """
    from rtsr.nvidia.library import load_library
    from rtsr.nvidia.profile import Profile
    from rtsr.nvidia.recipe import Recipe

    networks = {network.card.name: network for model in models for network in find_networks(model)}
    sizes = [parse_size(text) for text in size or ["1280x720"]]
    profiles = list(dict.fromkeys(Profile.holding(*one) for one in sizes))
    forms = list(dict.fromkeys(_form(text) for text in colour or USUAL))
    library = load_library(engine)
    targets = _targets(library, capability)
    done = []
    for network in networks.values():
        for target in targets:
            for profile in profiles:
                recipes = [Recipe(profile, precision, form, network.card, nv12) for form, nv12 in forms]
                done.append(_build(library, network, recipes, target, rebuild))
                if not as_json:
                    print(_line(done[-1]))
    if as_json:
        print(json.dumps([dataclasses.asdict(entry) for entry in done], indent=2))


@engines_app.command("list")
def list_command(as_json: AsJson = False) -> None:
    """List the engines in the cache.

    Example: `rtsr engines list`
    """
    from rtsr.nvidia.planfile import entries
    from rtsr.nvidia.store import cache_folder, files

    found = entries()
    if as_json:
        print(json.dumps({"folder": str(cache_folder()), "engines": [_as_dict(entry) for entry in found]}, indent=2))
        return
    if not found:
        print(f"No engine in {cache_folder()}.")
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in ("network", "precision", "up to", "GPU", "library"):
        table.add_column(title, overflow="fold")
    table.add_column("MB", justify="right")
    for entry in found:
        table.add_row(*_row(entry), f"{entry.size / 1e6:.2f}")
    Console().print(table)
    others = [path.stat().st_size for path in files() if path.suffix in (".runtime", ".times")]
    total = sum(entry.size for entry in found) + sum(others)
    kernels = f" and {_many(len(others), 'file')} of kernels and timings" if others else ""
    print(f"{_many(len(found), 'engine')}{kernels}, {total / 1e6:.1f} MB in {cache_folder()}")


@engines_app.command("check")
def check_command(as_json: AsJson = False) -> None:
    """Say of each engine in the cache whether it is still of use, and if not, why; the next run builds it again.

    Example: `rtsr engines check`
    """
    from rtsr.nvidia.here import targets_if_any
    from rtsr.nvidia.planfile import entries
    from rtsr.nvidia.upkeep import examine

    here = targets_if_any()
    verdicts = [(entry, examine(entry, here)) for entry in entries()]
    if as_json:
        print(json.dumps([{**_as_dict(e), "state": v.state, "reason": v.reason} for e, v in verdicts], indent=2))
        return
    for entry, verdict in verdicts:
        network, form, *where = _row(entry)
        of = f"{network} {form} up to {where[0]} for {where[1]}" if entry.header else network
        again = "; the next run builds it again" if verdict.state == "stale" else ""
        reason = f": {verdict.reason}{again}" if verdict.reason else ""
        print(f"{of}, {entry.path.name[:8]}: {verdict.state}{reason}")
    if not verdicts:
        print("No engine to check.")


@engines_app.command("clean")
def clean_command(
    stale: Annotated[bool, typer.Option("--stale", help="Only what `rtsr engines check` calls stale.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove what rtsr keeps in the cache; other files, and engines that are just being built, stay.

    Example: `rtsr engines clean --stale`
    """
    from rtsr.nvidia.here import targets_if_any
    from rtsr.nvidia.store import cache_folder
    from rtsr.nvidia.upkeep import clean, examine

    here = targets_if_any()
    try:
        count, size = clean((lambda entry: examine(entry, here).state == "stale") if stale else None)
    except OSError as cause:
        raise SinkError(f"cannot clean {cache_folder()}: {cause.strerror or cause}") from cause
    if as_json:
        print(json.dumps({"folder": str(cache_folder()), "files": count, "bytes": size}))
    else:
        print(f"{_many(count, 'file')} removed, {size / 1e6:.1f} MB, from {cache_folder()}")


def _build(library: Any, network: Network, recipes: list[Any], target: Any, rebuild: bool) -> Built:
    """Put all engines of `network` into the cache; raises EngineError where that cannot be."""
    from rtsr.nvidia.cache import cached_plan, plan_path
    from rtsr.nvidia.planfile import read_plan
    from rtsr.resources import parts, whole

    built, seconds, size = 0, 0.0, 0
    wanted = [
        (recipe, name, path)
        for recipe in recipes
        for name, path in (whole if recipe.colour else parts)(network).items()  # Stages take features, not planes.
    ]
    for recipe, name, path in wanted:
        notes: list[str] = []
        size += len(
            cached_plan(library, path, recipe, target, name=name, note=notes.append, rebuild=rebuild, must_keep=True)
        )
        if notes:
            built += 1
            seconds += read_plan(plan_path(library, path, recipe, target))[0].seconds
    return Built(
        name=network.card.name,
        capability=target.capability,
        precision=recipes[0].precision,
        sizes=recipes[0].profile.describe(),
        engines=len(wanted),
        built=built,
        seconds=round(seconds, 2),
        bytes=size,
    )


def _form(text: str) -> tuple[Colour | None, bool]:
    """None for `rgb`, or a colour from `bt709:full:centre:nv12`, and whether its planes are NV12; raises UsageError."""
    matrix, *more = text.lower().split(":")
    if text.lower() == "rgb":
        return None, False
    full, centre = "full" in more, "centre" in more
    contradictory = (full and "limited" in more) or (centre and "left" in more)
    if matrix not in KR_KB or contradictory or not set(more) <= {"full", "limited", "left", "centre", "nv12"}:
        raise UsageError(f"{text!r} is no colour; write rgb, or one of {', '.join(KR_KB)}, e.g. bt709 or bt709:full")
    return Colour(matrix, full_range=full, chroma_left=not centre), "nv12" in more


def _targets(library: Any, capabilities: list[str] | None) -> list[Any]:
    """What to build for: as said, or the GPUs here; raises UsageError and EngineError."""
    from rtsr.nvidia.cuda import INSTEAD
    from rtsr.nvidia.here import targets as find
    from rtsr.nvidia.recipe import Target

    if not capabilities:
        try:
            found = find()
        except EngineError as cause:
            # Nothing is built for the processor.
            ahead = ", or say which GPUs to build for, e.g. --capability 8.9" if library.capabilities else ""
            raise EngineError(f"{str(cause).removesuffix(f', {INSTEAD}')}{ahead}") from cause
        if not library.capabilities:
            return [found[0]]  # It builds for the GPU that it runs on.
        capabilities = [target.capability for target in found]
    if not library.capabilities:
        raise UsageError(f"{library.name} builds for the GPU at hand only; leave out --capability, or use --engine rtx")
    targets = [Target(capability) for capability in dict.fromkeys(capabilities)]
    for target in targets:
        library.check_capability(target.capability)
    return targets


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _line(done: Built) -> str:
    many = f"{_many(done.engines, 'engine')}, " if done.engines > 1 else ""
    what = f"built in {done.seconds:.1f} s" if done.built else "already there"
    if 0 < done.built < done.engines:
        what = f"{done.built} {what}"
    return f"{done.name} {done.precision} for {done.capability}, {done.sizes}: {many}{what}, {done.bytes / 1e6:.2f} MB"


def _row(entry: Any) -> tuple[str, str, str, str, str]:
    """Network, precision, sizes, GPU and library of an engine, in words."""
    if entry.header is None:
        return f"damaged ({entry.damage})", "-", "-", "-", "-"
    facts = entry.header.facts
    form = f"{facts.precision} {facts.colour}".strip()
    gpu = facts.gpu or facts.capability
    return entry.header.name, form, "{}x{}".format(*facts.usual), gpu, f"{facts.library} {facts.version}"


def _as_dict(entry: Any) -> dict[str, object]:
    said = {} if entry.header is None else dataclasses.asdict(entry.header)
    return {"file": str(entry.path), "bytes": entry.size, "damage": entry.damage or None, **said}
