"""What `rtsr eval` prints: tables to read, and plain values for JSON."""

import math
from collections.abc import Sequence

from rich.table import Table

from rtsr.card import Card
from rtsr.pacing.budget import exit_costs
from rtsr.quality.evaluate import Evaluation
from rtsr.quality.tradeoff import Tradeoff

LOSSES = (0.0, 0.05, 0.1)
"""How far below the last exit alone, in dB, the cheapest choice is looked for."""


def evaluation_values(result: Evaluation) -> dict[str, object]:
    """Means and every image; the sparsity only where the network has masks."""

    def sparsity(value: float | None) -> dict[str, float]:
        return {} if value is None else {"sparsity": value}

    return {
        "model": result.model,
        "dataset": result.dataset,
        "scale": str(result.scale),
        "psnr": _finite(result.psnr),
        "ssim": result.ssim,
        **sparsity(result.sparsity),
        "images": [
            {"name": score.name, "psnr": _finite(score.psnr), "ssim": score.ssim, **sparsity(score.sparsity)}
            for score in result.scores
        ],
    }


def evaluation_table(result: Evaluation) -> Table:
    """A row for each image, the means below."""
    table = Table(title=_title(result), show_footer=True)
    table.add_column("image", footer=f"mean of {len(result.scores)}", overflow="fold")
    table.add_column("PSNR-Y dB", footer=f"{result.psnr:.2f}", justify="right")
    table.add_column("SSIM-Y", footer=f"{result.ssim:.4f}", justify="right")
    if result.sparsity is not None:
        table.add_column("sparsity", footer=f"{result.sparsity:.3f}", justify="right")
    for score in result.scores:
        sparsity = [] if score.sparsity is None else [f"{score.sparsity:.3f}"]
        table.add_row(score.name, f"{score.psnr:.2f}", f"{score.ssim:.4f}", *sparsity)
    return table


def exits_values(results: Sequence[Evaluation], card: Card) -> dict[str, object]:
    """Each exit's evaluation, bicubic first, with its multiply-adds per input pixel."""
    exits = []
    for k, (result, cost) in enumerate(zip(results, exit_costs(card), strict=True)):
        values = evaluation_values(result)
        exits.append({"exit": k, "macs_per_pixel": float(cost), **{key: values[key] for key in ("psnr", "ssim")}})
        exits[-1]["images"] = values["images"]
    first = results[0]
    return {"model": first.model, "dataset": first.dataset, "scale": str(first.scale), "exits": exits}


def exits_table(results: Sequence[Evaluation], card: Card) -> Table:
    """A row for each exit, bicubic first."""
    costs = exit_costs(card)
    table = Table(title=f"{_title(results[0])}, mean of {len(results[0].scores)}")
    table.add_column("exit")
    for name in ("PSNR-Y dB", "SSIM-Y", "kMACs/px", "of the last"):
        table.add_column(name, justify="right")
    for k, (result, cost) in enumerate(zip(results, costs, strict=True)):
        figures = f"{result.psnr:.2f}", f"{result.ssim:.4f}", f"{cost / 1000:.2f}", f"{cost / costs[-1]:.0%}"
        table.add_row(_exit(k), *figures)
    return table


def tradeoff_values(result: Tradeoff) -> dict[str, object]:
    """Costs and qualities of the exits, and every point with its images."""
    return {
        "model": result.model,
        "dataset": result.dataset,
        "scale": str(result.scale),
        "patches": result.patches,
        "gamma": result.gamma,
        "estimator_macs": result.estimator_macs,
        "exits": [
            {"exit": k, "cost": cost, "psnr": _finite(psnr), "estimator_mae": _finite(error)}
            for k, (cost, psnr, error) in enumerate(
                zip(result.costs, result.fixed, result.estimator_errors, strict=True)
            )
        ],
        "points": [
            {
                "eta": point.eta,
                "psnr": _finite(point.psnr),
                "cost": point.cost,
                "cost_share": point.cost / result.costs[-1],
                "shares": list(point.shares),
                "images": [
                    {"name": score.name, "psnr": _finite(score.psnr), "patches": list(score.counts)}
                    for score in point.scores
                ],
            }
            for point in result.points
        ],
        "cheapest": [
            {"loss": loss, "eta": point.eta, "cost_share": point.cost / result.costs[-1]}
            for loss in LOSSES if (point := result.cheapest(loss))
        ],
    }  # fmt: skip


def tradeoff_tables(result: Tradeoff, own_costs: bool) -> list[Table]:
    """The exits; and the points, with the share of patches at each exit. `own_costs`: not multiply-adds."""
    unit, divisor = ("cost/patch", 1) if own_costs else ("MMACs/patch", 1e6)
    exits = Table(title=f"{_title(result)}: {result.patches} patches, all at one exit")
    exits.add_column("exit")
    for name in ("PSNR-Y dB", unit, "of the last", "estimator's error dB"):
        exits.add_column(name, justify="right")
    for k, cost in enumerate(result.costs):
        figures = f"{cost / divisor:.2f}", f"{cost / result.costs[-1]:.0%}", f"{result.estimator_errors[k]:.2f}"
        exits.add_row(_exit(k), f"{result.fixed[k]:.3f}", *figures)
    points = Table(title=f"each patch at its exit, gamma {result.gamma:g}", caption=_caption(result))
    for name in ("eta", "PSNR-Y dB", unit, "of the last", *(_exit(k) for k in range(len(result.costs)))):
        points.add_column(name, justify="right")
    for point in result.points:
        figures = f"{point.psnr:.3f}", f"{point.cost / divisor:.2f}", f"{point.cost / result.costs[-1]:.1%}"
        points.add_row(f"{point.eta:g}", *figures, *(f"{share:.1%}" for share in point.shares))
    return [exits, points]


def _caption(result: Tradeoff) -> str:
    """What the estimator takes; of several points, what the last exit's PSNR, and a little less, takes."""
    words = [f"the estimator takes {result.estimator_macs / 1e6:.2f} MMACs a patch more"]
    for loss in LOSSES if len(result.points) > 1 else ():
        what = f"{loss:g} dB less" if loss else "the last exit's PSNR"
        point = result.cheapest(loss)
        words.append(f"{what}: {point.cost / result.costs[-1]:.0%} of its cost" if point else f"{what}: not reached")
    return "; ".join(words)


def _title(result: Evaluation | Tradeoff) -> str:
    return f"{result.model} x{float(result.scale):g} on {result.dataset}"


def _exit(k: int) -> str:
    return f"{k}" if k else "0 (bicubic)"


def _finite(number: float) -> float | None:
    """JSON has no infinity: null stands for no difference at all, or for nothing to take a mean of."""
    return number if math.isfinite(number) else None
