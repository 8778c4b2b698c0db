"""ENAF against the authors' checkpoints: names, quality of every exit, and what the estimator says."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from rtsr.models.multi_exit import RELEASED_SIGN, MultiExit
from rtsr.quality import metrics
from rtsr.quality.datasets import pictures
from tests.models.released import released

X4 = Fraction(4)
SET5 = {"enaf-fsrcnn": (28.63, 30.20, 30.52, 30.62), "enaf-carn": (28.63, 31.74, 31.89, 31.94)}
"""PSNR on luma of exits 0 to 3 over whole images, as measured for the checkpoints."""


def network(arch: str, shared: Path) -> MultiExit:
    model = released(shared, arch, 4, f"{arch.replace('-', '_')}_x4.t7")
    assert isinstance(model, MultiExit)
    return model


def tensor(picture: np.ndarray) -> Tensor:
    return torch.from_numpy(picture.transpose(2, 0, 1).astype(np.float32))[None] / 255


def scores(model: MultiExit, low: np.ndarray, high: np.ndarray) -> list[float]:
    """PSNR of every exit, bicubic first."""
    image = tensor(low)
    bicubic = F.interpolate(image, scale_factor=4, mode="bicubic")
    exits = [(result.clamp(0, 1)[0] * 255).round().byte() for result in (bicubic, *model.every_exit(image))]
    return [metrics.compare(result.permute(1, 2, 0).numpy(), high, 4)[0] for result in exits]


def patches(dataset: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for _, low, high in pictures(dataset, X4):
        for y in range(0, low.shape[0] - 31, 32):
            for x in range(0, low.shape[1] - 31, 32):
                yield low[y : y + 32, x : x + 32], high[4 * y : 4 * y + 128, 4 * x : 4 * x + 128]


@pytest.mark.parametrize("arch", SET5)
@torch.inference_mode()
def test_every_exit_on_set5(arch, shared):
    model = network(arch, shared)
    found = [scores(model, low, high) for _, low, high in pictures(shared / "data/benchmarks/Set5", X4)]
    assert len(found) == 5
    np.testing.assert_allclose(np.mean(found, 0), SET5[arch], rtol=0, atol=0.01)


@pytest.mark.parametrize("arch", SET5)
@torch.inference_mode()
def test_released_estimates_are_negative_psnr(arch, shared):
    model = network(arch, shared)
    pairs = list(patches(shared / "data/benchmarks/Set14"))[::2]
    truth = np.array([scores(model, low, high) for low, high in pairs])
    estimates = RELEASED_SIGN * model.estimator(torch.cat([tensor(low) for low, _ in pairs])).numpy()
    assert len(pairs) > 50
    assert np.abs(estimates - truth).mean() < 3.5  # dB; the paper's table 3 says 2.9 for SRResNet on Test2K
    assert all(np.corrcoef(estimates[:, k], truth[:, k])[0, 1] > 0.7 for k in range(4))
