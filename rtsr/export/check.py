"""Whether an exported graph equals PyTorch, and how far a network looks."""

import copy
from collections.abc import Callable
from fractions import Fraction
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from rtsr.engine.session import first_line, open_session
from rtsr.errors import EngineError
from rtsr.models.rlfn import WHOLE_FRAME

TOLERANCE = 1e-4
"""Largest difference from PyTorch that is allowed, white being 1."""
ROOMS = (16, 64)
"""Rows around the one whose effect is looked for; what reaches beyond the last is taken to reach everything."""


def scale_of(model: nn.Module) -> Fraction:
    """The scale of a network of `rtsr.models`."""
    return cast(Fraction, model.scale)


def noise(multiple: int, least: int = 7) -> list[np.ndarray]:
    """Pictures (N, 3, H, W) in [0, 1] of several shapes; sides are `multiple` times numbers from `least` on."""
    random = np.random.default_rng(0)
    shapes = ((1, least + 9, least + 17), (2, least + 14, least + 6), (1, least, least + 26))
    return [random.random((n, 3, rows * multiple, columns * multiple), np.float32) for n, rows, columns in shapes]


@torch.inference_mode()
def check_parity(
    title: str,
    reference: Callable[[Tensor], Tensor],
    network: bytes,
    inputs: list[np.ndarray],
    origin: str = "PyTorch",
    allowed: float = TOLERANCE,
) -> None:
    """Raise EngineError unless the ONNX content `network` makes of each of `inputs` what `reference` does.

    They may differ by `allowed`, or that share of what is above 1. Only the graph's first output is looked at.
    `origin` stands for the reference in errors.
    """
    try:
        session = open_session(network)
    except Exception as cause:  # ONNX Runtime's errors share no other base
        raise EngineError(f"{title}: the exported graph cannot be loaded: {first_line(cause)}") from cause
    for given in inputs:
        try:
            got = np.asarray(session.run(None, {session.get_inputs()[0].name: given})[0])
        except Exception as cause:  # as above
            raise EngineError(
                f"{title}: the exported graph does not take {given.shape}: {first_line(cause)}"
            ) from cause
        want = reference(torch.from_numpy(given)).numpy()
        if not np.isfinite(want).all():
            raise EngineError(f"{title}: {origin} makes values that are not numbers; take other weights")
        if got.shape != want.shape:
            raise EngineError(f"{title}: the exported graph makes {got.shape} of {given.shape}, {origin} {want.shape}")
        difference = np.max(np.abs(got - want) / np.maximum(np.abs(want), 1))
        if not difference <= allowed:
            raise EngineError(
                f"{title}: the exported graph differs from {origin} by {difference:.1e}, allowed {allowed}"
            )


@torch.inference_mode()
def radius(model: nn.Module, exit: int | None = None) -> int:
    """How far an output pixel of `model`, or of one of its exits, looks, in input pixels; counted from the input
    pixel that it lies in.

    Measured by making a row of the input not-a-number and looking where the output follows: unlike a change of
    value, that passes through weights that are zero and clamps that are saturated. Networks that look at the whole
    frame give a `good_radius` of their own, or have `WHOLE_FRAME`.
    """
    known = getattr(model, "good_radius", None)
    if known is not None:
        return known
    step = scale_of(model).denominator
    exact = copy.deepcopy(model).double().eval()  # in double precision PyTorch convolves in the plain way
    for room in ROOMS:
        found = max(_reach(exact, exit, room, place) for place in range(room, room + step))
        if found < room:
            return found
    return WHOLE_FRAME


def _reach(model: nn.Module, exit: int | None, room: int, place: int) -> int:
    """How many rows from row `place` on its effect is seen, with `room` rows before and behind it."""
    image = torch.zeros(1, 3, 2 * room + 2, 16, dtype=torch.float64)
    image[:, :, place] = torch.nan
    upscaled = model(image) if exit is None else model(image, exit=exit)
    rows = torch.nonzero(upscaled.isnan().any(dim=3).any(dim=1)[0]).flatten().tolist()
    return max((abs(int(row / scale_of(model)) - place) for row in rows), default=0)
