"""Quality against cost of a network with several exits, over a data set: patches, each at the exit it is worth.

Source: "ENAF: A Multi-Exit Network with an Adaptive Patch Fusion for Large Image Super Resolution", section 4:
tables 1 (quality at which cost), 2 (without the blank vector, gamma = 0) and 3 (the estimator's error).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from rtsr.card import Card
from rtsr.engine.base import MultiExitEngine
from rtsr.errors import UsageError
from rtsr.pacing.budget import choose_exits, exit_costs
from rtsr.quality import metrics
from rtsr.quality.datasets import Picture
from rtsr.quality.evaluate import Watch, pairs_for
from rtsr.quality.patches import Patches, estimator_of, examine

MOST_POINTS = 1000
"""The most etas of one sweep."""
ETA = 0.5
"""What the last exit has to gain over bicubic to be worth its cost, in dB."""
GAMMA = 1.0
"""What bicubic gains on blank patches, in dB (section 4.1.3: 1 to 1.5)."""


@dataclass(frozen=True, slots=True)
class PatchScore:
    """One picture whose patches had the exits that they were worth."""

    name: str
    psnr: float
    """dB on luma, as `rtsr.quality.metrics` has it."""
    counts: tuple[int, ...]
    """How many patches left at each exit, bicubic first."""


@dataclass(frozen=True, slots=True)
class Point:
    """A data set at one `eta` (equation 9)."""

    eta: float
    costs: tuple[float, ...]
    """Of each exit, a patch."""
    scores: tuple[PatchScore, ...]

    @property
    def psnr(self) -> float:
        """Mean of the pictures' PSNR in dB."""
        return float(np.mean([score.psnr for score in self.scores]))

    @property
    def shares(self) -> tuple[float, ...]:
        """Share of all patches that left at each exit, bicubic first."""
        counts = np.sum([score.counts for score in self.scores], axis=0)
        return tuple((counts / counts.sum()).tolist())

    @property
    def cost(self) -> float:
        """Mean cost of a patch; the estimator's is not in it."""
        return float(np.dot(self.shares, self.costs))


@dataclass(frozen=True, slots=True)
class Tradeoff:
    """What a network's exits reach together, over a data set."""

    model: str
    dataset: str
    scale: Fraction
    gamma: float
    patches: int
    costs: tuple[float, ...]
    """Of each exit, bicubic first: multiply-adds a patch, or what was given instead."""
    estimator_macs: float
    """Multiply-adds of the estimator, a patch."""
    fixed: tuple[float, ...]
    """PSNR in dB where all patches leave at one exit, bicubic first."""
    estimator_errors: tuple[float, ...]
    """Mean absolute difference in dB between what the estimator thinks and what each exit reaches (table 3);
    of patches with a finite PSNR, and not-a-number where there are none."""
    points: tuple[Point, ...]
    """By rising eta."""

    def cheapest(self, loss: float = 0.0) -> Point | None:
        """The cheapest point that is at most `loss` dB below the last exit alone, to a hundredth; None: there is none.

        The paper's table 1 compares with the published network without exits, which is below its own last exit.
        """
        good = [point for point in self.points if point.psnr + loss >= self.fixed[-1] - 0.005]
        return min(good, key=lambda point: point.cost, default=None)


