"""What a run spent on its frames: deadlines missed, tiles per exit, tiles reused, quality expected."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from rtsr.pacing.anytime import Spent
from rtsr.pacing.deadline import TOLERANCE_NS, Treatment


@dataclass(slots=True)
class Spending:
    """Sums over frames; add to it frame by frame."""

    frames: dict[Treatment, int] = field(default_factory=lambda: dict.fromkeys(Treatment, 0))
    """Frames by how they were made; together, all that were decoded and have been dealt with."""
    misses: int = 0
    """Frames that were upscaled more than a millisecond after they were due, and frames that were dropped."""
    tiles: np.ndarray = field(default_factory=lambda: np.zeros(0, np.intp))
    """Tiles whose output came from exit 0, 1, ...; or frames per rung of a ladder."""
    reused: int = 0
    short: int = 0
    macs: float = 0.0
    full_macs: float = 0.0
    expected_psnr: array = field(default_factory=lambda: array("f"))
    """Of every frame that was refined, in dB; not a number where the network cannot tell."""
    latency: array = field(default_factory=lambda: array("f"))
    """Of every frame of a live stream, in seconds: from when it belongs to when it was handed to the encoder."""

    def add(self, spent: Spent) -> None:
        """Count what one frame got that was refined or interpolated."""
        self.tiles = spent.tiles + (self.tiles if len(self.tiles) else 0)
        self.reused += spent.reused
        self.short += spent.short
        self.macs += spent.macs
        self.full_macs += spent.full_macs
        self.expected_psnr.append(spent.expected_psnr)

    @property
    def share_reused(self) -> float:
        """Share of all tiles that were taken from the frame before, 0 to 1."""
        return self.reused / float(self.tiles.sum()) if len(self.tiles) else 0.0

    def count(self, how: Treatment, late_ns: float) -> None:
        """Count a frame that was made `how`, `late_ns` after it was due."""
        self.frames[how] += 1
        self.misses += how is Treatment.DROP or late_ns > TOLERANCE_NS

    def summary(self, deadline: float | None, exits: Sequence[str]) -> dict[str, object]:
        """Plain figures for a report; `deadline` in seconds, None where only a share was asked for; `exits` by name."""
        timed = {} if deadline is None else {"deadline_ms": 1000 * deadline, "misses": self.misses}
        live = {"latency_ms": in_milliseconds(self.latency)} if self.latency else {}
        return {
            **timed,
            **live,
            "frames": {
                "made": self.frames[Treatment.REFINE],
                "interpolated": self.frames[Treatment.INTERPOLATE],
                "repeated": self.frames[Treatment.REPEAT],
                "dropped": self.frames[Treatment.DROP],
            },
            "exits": list(exits),
            "tiles_per_exit": self.tiles.tolist(),
            "tiles_reused": self.reused,
            "tiles_cut_short": self.short,
            "share_of_full_compute": self.macs / self.full_macs if self.full_macs else 0.0,
            "expected_psnr_db": _mean(self.expected_psnr),
        }


def in_milliseconds(seconds: Sequence[float]) -> dict[str, float]:
    """Mean, percentiles and maximum of times in seconds, in milliseconds; empty where there are none."""
    if not len(seconds):
        return {}
    times = np.array(seconds) * 1000
    p50, p95, p99 = np.percentile(times, (50, 95, 99)).tolist()
    return {"mean": float(times.mean()), "p50": p50, "p95": p95, "p99": p99, "max": float(times.max())}


def _mean(decibels: Sequence[float]) -> float | None:
    """Mean of the finite ones; None where there are none."""
    known = np.array(decibels)
    known = known[np.isfinite(known)]
    return float(known.mean()) if known.size else None
