"""SMSR with its channel masks fixed: one form that skips what the masks allow, and one for graphs, which cannot.

Source: "Exploring Sparsity in Image Super-Resolution for Efficient Inference", section 4.2, inference phase, and figure
5d. The paper splits each convolution in four, from and to channels computed everywhere (D) and at important places only
(S). Here the convolution is computed whole at important places and D to D everywhere: the same sums, in fewer steps.
"""

import copy
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rtsr.models.smsr import SMSR, SparseConvolutions, SparseMaskModule

CHUNK = 2048
"""Places whose neighbours are gathered at a time: 5 MB, which stay in the processor's cache."""


def sparse_inference(model: SMSR) -> SMSR:
    """A copy of `model` that computes the sparse convolutions at important places only; equal up to rounding."""
    return _with(model, GatheredConvolutions)


def masked_inference(model: SMSR) -> SMSR:
    """A copy of `model` that computes all places but nothing twice, without indices: the form for graphs."""
    return _with(model, MaskedConvolutions)


class SortedConvolutions(SparseConvolutions):
    """`trained` with each layer's channels sorted, those computed everywhere first. The same function of x."""

    def __init__(self, trained: SparseConvolutions) -> None:
        super().__init__()
        scores = trained.ch_mask.detach()[0]
        everywhere = scores[..., 0] > scores[..., 1]
        orders = torch.argsort(everywhere.int(), dim=0, descending=True, stable=True)
        self.dense: list[int] = everywhere.sum(0).tolist()
        """How many channels of each layer are computed everywhere."""
        self.load_state_dict(trained.state_dict())
        channels, layers = scores.shape[:2]
        before = torch.arange(channels)
        for layer, kernel in enumerate(self.kernels):
            order = orders[:, layer]
            kernel.data = kernel.data[order][:, before]
            self.ch_mask.data[0, :, layer] = scores[order, layer]
            before = order
        behind = (torch.arange(layers) * channels + orders).T.flatten()
        self.collect.weight.data = self.collect.weight.data[:, behind]

    @property
    def kernels(self) -> list[Tensor]:
        """Weights of the layers, (C, C, 3, 3)."""
        return [cast(nn.Conv2d, conv).weight for conv in self.body]


class MaskedConvolutions(SortedConvolutions):
    """All places, masked: a convolution a layer, and a small one where channels computed everywhere feed such."""

    def forward(self, x: Tensor, important: Tensor, everywhere: Tensor) -> Tensor:
        outputs, before = [], x.shape[1]
        for kernel, dense in zip(self.kernels, self.dense, strict=True):
            full = F.conv2d(x, kernel, padding=1)
            kept = full * important
            if dense and before:
                whole = full[:, :dense]
                if before < x.shape[1]:
                    elsewhere = F.conv2d(x[:, :before], kernel[:dense, :before], padding=1)
                    whole = kept[:, :dense] + elsewhere * (1 - important)
                kept = torch.cat((whole, kept[:, dense:]), 1)
            x, before = kept.relu(), dense
            outputs.append(x)
        return self.collect(torch.cat(outputs, 1))


class GatheredConvolutions(SortedConvolutions):
    """Important places only, each with its neighbours gathered into a row of a matrix product."""

    def forward(self, x: Tensor, important: Tensor, everywhere: Tensor) -> Tensor:
        (n, channels, height, width), before = x.shape, x.shape[1]
        chosen = important[:, 0] > 0
        neighbours = _neighbours(chosen)
        bordered = F.pad(x, (1, 1, 1, 1)).permute(0, 2, 3, 1).contiguous()
        here, whole, seen = [], [], []
        for layer, (kernel, dense) in enumerate(zip(self.kernels, self.dense, strict=True)):
            following = x.new_zeros(n, height + 2, width + 2, channels)
            if dense and before:
                inputs = bordered[..., :before].permute(0, 3, 1, 2)
                whole.append(F.conv2d(inputs, kernel[:dense, :before]).relu())
                seen.append(torch.arange(dense) + layer * channels)
                following[:, 1:-1, 1:-1, :dense] = whole[-1].permute(0, 2, 3, 1)
            here.append(_gathered(bordered.flatten(0, 2), neighbours, kernel).relu())
            following.view(-1, channels)[neighbours[:, 4]] = here[-1]
            bordered, before = following, dense
        return self._fuse(chosen, here, whole, seen)

    def _fuse(self, chosen: Tensor, here: list[Tensor], whole: list[Tensor], seen: list[Tensor]) -> Tensor:
        """The 1x1 convolution over what was computed `whole` (channels `seen`), and `here` where `chosen`."""
        weight, bias = self.collect.weight[..., 0, 0], cast(Tensor, self.collect.bias)
        fused = bias.expand(*chosen.shape, -1).clone()
        if whole:
            fused += F.linear(torch.cat(whole, 1).permute(0, 2, 3, 1), weight[:, torch.cat(seen)])
        fused[chosen] = F.linear(torch.cat(here, 1), weight, bias)
        return fused.permute(0, 3, 1, 2)


def _with(model: SMSR, kind: type[SortedConvolutions]) -> SMSR:
    made = copy.deepcopy(model).eval()
    for module in made.body:
        assert isinstance(module, SparseMaskModule)
        module.body = kind(module.body)
    return made


def _neighbours(chosen: Tensor) -> Tensor:
    """Rows of the 3x3 neighbours of P chosen places (N, H, W), (P, 9), in maps with a border of one, flattened."""
    image, row, column = chosen.nonzero(as_tuple=True)
    height, width = (side + 2 for side in chosen.shape[1:])
    corners = (image * height + row) * width + column
    around = torch.arange(3, device=chosen.device)
    return corners[:, None] + (around[:, None] * width + around).flatten()


def _gathered(rows: Tensor, neighbours: Tensor, weight: Tensor) -> Tensor:
    """A 3x3 convolution of `rows` (places, C) at P places only, (P, outputs)."""
    matrix = weight.permute(2, 3, 1, 0).flatten(0, 2)
    parts = (
        rows.index_select(0, part.flatten()).view(len(part), len(matrix)) @ matrix for part in neighbours.split(CHUNK)
    )
    return torch.cat(list(parts))
