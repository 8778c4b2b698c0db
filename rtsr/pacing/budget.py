"""Which exit of a network a patch is worth.

Source: "ENAF: A Multi-Exit Network with an Adaptive Patch Fusion for Large Image Super Resolution", section 3.3
(equations 8 and 9), and the authors' code where the text is open.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from rtsr.card import Card

BLANK = 10
"""Largest edge score of a blank patch (section 3.3.1: epsilon)."""


def edge_scores(patches: NDArray[np.uint8]) -> NDArray[np.float64]:
    """How much detail 8-bit RGB patches, (N, H, W, 3), hold: (N,), from 0 (flat) to 255.

    The mean of |Laplacian| of the grey patch, each pixel's saturated at 255. As in the authors' code the 3x3
    Laplacian is OpenCV's: the second derivatives of Sobel's filters added, 2 at the corners, -8 in the middle.
    """
    grey = (cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY) for patch in patches)
    edges = (cv2.convertScaleAbs(cv2.Laplacian(patch, cv2.CV_16S, ksize=3)) for patch in grey)
    return np.array([edge.mean() for edge in edges], np.float64)


def blank(patches: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether 8-bit RGB patches, (N, H, W, 3), have next to no detail: (N,); equation 8."""
    return edge_scores(patches) <= BLANK


def exit_costs(card: Card) -> NDArray[np.float64]:
    """Multiply-adds per input pixel of stopping at each exit: (exits + 1,); exit 0, bicubic, counts as free."""
    stages = np.cumsum([exit.stage_macs for exit in card.exits])
    return np.array([0.0, *(stages + [exit.head_macs for exit in card.exits])])


def choose_exits(
    estimates: NDArray[np.floating],
    blank: NDArray[np.bool_],
    costs: Sequence[float] | NDArray[np.floating],
    gamma: float = 1.0,
    eta: float = 0.0,
    sign: int = 1,
) -> NDArray[np.int64]:
    """The exit that each patch is worth, (N,); 0 is bicubic: equation 9, argmax over j of u_j + gamma b_j - eta c_j.

    `estimates` (N, exits + 1) are what the exits are thought to reach, in dB, with `sign` -1 where the lowest
    is best; `blank` (N,) are the patches on which exit 0 gains `gamma` dB; `costs` (exits + 1,) in any unit,
    counted in costs of the last exit, each of which has to gain `eta` dB. Of equals the first is chosen.
    """
    costs = np.asarray(costs, np.float64)
    if estimates.ndim != 2 or estimates.shape != (len(blank), len(costs)) or sign not in (1, -1):
        raise ValueError(f"estimates {estimates.shape}, {len(blank)} patches, {len(costs)} costs, sign {sign} differ")
    if costs[-1] <= 0:
        raise ValueError(f"the last exit costs something, not {costs[-1]}")
    worth = sign * estimates.astype(np.float64) - eta * costs / costs[-1]
    worth[:, 0] += gamma * blank
    return worth.argmax(axis=1)
