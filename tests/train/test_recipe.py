"""Recipes are read strictly, in phases or not."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from rtsr.errors import TrainError
from rtsr.train.recipe import Recipe, read_recipe

RECIPE = Recipe("r", "quicksrnet-small", Fraction(2), "photo", ("photos",))


def test_the_learning_rate_is_held_then_falls_to_zero() -> None:
    recipe = replace(RECIPE, steps=100, hold=0.3)
    assert [recipe.pace(step) for step in (0, 30)] == [1.0, 1.0]
    assert recipe.pace(65) == pytest.approx(0.5) and recipe.pace(100) == pytest.approx(0)


def test_shipped_recipes_are_valid() -> None:
    recipes = [read_recipe(path) for path in Path(__file__).parents[2].glob("recipes/*.toml")]
    assert len(recipes) >= 8
    phases = [phase for recipe in recipes for phase in recipe.phases]
    names = {phase.name for phase in phases}
    assert all(phase.start in names for phase in phases if phase.start)


PHASES = """
arch = "enaf-fsrcnn"
scale = 4
flavour = "photo"
photos = ["p"]
start = "other"
batch = 16

[[phases]]
steps = 100

[[phases]]
objective = "exits"
steps = 50

[[phases]]
objective = "estimator"
patch = 32
batch = 128
"""


def test_phases_follow_each_other_and_share_what_stands_above_them(tmp_path: Path) -> None:
    (tmp_path / "net.toml").write_text(PHASES)
    recipe = read_recipe(tmp_path / "net.toml")
    assert [phase.name for phase in recipe.phases] == ["net-phase1", "net-phase2", "net"]
    assert [phase.start for phase in recipe.phases] == ["other", "net-phase1", "net-phase2"]
    assert [phase.objective for phase in recipe.phases] == ["plain", "exits", "estimator"]
    assert [phase.steps for phase in recipe.phases] == [100, 50, 60_000]
    assert [phase.batch for phase in recipe.phases] == [16, 16, 128]
    assert all(phase.arch == "enaf-fsrcnn" and phase.photos == ("p",) for phase in recipe.phases)


GOOD = 'arch = "quicksrnet-small"\nscale = 2\nflavour = "photo"\nphotos = ["p"]\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("scale = 2", "missing .*arch"),
        (GOOD + "speed = 9", "unknown .*speed"),
        (GOOD + "earlier = []", "unknown .*earlier"),
        (GOOD.replace("photo", "film", 1), "flavour is"),
        (GOOD.replace('photos = ["p"]', ""), "images"),
        (GOOD.replace('["p"]', '"p"'), "photos is a list"),
        (GOOD.replace("2", '"3/2"') + "patch = 41", "multiple of 2"),
        (GOOD.replace("2", '"two"'), "two"),
        (GOOD + "steps = 1.5", "steps has the wrong type"),
        (GOOD + 'lr = "fast"', "lr has the wrong type"),
        (GOOD + "lr = 0.0", "lr is above 0"),
        (GOOD + 'objective = "beauty"', "objective is one of plain"),
        (GOOD + 'objective = "sparse"\nloss = "relative"', "l1"),
        (GOOD + 'objective = "dense"', "objective sparse come last"),
        (GOOD + 'objective = "contrastive"\nbatch = 1', "batch to 2"),
        (GOOD + "phases = 3", "tables"),
        (GOOD + '[[phases]]\narch = "smsr"', "unknown .*arch.*allowed"),
        ("arch = ", "cannot read"),
    ],
)
def test_wrong_recipes_are_named(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(TrainError, match=says):
        read_recipe(tmp_path / "r.toml")
