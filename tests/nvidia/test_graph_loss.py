"""What lower precision costs in quality, over published pictures, rounded as GPUs round."""

from fractions import Fraction

import pytest

from rtsr.engine import open_engine
from rtsr.errors import CardError, UsageError
from rtsr.nvidia.rehearsal import rehearse
from rtsr.quality.evaluate import evaluate, evaluate_exits
from rtsr.resources import Network, networks

SHIPPED = networks()


def scores(engine, dataset):
    """Mean PSNR of each exit, bicubic left out, or of the whole network."""
    scale = engine.card.scale
    if engine.card.exits:
        return [found.psnr for found in evaluate_exits(engine, dataset, scale)[1:]]
    return [evaluate(engine, dataset, scale).psnr]


@pytest.mark.parametrize("name", SHIPPED)
def test_half_precision_loses_at_most_a_hundredth_of_a_decibel(name, shared):
    network, dataset = SHIPPED[name], shared / "data" / "benchmarks" / "Set5"
    before = scores(open_engine(network.card, network.path), dataset)
    after = scores(rehearse(network, "fp16"), dataset)
    assert all(was - now <= 0.01 for was, now in zip(before, after, strict=True)), (before, after)
    assert before != after


def test_engines_say_at_which_precision_they_are():
    engine = rehearse(SHIPPED["quicksrnet-small-x2-photo"], "fp16", threads=1)
    assert engine.card.name == "quicksrnet-small-x2-photo (fp16)"
    assert engine.card.scale == Fraction(2)


def test_what_cannot_be_measured_is_said(tmp_path):
    network = SHIPPED["quicksrnet-small-x2-photo"]
    with pytest.raises(UsageError, match="unknown precision 'fp8'; known: fp32, fp16, int8"):
        rehearse(network, "fp8")
    (tmp_path / "other.onnx").write_bytes(b"nothing")
    with pytest.raises(CardError, match="is not the file that its card describes"):
        rehearse(Network(network.card, tmp_path / "other.toml"), "fp16")
