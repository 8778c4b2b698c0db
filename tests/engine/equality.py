"""That a provider of ONNX Runtime computes what its processor does."""

import numpy as np

from rtsr.engine.onnx import OnnxEngine
from rtsr.engine.stages import StagedEngine
from rtsr.resources import Network

CLOSE = 1e-3
"""White being 1."""


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).random(shape, np.float32)


def check_plain(network: Network, provider: str, runtime: str) -> None:
    """Of a network with one exit, over shapes that come and go; `runtime` is what the engine says it runs on."""
    here = OnnxEngine(network.card, network.path, 2)
    there = OnnxEngine(network.card, network.path, 2, provider)
    assert there.runtime == runtime
    for shape in ((1, 3, 90, 160), (3, 3, 32, 32), (1, 3, 34, 62), (1, 3, 90, 160)):
        assert np.abs(here.infer(noise(*shape)) - there.infer(noise(*shape))).max() < CLOSE


def check_stages(network: Network, provider: str) -> None:
    """Of a network with several exits: every stage, head, exit, and the estimator."""
    here = StagedEngine(network.card, network.path, 2)
    there = StagedEngine(network.card, network.path, 2, provider)
    for shape in ((1, 3, 48, 64), (2, 3, 80, 96)):
        image = noise(*shape)
        features, others = (image,), (image,)
        for k in range(1, len(network.card.exits) + 1):
            features, others = here.stage(k, features), there.stage(k, others)
            for mine, its in zip(features, others, strict=True):
                assert np.abs(mine - its).max() < CLOSE * max(1.0, float(np.abs(mine).max()))
            assert np.abs(here.head(k, features) - there.head(k, others)).max() < CLOSE
            assert np.abs(here.exit(k, image) - there.exit(k, image)).max() < CLOSE
    assert network.card.estimator is not None
    patches = noise(5, 3, network.card.estimator.patch, network.card.estimator.patch)
    assert np.abs(here.estimate(patches) - there.estimate(patches)).max() < 0.05  # dB
