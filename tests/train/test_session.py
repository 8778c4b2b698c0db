"""A session trains phase by phase, and goes on in the right one."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rtsr.card import check_hash, read_card
from rtsr.errors import TrainError
from rtsr.models import build
from rtsr.processor import processor
from rtsr.quality.datasets import pictures
from rtsr.quality.imresize import imresize
from rtsr.quality.metrics import compare
from rtsr.train.loop import score
from rtsr.train.recipe import Recipe, read_recipe
from rtsr.train.session import Session
from rtsr.train.state import seconds_spent, steps_done, trained_weights

RECIPE = """
arch = "enaf-fsrcnn"
scale = 4
flavour = "photo"
photos = ["photos"]
validation = "benchmarks/Set5"
batch = 2
patch = 16
average = 0.5

[[phases]]
steps = 3

[[phases]]
objective = "exits"
steps = 2

[[phases]]
objective = "estimator"
steps = 2
patch = 32
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    random = np.random.default_rng(9)
    for folder in ("photos", "benchmarks/Set5/HR"):
        (tmp_path / folder).mkdir(parents=True)
        picture = imresize(random.integers(0, 256, (17, 18, 3), np.uint8), 136, 144)
        Image.fromarray(picture).save(tmp_path / folder / "0.png")
    return tmp_path


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    (tmp_path / "net.toml").write_text(RECIPE)
    return read_recipe(tmp_path / "net.toml")


def session(recipe: Recipe, data: Path, runs: str) -> tuple[Session, list[str]]:
    lines: list[str] = []
    return Session(recipe, data, data / runs, data / "engines", lines.append), lines


def test_phases_follow_each_other_whether_stopped_or_not(recipe: Recipe, data: Path) -> None:
    whole, lines = session(recipe, data, "whole")
    assert whole.train(every=100, minutes=None)
    assert sum("step" in line and line.count(",") == 2 and "dB" in line for line in lines) == 3  # three exits each
    stopped, lines = session(recipe, data, "stopped")
    calls = 0
    while not stopped.train(every=1, minutes=1e-9):
        calls += 1
    assert calls > 3 and [line for line in lines if line.startswith("phase")][-1] == "phase 3: estimator"
    for name in ("net-phase1", "net-phase2", "net"):
        ours, theirs = (trained_weights(run.checkpoint(name)) for run in (whole, stopped))
        assert all(torch.equal(ours[key], theirs[key]) for key in ours), name
    again, lines = session(recipe, data, "stopped")
    assert again.train(every=1, minutes=None) and "last step already" in lines[0]


def test_the_card_scores_each_exit(recipe: Recipe, data: Path) -> None:
    run, _ = session(recipe, data, "runs")
    assert run.train(every=100, minutes=None)
    run.export("rtsr train")
    card = read_card(data / "engines" / "net.toml")
    check_hash(card, data / "engines" / "net")
    scores = [exit.quality["Set5"].psnr for exit in card.exits]
    assert len(set(scores)) == 3 and card.quality["Set5"] == card.exits[-1].quality["Set5"]
    assert card.training.count(" steps of 2 crops") == 3 and card.estimator is not None
    assert card.origin == run._origin() and card.origin.data == ("photos",)
    weights = trained_weights(run.checkpoint("net"))
    model = build(recipe.arch, recipe.scale)
    model.load_state_dict(weights)
    images = [(low, high) for _, low, high in pictures(data / "benchmarks/Set5", recipe.scale)]
    assert score(model, images, lambda a, b: compare(a, b, 4)[0]) == pytest.approx(scores, abs=2e-3)


def test_the_card_says_how_long_all_runs_took_together(recipe: Recipe, data: Path) -> None:
    run, _ = session(recipe, data, "runs")
    calls = 1
    began = time.monotonic()
    while not run.train(every=1, minutes=1e-9):
        calls += 1
    elapsed = time.monotonic() - began
    assert calls > 3
    spent = [seconds_spent(run.checkpoint(name)) for name in ("net-phase1", "net-phase2", "net")]
    assert all(list(each) == [run.hardware.describe()] for each in spent)
    seconds = sum(sum(each.values()) for each in spent)
    assert 0 < seconds < elapsed
    origin = run._origin()
    assert origin.hours == pytest.approx(seconds / 3600, abs=1e-3) and origin.hardware.endswith(processor())
    assert (origin.data, origin.hold_out, origin.start) == (("photos",), (), "")


def test_hours_are_not_made_up_where_a_checkpoint_recorded_none(recipe: Recipe, data: Path) -> None:
    run, _ = session(recipe, data, "runs")
    assert not run.train(every=1, minutes=1e-9)
    first = run.checkpoint("net-phase1")
    kept = torch.load(first, weights_only=True)
    del kept["spent"]
    torch.save(kept, first)
    assert run.train(every=100, minutes=None)
    assert seconds_spent(first) == {} and seconds_spent(run.checkpoint("net"))
    assert (run._origin().hours, run._origin().hardware) == (0.0, "")


def test_each_phase_starts_from_the_average_of_the_one_before(recipe: Recipe, data: Path) -> None:
    run, _ = session(recipe, data, "runs")
    assert run.train(every=100, minutes=None)
    first, second, third = (trained_weights(run.checkpoint(name)) for name in ("net-phase1", "net-phase2", "net"))
    changed = [
        {key.split(".")[0] for key in a if not torch.equal(a[key], b[key])}
        for a, b in ((first, second), (second, third))
    ]
    assert "predictors" in changed[0] and "estimator" not in changed[0]
    assert changed[1] == {"estimator"}
    assert max(float((first[key] - second[key]).abs().max()) for key in first if "predictors" not in key) < 1e-6


def test_a_later_phase_does_without_the_checkpoints_of_earlier_ones(recipe: Recipe, data: Path) -> None:
    run, _ = session(recipe, data, "runs")
    assert run.train(every=100, minutes=None)
    for name in ("net-phase1", "net-phase2"):
        run.checkpoint(name).unlink()
    longer = replace(recipe, steps=3)
    assert session(longer, data, "runs")[0].train(every=100, minutes=None)
    assert steps_done(run.checkpoint("net")) == 3 and not run.checkpoint("net-phase1").exists()


def test_a_missing_start_is_named_before_any_work(recipe: Recipe, data: Path) -> None:
    first = replace(recipe.phases[0], start="elsewhere")
    run, _ = session(replace(recipe, earlier=(first, recipe.phases[1])), data, "runs")
    with pytest.raises(TrainError, match="grows from elsewhere"):
        run.train(every=100, minutes=None)
    assert not run.runs.exists()
