"""What a phase of training minimises, and which weights it moves."""

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypedDict

import torch
from torch import Tensor, nn

from rtsr.errors import TrainError
from rtsr.models.multi_exit import ESTIMATED_PATCH, MultiExit
from rtsr.models.quicksrnet import QuickSRNet, ReLU1
from rtsr.models.smsr import SMSR, Unmasked
from rtsr.train.carry import check_carries
from rtsr.train.losses import RandomFeatures, bicubic, contrast, decibels, fidelity
from rtsr.train.recipe import Recipe


class Batch(NamedTuple):
    """Crops of one step, float32."""

    low: Tensor
    """RGB in [0, 1], (N, 3, patch, patch)."""
    high: Tensor
    """The truth, `scale` times as large."""
    errors: Tensor
    """Mean squared error of each crop's whole picture under bicubic upscaling, (N,)."""


class Group(TypedDict):
    """Weights that share a learning rate, as `torch.optim` takes them."""

    params: list[nn.Parameter]
    lr: float


class Objective(Protocol):
    """What to minimise. Chance comes from PyTorch's generator, which the loop seeds anew at each step."""

    def loss(self, model: nn.Module, batch: Batch, step: int) -> Tensor:
        """The loss of `batch`, a number."""
        ...

    def parameters(self, model: nn.Module, lr: float) -> list[Group]:
        """The weights to move, each group with its learning rate where the recipe's is `lr`; all else is frozen."""
        ...

    def shown(self, model: nn.Module) -> nn.Module:
        """What of `model` the log is to score."""
        ...


@dataclass(frozen=True)
class Plain:
    """The recipe's loss between the result, of the last exit where there are several, and the truth."""

    recipe: Recipe

    def loss(self, model: nn.Module, batch: Batch, step: int) -> Tensor:
        return fidelity(model(batch.low), batch.high, batch.errors, self.recipe)

    def parameters(self, model: nn.Module, lr: float) -> list[Group]:
        everything = _named(model, but=("predictors.", "estimator."))
        share = self.recipe.middle_lr
        if share == 1:
            return [{"params": everything, "lr": lr}]
        middle = {id(weights) for weights in _named(model, only=("conv_mid.",))}
        ends, within = ([w for w in everything if (id(w) in middle) == own] for own in (False, True))
        return [{"params": ends, "lr": lr}, {"params": within, "lr": lr * share}]

    def shown(self, model: nn.Module) -> nn.Module:
        return model


@dataclass(frozen=True)
class Contrastive(Plain):
    """The last of RLFN's three stages: L1 + contrastive loss.

    Source: "Residual Local Feature Network for Efficient Super-Resolution", sections 3.2 and 4. The result is the
    anchor and the truth the positive. The negative is bicubic upscaling of another crop of the batch, as in the work
    that the paper takes the loss from ("Towards Compact Single Image Super-Resolution via Contrastive
    Self-distillation"): bicubic upscaling of the same crop is too near; going away from it cost 3 dB
    within 200 steps here. The weight of 255 in section 4.4, for images in [0, 255], is 1 for images in [0, 1].
    """

    features: RandomFeatures = field(default_factory=RandomFeatures)

    def loss(self, model: nn.Module, batch: Batch, step: int) -> Tensor:
        result = model(batch.low)
        others = bicubic(batch.low.roll(1, dims=0), (batch.high.shape[2], batch.high.shape[3]))
        features = self.features.to(result.device)
        weighed = self.recipe.contrast * contrast(features, result, batch.high, others)
        return fidelity(result, batch.high, batch.errors, self.recipe) + weighed


@dataclass(frozen=True)
class Sparse(Plain):
    """SMSR's: L1 + lambda times the share of places and channels that the masks keep.

    Source: "Exploring Sparsity in Image Super-Resolution for Efficient Inference", sections 4.1 (equation 4, the
    temperature) and 5.1 (lambda). Their 1000 epochs are the recipe's steps. The authors' network works in [0, 255]
    (see its checkpoint), so L1 is taken in those levels.
    """

    def loss(self, model: nn.Module, batch: Batch, step: int) -> Tensor:
        assert isinstance(model, SMSR)
        model.tau = self.temperature(step)
        result, kept = model.forward_with_kept(batch.low)
        return 255 * fidelity(result, batch.high, batch.errors, self.recipe) + self.weight(step) * kept.mean()

    def parameters(self, model: nn.Module, lr: float) -> list[Group]:
        (everything,) = super().parameters(model, lr)
        scores = {id(weights) for name, weights in model.named_parameters() if name.endswith("ch_mask")}
        others, masks = ([w for w in everything["params"] if (id(w) in scores) == own] for own in (False, True))
        return [{"params": others, "lr": lr}, {"params": masks, "lr": lr * self.recipe.mask_lr}]

    def temperature(self, step: int) -> float:
        """Of the Gumbel softmax: max(0.4, 1 - t / 500) at epoch t; 0.4 from 30 % of the steps on."""
        return max(0.4, 1 - 2 * step / self.recipe.steps)

    def weight(self, step: int) -> float:
        """lambda: grows to the recipe's within 50 epochs, the first 5 % of the steps."""
        return self.recipe.sparsity * min(20 * step / self.recipe.steps, 1)