def weigh(
    engine: MultiExitEngine,
    dataset: Path,
    scale: Fraction,
    etas: Sequence[float],
    gamma: float = GAMMA,
    costs: Sequence[float] = (),
    only: tuple[str, ...] = (),
    watch: Watch | None = None,
) -> Tradeoff:
    """What patches at the exits that equation 9 chooses reach and cost, for each of `etas`.

    `gamma` is 0 for the choice without the blank vector; `costs`, of each exit with bicubic's first, stand in
    for the card's multiply-adds. Raises as `rtsr.quality.evaluate.evaluate`, and UsageError for what equation 9 cannot
    use.
    """
    card = engine.card
    estimator, costs = estimator_of(card), _costs(card, costs)
    _check(etas, gamma)
    etas = sorted(set(etas))
    pairs = pairs_for(engine, dataset, scale, only)
    found = []
    for done, pair in enumerate(pairs):
        low, high = pair.read(scale)
        patches = examine(engine, low, high, lambda part, done=done: watch and watch((done + part) / len(pairs)))
        found.append(_weigh(pair.name, patches, high, etas, gamma, costs))
    errors = np.concatenate([picture.errors for picture in found])
    return Tradeoff(
        model=card.name,
        dataset=dataset.resolve().name,
        scale=scale,
        gamma=gamma,
        patches=len(errors),
        costs=costs,
        estimator_macs=estimator.macs * estimator.patch**2,
        fixed=tuple(np.mean([picture.fixed for picture in found], axis=0).tolist()),
        estimator_errors=tuple(_mean_of_finite(column) for column in errors.T),
        points=tuple(
            Point(eta, costs, tuple(picture.scores[i] for picture in found)) for i, eta in enumerate(etas)
        ),
    )  # fmt: skip


def parse_etas(text: str) -> tuple[float, ...]:
    """The etas in `text`: "0,0.5,1", or "0:2:0.1" for first, last and step; raises UsageError for anything else."""
    try:
        if ":" not in text:
            return tuple(float(part) for part in text.split(","))
        first, last, step = (float(part) for part in text.split(":"))
        count = int((last - first) / step + 1.5)
    except (ValueError, ZeroDivisionError, OverflowError) as cause:
        raise UsageError(f"{text!r} is not a list of etas; write 0,0.5,1 or first:last:step, e.g. 0:2:0.1") from cause
    if not 1 <= count <= MOST_POINTS:
        raise UsageError(f"{text!r} has {max(count, 0)} etas; 1 to {MOST_POINTS} can be tried at once")
    return tuple(round(first + i * step, 9) for i in range(count))


@dataclass(frozen=True, slots=True, eq=False)
class _Weighed:
    """One picture: PSNR by exit, the estimator's error for each patch and exit, a score for each eta."""

    fixed: list[float]
    errors: np.ndarray
    scores: list[PatchScore]


def _weigh(
    name: str, patches: Patches, truth: Picture, etas: Sequence[float], gamma: float, costs: tuple[float, ...]
) -> _Weighed:
    inner = slice(metrics.border(patches.scale), -metrics.border(patches.scale))
    wanted = metrics.luma(truth)[inner, inner]
    known: dict[bytes, float] = {}

    def psnr(exits: np.ndarray) -> float:
        key = exits.tobytes()  # many etas choose alike
        if key not in known:
            known[key] = metrics.psnr(metrics.luma(patches.merged(exits))[inner, inner], wanted)
        return known[key]

    fixed = [psnr(np.full(len(patches.tiles), k)) for k in range(len(costs))]
    scores = []
    for eta in etas:
        exits = choose_exits(patches.estimates, patches.blank, costs, gamma, eta)
        scores.append(PatchScore(name, psnr(exits), tuple(np.bincount(exits, minlength=len(costs)).tolist())))
    return _Weighed(fixed, np.abs(patches.estimates - patches.reached), scores)


def _mean_of_finite(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else math.nan


def _check(etas: Sequence[float], gamma: float) -> None:
    if not etas or not all(math.isfinite(number) and number >= 0 for number in (gamma, *etas)):
        raise UsageError("eta and gamma are finite and not negative")
    if len(etas) > MOST_POINTS:
        raise UsageError(f"at most {MOST_POINTS} etas at once, not {len(etas)}")


def _costs(card: Card, given: Sequence[float]) -> tuple[float, ...]:
    """What each exit costs a patch, bicubic first."""
    if not given:
        return tuple((exit_costs(card) * estimator_of(card).patch ** 2).tolist())
    if len(given) != len(card.exits) + 1 or not all(math.isfinite(c) and c >= 0 for c in given) or given[-1] == 0:
        raise UsageError(f"{card.name} takes {len(card.exits) + 1} costs, bicubic's first, the last above 0")
    return tuple(given)
