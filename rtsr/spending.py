"""What a run spent on its frames: deadlines missed, tiles per exit, tiles reused, quality expected."""

from dataclasses import dataclass, field

import numpy as np

from rtsr.anytime import Spent
from rtsr.deadline import TOLERANCE_NS


@dataclass(slots=True)
class Spending:
    """Sums over frames; add to it frame by frame."""

    took_ns: list[float] = field(default_factory=list)
    """Time of every frame from decoded to upscaled."""
    tiles: np.ndarray = field(default_factory=lambda: np.zeros(0, np.intp))
    """Tiles whose output came from exit 0, 1, ...; or frames per rung of a ladder."""
    reused: int = 0
    short: int = 0
    macs: float = 0.0
    full_macs: float = 0.0
    expected_psnr: list[float] = field(default_factory=list)

    def add(self, spent: Spent, took_ns: float) -> None:
        """Count one frame."""
        self.took_ns.append(took_ns)
        self.tiles = spent.tiles + (self.tiles if len(self.tiles) else 0)
        self.reused += spent.reused
        self.short += spent.short
        self.macs += spent.macs
        self.full_macs += spent.full_macs
        self.expected_psnr.append(spent.expected_psnr)

    def misses(self, deadline: float) -> int:
        """Frames later than `deadline`, in seconds, by more than a millisecond."""
        return int((np.array(self.took_ns) > deadline * 1e9 + TOLERANCE_NS).sum())

    def summary(self, deadline: float | None) -> dict[str, object]:
        """Plain figures for a report; `deadline` in seconds, None where only a share was asked for."""
        known = [psnr for psnr in self.expected_psnr if np.isfinite(psnr)]
        timed = {} if deadline is None else {"deadline_ms": 1000 * deadline, "misses": self.misses(deadline)}
        return {
            **timed,
            "tiles_per_exit": self.tiles.tolist(),
            "tiles_reused": self.reused,
            "tiles_cut_short": self.short,
            "share_of_full_compute": self.macs / self.full_macs if self.full_macs else 0.0,
            "expected_psnr_db": float(np.mean(known)) if known else None,
        }
