"""Networks with several exits in ONNX Runtime: stages give what the whole gives, and what is said of bad files."""

import shutil
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import onnx
import pytest

from rtsr.card import hash_of
from rtsr.engine.stages import StagedEngine
from rtsr.errors import CardError, EngineError, UsageError
from rtsr.resources import Network
from tests.networks import exported

ARCHS = {"enaf-quicksrnet-medium": Fraction(3, 2), "enaf-fsrcnn": Fraction(4), "enaf-carn": Fraction(4)}


@pytest.fixture(params=ARCHS)
def network(request, networks):
    return exported(request.param, ARCHS[request.param], networks)


@pytest.fixture
def copied(networks, tmp_path):
    """A network of two stage files and more, in a folder of its own."""
    network = exported("enaf-quicksrnet-medium", Fraction(3, 2), networks)
    shutil.copytree(network.path, tmp_path / network.card.name)
    return Network(network.card, tmp_path / network.card_path.name)


@pytest.fixture
def tiles():
    return np.random.default_rng(7).random((3, 3, 24, 36), np.float32)


def test_every_tile_in_stages_is_what_the_whole_exit_gives(network, tiles):
    with StagedEngine(network.card, network.path) as engine:
        features, seen = (tiles,), []
        for k in range(1, len(network.card.exits) + 1):
            features = engine.stage(k, features)
            upscaled = engine.head(k, features)
            np.testing.assert_array_equal(upscaled, engine.exit(k, tiles))
            assert upscaled.shape == (3, 3, 24 * network.card.scale, 36 * network.card.scale)
            seen.append(upscaled)
        np.testing.assert_array_equal(engine.infer(tiles), seen[-1])
    assert all(np.abs(a - b).max() > 1e-3 for a, b in pairwise(seen))


def test_tiles_may_part_ways_between_stages(network, tiles):
    engine = StagedEngine(network.card, network.path)
    first = engine.stage(1, (tiles,))
    stopped = engine.head(1, tuple(values[:1] for values in first))
    went_on = engine.head(2, engine.stage(2, tuple(values[1:] for values in first)))
    np.testing.assert_array_equal(stopped, engine.exit(1, tiles)[:1])
    np.testing.assert_array_equal(went_on, engine.exit(2, tiles)[1:])


def test_stages_without_work_have_no_file_and_give_what_they_get(networks, tiles):
    network = exported("enaf-carn", Fraction(4), networks)
    assert [entry.stage_macs > 0 for entry in network.card.exits] == [True, False, False]
    assert sorted(path.name for path in network.path.glob("stage*")) == ["stage1.onnx"]
    engine = StagedEngine(network.card, network.path)
    features = engine.stage(1, (tiles,))
    assert engine.stage(2, features) is features


def test_estimates_have_a_value_for_each_exit_and_bicubic(network):
    patches = np.random.default_rng(3).random((5, 3, 32, 32), np.float32)
    with StagedEngine(network.card, network.path, threads=1) as engine:
        estimates = engine.estimate(patches)
        assert estimates.shape == (5, len(network.card.exits) + 1) and estimates.dtype == np.float32
        np.testing.assert_allclose(engine.estimate(patches[2:3]), estimates[2:3], atol=1e-5)
    assert estimates.std(axis=0).min() > 0


@pytest.mark.parametrize("k", [0, 4, -1])
def test_exits_that_do_not_exist(network, tiles, k):
    engine = StagedEngine(network.card, network.path)
    for ask in (lambda: engine.exit(k, tiles), lambda: engine.stage(k, (tiles,)), lambda: engine.head(k, (tiles,))):
        with pytest.raises(EngineError, match=f"has exits 1 to 3, not {k}"):
            ask()


def test_sides_that_do_not_fit_are_refused(copied, tiles):
    engine = StagedEngine(copied.card, copied.path)
    for ask in (engine.infer, lambda odd: engine.exit(1, odd), lambda odd: engine.stage(1, (odd,))):
        with pytest.raises(EngineError, match="divide by 2"):
            ask(tiles[..., :35])


def test_a_changed_or_missing_file_is_not_the_cards(copied):
    (copied.path / "head2.onnx").write_bytes((copied.path / "head1.onnx").read_bytes())
    with pytest.raises(CardError, match="not the file that its card describes"):
        StagedEngine(copied.card, copied.path)
    shutil.rmtree(copied.path)
    with pytest.raises(CardError, match="cannot be read"):
        StagedEngine(copied.card, copied.path)


@pytest.mark.parametrize("broken", ["stage2", "head3", "exit1", "estimator"])
def test_a_missing_damaged_or_foreign_file_is_named(copied, broken, capfd):
    path = copied.path / f"{broken}.onnx"
    whole = path.read_bytes()
    for content, message in ((None, "cannot load"), (whole[:300], "cannot load"), (foreign(), "no part of a network")):
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(EngineError, match=message) as error:
            StagedEngine(replace(copied.card, sha256=hash_of(copied.path)), copied.path)
        assert broken in str(error.value) and "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")


def foreign() -> bytes:
    """A graph that ONNX Runtime can run and no network with exits has."""
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n"]) for name in "xy"]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Neg", ["x"], ["y"])], "g", ends[:1], ends[1:])
    opsets = [onnx.helper.make_opsetid("", 17)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def test_a_plain_network_and_one_without_estimator(copied):
    with pytest.raises(EngineError, match="one exit only"):
        StagedEngine(replace(copied.card, exits=()), copied.path)
    engine = StagedEngine(replace(copied.card, estimator=None), copied.path)
    with pytest.raises(EngineError, match="has no estimator"):
        engine.estimate(np.zeros((1, 3, 32, 32), np.float32))
    with pytest.raises(UsageError, match="a whole number of 1 to"):
        StagedEngine(copied.card, copied.path, threads=0)
