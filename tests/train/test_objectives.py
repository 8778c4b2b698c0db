"""Every objective takes a step on every network that suits it, and moves the weights that it should."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from torch import nn

from rtsr.errors import TrainError
from rtsr.models import MODELS, build
from rtsr.models.multi_exit import MultiExit
from rtsr.models.smsr import SMSR
from rtsr.quality.metrics import luma, psnr
from rtsr.train import recipe as recipes
from rtsr.train.loop import load, seed_chance, train
from rtsr.train.losses import RandomFeatures, bicubic, contrast
from rtsr.train.objectives import OBJECTIVES, Contrastive, Plain, Sparse, objective_of
from rtsr.train.recipe import Recipe
from rtsr.train.state import begin, trained_weights
from tests.train.pictures import small_crops

RECIPE = Recipe("r", "smsr", Fraction(2), "photo", ("photos",), steps=100, batch=2, patch=32, lr=1e-3, backbone_lr=0.01)
FOUR = ("enaf-fsrcnn", "enaf-carn", "enaf-srresnet")
EXITS = [arch for arch in MODELS if arch.startswith("enaf")]
PAIRS = [
    *((arch, objective) for arch in MODELS for objective in ("plain", "contrastive")),
    *((arch, objective) for arch in EXITS for objective in ("exits", "estimator")),
    ("smsr", "dense"),
    ("smsr", "sparse"),
]


def made(arch: str, objective: str) -> Recipe:
    patch = 32 if objective == "estimator" or arch not in FOUR else 16
    return replace(RECIPE, arch=arch, objective=objective, patch=patch, scale=Fraction(4 if arch in FOUR else 2))


def family(name: str) -> str:
    """Which part of a network a weight belongs to."""
    part = name.split(".")[0]
    return {"predictors": "heads", "estimator": "estimator"}.get(part, "fixed" if "_mean" in part else "backbone")


def take_step(recipe: Recipe, step: int = 1) -> dict[str, float]:
    """The largest change of a weight, by family, within one step from fresh weights."""
    torch.manual_seed(0)
    state = begin(recipe, None, "cpu")
    before = {name: value.clone() for name, value in state.model.state_dict().items()}
    loss = state.objective.loss(state.model, load(small_crops(recipe, side=144), step, "cpu"), step)
    assert loss.isfinite() and loss > 0
    loss.backward()
    state.optimiser.step()
    moved: dict[str, float] = {}
    for name, value in state.model.state_dict().items():
        change = float((value - before[name]).abs().max())
        moved[family(name)] = max(moved.get(family(name), 0), change)
    return moved


@pytest.mark.parametrize(("arch", "objective"), PAIRS)
def test_moves_what_it_should(arch: str, objective: str) -> None:
    moved = take_step(made(arch, objective))
    assert moved.pop("fixed", 0) == 0
    allowed = {"exits": {"backbone", "heads"}, "estimator": {"estimator"}}.get(objective, {"backbone"})
    assert {part for part, change in moved.items() if change > 0} == allowed
    if objective == "exits":
        assert moved["backbone"] <= 1.01e-5 and moved["heads"] > 5e-4


def test_a_frozen_backbone_stays() -> None:
    assert take_step(replace(made("enaf-fsrcnn", "exits"), backbone_lr=0))["backbone"] == 0


@pytest.mark.parametrize("expand", [0, 16])
def test_middle_layers_may_learn_at_a_rate_of_their_own(expand: int) -> None:
    recipe = replace(made("quicksrnet-small", "plain"), expand=expand, middle_lr=0.2)
    state = begin(recipe, None, "cpu")
    names = {id(weights): name for name, weights in state.model.named_parameters()}
    rates = {names[id(w)]: group["lr"] for group in state.optimiser.param_groups for w in group["params"]}
    assert rates.keys() == {name for name, weights in state.model.named_parameters() if weights.requires_grad}
    assert {rate for name, rate in rates.items() if "conv_mid" in name} == {recipe.lr * 0.2}
    assert {rate for name, rate in rates.items() if "conv_mid" not in name} == {recipe.lr}
    state.set_pace(0.5)
    assert {group["lr"] for group in state.optimiser.param_groups} == {recipe.lr * 0.1, recipe.lr * 0.5}


@pytest.mark.parametrize(("arch", "objective"), [("smsr", "plain"), ("quicksrnet-small", "contrastive")])
def test_where_there_are_no_such_layers_a_rate_for_them_is_an_error(arch: str, objective: str) -> None:
    recipe = replace(made(arch, objective), middle_lr=0.5)
    with pytest.raises(TrainError, match="middle_lr is for plain QuickSRNets"):
        objective_of(recipe, build(arch, recipe.scale))
    for share in (0.0, 1.5):
        with pytest.raises(TrainError, match="middle_lr is a share above 0, at most 1"):
            replace(recipe, middle_lr=share)


def test_contrastive_adds_the_ratio_to_the_plain_loss() -> None:
    recipe = made("quicksrnet-small", "contrastive")
    model, batch = build(recipe.arch, recipe.scale), load(small_crops(recipe, side=144), 0, "cpu")
    losses = [Contrastive(replace(recipe, contrast=weight)).loss(model, batch, 0).item() for weight in (0, 1, 2)]
    others = bicubic(torch.stack([batch.low[1], batch.low[0]]), (64, 64))
    ratio = contrast(RandomFeatures(), model(batch.low), batch.high, others).item()
    assert losses[1] - losses[0] == pytest.approx(ratio, rel=1e-4)
    assert losses[0] == pytest.approx(Plain(recipe).loss(model, batch, 0).item())
    assert losses[2] - losses[1] == pytest.approx(losses[1] - losses[0], rel=1e-4) and losses[1] > losses[0]


def test_the_exits_loss_is_the_sum_of_those_of_all_exits() -> None:
    recipe = replace(made("enaf-fsrcnn", "exits"), luma=0)
    model, batch = build(recipe.arch, recipe.scale), load(small_crops(recipe, side=144), 0, "cpu")
    want = sum((model(batch.low, exit=k) - batch.high).abs().mean().item() for k in (1, 2, 3))
    assert objective_of(recipe, model).loss(model, batch, 0).item() == pytest.approx(want, rel=1e-5)


def test_the_estimator_learns_each_exits_psnr_in_decibels() -> None:
    recipe = made("enaf-fsrcnn", "estimator")
    model, batch = build(recipe.arch, recipe.scale), load(small_crops(recipe, side=144), 0, "cpu")
    assert isinstance(model, MultiExit)
    with torch.inference_mode():
        images = [bicubic(batch.low, (128, 128)), *(model(batch.low, exit=k) for k in (1, 2, 3))]
        estimates = model.estimator(batch.low)
    truths = [luma(255 * truth.permute(1, 2, 0).numpy()) for truth in batch.high]
    reached = [
        [psnr(luma(255 * image[i].clamp(0, 1).permute(1, 2, 0).numpy()), truths[i]) for image in images]
        for i in range(2)
    ]
    want = float((estimates - torch.tensor(reached)).abs().mean())
    assert objective_of(recipe, model).loss(model, batch, 0).item() == pytest.approx(want, rel=1e-4)
    assert want > 5


def test_the_dense_objective_leaves_masks_alone_and_is_scored_without_them(tmp_path: Path) -> None:
    recipe, scored = replace(made("smsr", "dense"), steps=1), []
    state = begin(recipe, None, "cpu")
    still = {name for name, weights in state.model.named_parameters() if not weights.requires_grad}
    assert still and all("_mask" in name for name in still)
    assert all("_mask" not in name for name, weights in state.model.named_parameters() if weights.requires_grad)
    crops = small_crops(recipe, side=144)
    low = load(crops, 0, "cpu").low

    def evaluate(shown: nn.Module) -> str:
        scored.append(shown.eval()(low))
        return ""

    train(recipe, crops, tmp_path / "trained.pt", evaluate, lambda _: None)
    network = build("smsr", Fraction(2)).eval()
    network.load_state_dict(trained_weights(tmp_path / "trained.pt"))
    assert isinstance(network, SMSR)
    torch.testing.assert_close(scored[0], network.unmasked(low))


def test_temperature_falls_and_sparsity_warms_up_as_in_the_paper() -> None:
    sparse = Sparse(replace(made("smsr", "sparse"), steps=1000))
    assert [sparse.temperature(epoch) for epoch in (0, 250, 500, 999)] == [1, 0.5, 0.4, 0.4]
    assert [sparse.weight(epoch) for epoch in (0, 25, 50, 999)] == pytest.approx([0, 0.05, 0.1, 0.1])


def test_scores_of_channel_masks_learn_at_a_rate_of_their_own() -> None:
    recipe = replace(made("smsr", "sparse"), lr=1e-4, mask_lr=30.0)
    torch.manual_seed(0)
    state = begin(recipe, None, "cpu")
    before = {name: value.clone() for name, value in state.model.named_parameters()}
    state.objective.loss(state.model, load(small_crops(recipe, side=144), 50, "cpu"), 50).backward()
    state.optimiser.step()
    for name, value in state.model.named_parameters():
        moved = float((value - before[name]).detach().abs().max())
        assert moved == pytest.approx(3e-3 if name.endswith("ch_mask") else 1e-4, rel=0.05), name


def test_the_noise_of_the_masks_depends_on_seed_and_step_alone() -> None:
    recipe = made("smsr", "sparse")
    model, batch = build(recipe.arch, recipe.scale), load(small_crops(recipe, side=144), 0, "cpu")
    sparse = Sparse(recipe)
    losses = []
    for seed, step in ((1, 50), (1, 50), (2, 50), (1, 51)):
        # From 30 % of the steps on, weight and temperature stand still: only the noise differs.
        seed_chance(seed, step)
        losses.append(sparse.loss(model, batch, step).item())
    assert losses[0] == losses[1] and len(set(losses)) == 3


@pytest.mark.parametrize(
    ("arch", "objective"), [("smsr", "sparse"), ("enaf-fsrcnn", "exits"), ("enaf-fsrcnn", "estimator")]
)
def test_a_stopped_run_resumes_to_the_same_weights(tmp_path: Path, arch: str, objective: str) -> None:
    recipe = replace(made(arch, objective), steps=4, average=0.5)
    crops = small_crops(recipe, side=144)
    assert train(recipe, crops, tmp_path / "whole.pt", lambda _: "", lambda _: None)
    for reached in (False, True):
        minutes = None if reached else 1e-9
        assert train(recipe, crops, tmp_path / "half.pt", lambda _: "", lambda _: None, minutes=minutes) == reached
    whole, half = (torch.load(tmp_path / name, weights_only=True) for name in ("whole.pt", "half.pt"))
    assert whole["step"] == half["step"] == 4
    for part in ("model", "average"):
        assert all(torch.equal(value, half[part][name]) for name, value in whole[part].items())


@pytest.mark.parametrize("objective", ["dense", "sparse", "exits", "estimator"])
def test_an_objective_that_does_not_suit_the_network_is_named(objective: str) -> None:
    model: nn.Module = build("quicksrnet-small", Fraction(2))
    with pytest.raises(TrainError, match=f"objective {objective} needs .*quicksrnet-small"):
        objective_of(made("quicksrnet-small", objective), model)


def test_the_estimators_patch_is_fixed() -> None:
    recipe = replace(made("enaf-fsrcnn", "estimator"), patch=16)
    with pytest.raises(TrainError, match="patch = 32"):
        objective_of(recipe, build(recipe.arch, recipe.scale))


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[2] / "recipes").glob("*.toml")), ids=lambda p: p.stem)
def test_the_objectives_of_shipped_recipes_suit_their_networks(path: Path) -> None:
    recipe = recipes.read_recipe(path)
    with torch.device("meta"):
        model = build(recipe.arch, recipe.scale)
    for phase in recipe.phases:
        objective_of(phase, model)


def test_recipes_and_objectives_know_the_same_names() -> None:
    assert tuple(OBJECTIVES) == recipes.OBJECTIVES