@dataclass(frozen=True)
class Dense(Plain):
    """SMSR without its masks, to start from: a step is half the work. Not in the paper."""

    def loss(self, model: nn.Module, batch: Batch, step: int) -> Tensor:
        assert isinstance(model, SMSR)
        return fidelity(model.unmasked(batch.low), batch.high, batch.errors, self.recipe)

    def parameters(self, model: nn.Module, lr: float) -> list[Group]:
        masks = {id(weights) for name, weights in model.named_parameters() if "_mask" in name}
        return [{"params": [weights for weights in _named(model) if id(weights) not in masks], "lr": lr}]

    def shown(self, model: nn.Module) -> nn.Module:
        assert isinstance(model, SMSR)
        return Unmasked(model)


@dataclass(frozen=True)
class Exits(Plain):
    """ENAF's second phase: the losses of all exits, summed; what the last exit uses is moved at a small rate.

    Source: "ENAF: A Multi-Exit Network with an Adaptive Patch Fusion for Large Image Super Resolution", section
    3.2.1, equation 6, and section 4.1.2, where the rates are 1e-3 and 1e-8.
    """

    def loss(self, model: nn.Module, batch: Batch, step: int) -> Tensor:
        assert isinstance(model, MultiExit)
        losses = [fidelity(image, batch.high, batch.errors, self.recipe) for image in model.every_exit(batch.low)]
        return torch.stack(losses).sum()

    def parameters(self, model: nn.Module, lr: float) -> list[Group]:
        heads: list[Group] = [{"params": _named(model, only=("predictors.",)), "lr": lr}]
        share = self.recipe.backbone_lr
        return heads + super().parameters(model, lr * share) if share else heads


@dataclass(frozen=True)
class Estimates(Plain):
    """ENAF's third phase: mean absolute error, in dB, of the PSNR that the estimator foretells for each exit.

    Source: section 3.2.2, equation 7. The PSNR is that of a patch on luma, of bicubic interpolation and of each
    exit, in dB, as in the authors' checkpoints but for the sign (theirs foretell minus the PSNR): equation 9 then
    trades eta dB for the cost of the whole network. It counts as at most 50 dB, so that flat patches do not rule.
    """

    def loss(self, model: nn.Module, batch: Batch, step: int) -> Tensor:
        assert isinstance(model, MultiExit)
        with torch.no_grad():
            upscaled = bicubic(batch.low, (batch.high.shape[2], batch.high.shape[3]))
            images = [upscaled, *model.every_exit(batch.low)]
            reached = torch.stack([decibels(image, batch.high) for image in images], dim=1)
        return (model.estimator(batch.low) - reached).abs().mean()

    def parameters(self, model: nn.Module, lr: float) -> list[Group]:
        return [{"params": _named(model, only=("estimator.",)), "lr": lr}]


OBJECTIVES = {
    "plain": Plain,
    "contrastive": Contrastive,
    "dense": Dense,
    "sparse": Sparse,
    "exits": Exits,
    "estimator": Estimates,
}
NEEDS = {
    "dense": (SMSR, "masks, which smsr has"),
    "sparse": (SMSR, "masks, which smsr has"),
    "exits": (MultiExit, "several exits, which enaf-... have"),
    "estimator": (MultiExit, "an estimator, which enaf-... have"),
}


def objective_of(recipe: Recipe, model: nn.Module) -> Objective:
    """The recipe's objective; raises TrainError where it does not suit `model` or the size of the crops."""
    kind, needed = NEEDS.get(recipe.objective, (nn.Module, ""))
    if not isinstance(model, kind):
        raise TrainError(f"the objective {recipe.objective} needs a network with {needed}; {recipe.arch} does not")
    if recipe.alive and not any(isinstance(module, ReLU1) for module in model.modules()):
        raise TrainError(f"{recipe.arch} has no clipped activations that channels could die behind; leave out alive")
    if recipe.alive and (recipe.objective == "estimator" or (recipe.objective == "exits" and not recipe.backbone_lr)):
        raise TrainError(f"alive is for phases that train the backbone; leave it out of the phase {recipe.objective}")
    if recipe.middle_lr != 1 and not (recipe.objective == "plain" and isinstance(model, QuickSRNet)):
        raise TrainError("middle_lr is for plain QuickSRNets and the objective plain; leave it out")
    if recipe.carry:
        check_carries(model)
    if recipe.objective == "estimator" and recipe.patch != ESTIMATED_PATCH:
        raise TrainError(f"the estimator judges patches of {ESTIMATED_PATCH} pixels: set patch = {ESTIMATED_PATCH}")
    return OBJECTIVES[recipe.objective](recipe)


def _named(model: nn.Module, only: tuple[str, ...] = ("",), but: tuple[str, ...] = ()) -> list[nn.Parameter]:
    """The weights whose names begin with one of `only` and none of `but`; never those that a network holds fixed."""
    return [
        weights
        for name, weights in model.named_parameters()
        if weights.requires_grad and name.startswith(only) and not name.startswith(but)
    ]
