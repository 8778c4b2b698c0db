"""A picture of quality against cost, as in the papers' figures; needs matplotlib, the extra `plot`."""

from pathlib import Path

from rtsr.errors import SinkError, UsageError, need
from rtsr.quality.tradeoff import Tradeoff

SUFFIXES = (".pdf", ".png", ".svg")


def check_plot(path: Path) -> None:
    """Raise what `plot_tradeoff` would, as far as that can be known before there is something to plot."""
    need("matplotlib.figure", "plot")
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"a plot is written as {', '.join(SUFFIXES)}, not {path.name}")
    if not path.parent.is_dir():
        raise SinkError(f"there is no folder {path.parent} to write {path.name} to; make it first")


def plot_tradeoff(result: Tradeoff, path: Path) -> None:
    """Write the curve of PSNR over cost, the cost in per cent of the last exit's, and each exit alone as a point.

    Raises MissingDependency without matplotlib, UsageError for other files than PNG, SVG and PDF, SinkError where
    `path` cannot be written.
    """
    check_plot(path)
    figure = need("matplotlib.figure", "plot").Figure(figsize=(6.4, 4.8), layout="constrained")
    axes = figure.add_subplot()
    full = result.costs[-1]
    curve = sorted((100 * point.cost / full, point.psnr) for point in result.points)
    label = f"exits by patch, gamma {result.gamma:g}" if result.gamma else "exits by patch, no blank vector"
    axes.plot(*zip(*curve, strict=True), marker=".", label=label)
    axes.plot([100 * cost / full for cost in result.costs], result.fixed, "s", label="one exit for all patches")
    for k, (cost, psnr) in enumerate(zip(result.costs, result.fixed, strict=True)):
        axes.annotate(f"{k}", (100 * cost / full, psnr), (6, -12), textcoords="offset points")
    axes.axhline(result.fixed[-1], linestyle=":", color="grey")
    axes.set_xlabel("cost of a patch, % of the last exit's")
    axes.set_ylabel("PSNR-Y, dB")
    axes.set_title(f"{result.model} on {result.dataset}, {result.patches} patches")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    try:
        figure.savefig(path, dpi=120)
    except OSError as cause:
        raise SinkError(f"cannot write {path}: {cause.strerror}; choose another --plot") from cause
