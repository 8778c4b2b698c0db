"""Weights rounded to whole steps so that what their layer gives changes least."""

import numpy as np
from numpy.typing import NDArray

STEPS = 127
"""Largest step; symmetric, so that zero is exact and no zero point is stored."""
DAMPING = 1e-4
"""Of the mean power of what a layer sees: keeps directions apart that the samples hardly show."""
SAMPLES = 20_000


def quantise(weight: NDArray[np.float32], windows: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Whole steps of a convolution's `weight` (outputs, inputs, rows, columns), and the scale of each output.

    `windows` (samples, inputs * rows * columns) is what the layer sees. Rounding to nearest loses decibels in networks
    that hand the picture through, since what a layer sees is alike from tap to tap, and errors add up. So weights are
    rounded one after the other, and those still to come make up for the error so far (GPTQ, arXiv 2210.17323,
    algorithm 1, those that see most first). Scales are numbers of half precision.
    """
    flat = weight.reshape(len(weight), -1).astype(np.float64)
    largest = np.abs(flat).max(axis=1)
    scales = np.where(largest > 0, largest / STEPS, 1).astype(np.float16).astype(np.float64)
    scales = np.maximum(scales, np.finfo(np.float16).tiny)
    power = (windows.T @ windows).astype(np.float64) / len(windows)
    order = np.argsort(-np.diag(power), kind="stable")
    power = power[np.ix_(order, order)]
    power += np.eye(len(power)) * max(DAMPING * np.mean(np.diag(power)), np.finfo(np.float64).tiny ** 0.25)
    # Row j: how the weights from j on answer for an error in weight j.
    answers = np.linalg.cholesky(np.linalg.inv(power)).T
    exact, steps = flat[:, order], np.empty_like(flat)
    for j, answer in enumerate(answers):
        steps[:, order[j]] = np.clip(np.round(exact[:, j] / scales), -STEPS, STEPS)
        error = (exact[:, j] - steps[:, order[j]] * scales) / answer[j]
        exact[:, j:] -= np.outer(error, answer[j:])
    return steps.astype(np.int8).reshape(weight.shape), scales.astype(np.float32)


def windows(
    seen: NDArray[np.float32],
    kernel: tuple[int, int],
    strides: tuple[int, int] = (1, 1),
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
    dilations: tuple[int, int] = (1, 1),
) -> NDArray[np.float32]:
    """(samples, inputs * rows * columns): what a convolution sees of `seen` (n, inputs, h, w), at most 20000 samples.

    `pads` are above, left, below and right, as in ONNX.
    """
    above, left, below, right = pads
    padded = np.pad(seen, ((0, 0), (0, 0), (above, below), (left, right)))
    reach = [(side - 1) * step + 1 for side, step in zip(kernel, dilations, strict=True)]
    every = np.lib.stride_tricks.sliding_window_view(padded, reach, (2, 3))
    every = every[:, :, :: strides[0], :: strides[1], :: dilations[0], :: dilations[1]]
    count, inputs, rows, columns = every.shape[:4]
    places = np.random.default_rng(0).permutation(count * rows * columns)[:SAMPLES]
    picture, row, column = np.unravel_index(places, (count, rows, columns))
    return every[picture, :, row, column].reshape(len(places), inputs * kernel[0] * kernel[1])
