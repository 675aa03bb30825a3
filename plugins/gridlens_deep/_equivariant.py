"""A residual network whose filters are shared between the flips and turns of an image."""

from __future__ import annotations

import math

import torch
from torch import nn

from gridlens_deep._convolutions import Pooled
from gridlens_deep._layers import Block, Convolution, Plan, convnet_layers
from gridlens_deep._orbit import orbit

__all__ = ["EquivariantNet"]


class EquivariantNet(nn.Module):
    """The compact network with each filter applied in eight flips and turns, or in four.

    The method follows Cohen & Welling (2016, ICML, 2990). A flip or turn of the image turns the maps and permutes their
    channels. The maximum over the copies of a filter and the two kinds of pooling give an embedding that is invariant
    under flips and turns, for image sizes that are a multiple of 16 pixels. `gridlens_deep._layers` describes the same
    layers for onnxruntime.

    Parameters
    ----------
    n_channels : int
        Number of channels of the images.
    plan : Plan

    Attributes
    ----------
    width : int
        Length of an embedding.
    """

    def __init__(self, n_channels: int, plan: Plan) -> None:
        super().__init__()
        self.n_copies = plan.n_copies
        stem, blocks = convnet_layers(n_channels, plan)
        self.stem = _SharedConv(stem, self.n_copies, lifts=True)
        self.stem_norm = _SharedNorm(stem.after, self.n_copies)
        self.blocks = nn.Sequential(*(_SharedBlock(block, self.n_copies) for block in blocks))
        self.width = 2 * plan.widths[-1]

    def forward(self, pixel_values: torch.Tensor) -> Pooled:
        images = pixel_values.contiguous(memory_format=torch.channels_last)
        maps = self.blocks(torch.relu(self.stem_norm(self.stem(images)))).float()
        best = maps.unflatten(1, (self.n_copies, -1)).amax(dim=1)
        return Pooled(torch.cat([best.mean(dim=(2, 3)), best.amax(dim=(2, 3))], dim=1))


class _SharedConv(nn.Module):
    """A convolution with all copies of each filter; the flips and turns vary slowest among the channels."""

    places: torch.Tensor

    def __init__(self, layer: Convolution, n_copies: int, *, lifts: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(layer.after, layer.before, layer.kernel, layer.kernel))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5.0))
        places = orbit(layer.before, layer.kernel, n_copies, lifts=lifts).copy()
        self.register_buffer("places", torch.from_numpy(places), persistent=False)
        self.stride, self.padding = layer.stride, (layer.kernel - 1) // 2

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        copies = self.weight.flatten(1).index_select(1, self.places.flatten())
        copies = copies.unflatten(1, self.places.shape).transpose(0, 1).reshape(-1, *self.weight.shape[1:])
        weight = copies.contiguous(memory_format=torch.channels_last)
        return nn.functional.conv2d(maps, weight, stride=self.stride, padding=self.padding)


class _SharedNorm(nn.BatchNorm2d):
    """Batch normalization with statistics and weights shared by all copies of a filter."""

    def __init__(self, n_filters: int, n_copies: int) -> None:
        super().__init__(n_filters)
        self.n_copies = n_copies

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        # With channels last in memory, the copies can be viewed as pixels without copying the array.
        last = maps.permute(0, 2, 3, 1)
        n, rows, columns, channels = last.shape
        wide = last.reshape(n, rows, columns * self.n_copies, channels // self.n_copies).permute(0, 3, 1, 2)
        return super().forward(wide).permute(0, 2, 3, 1).reshape(n, rows, columns, channels).permute(0, 3, 1, 2)


class _SharedBlock(nn.Module):
    """The block of the compact network, downsampled by means of 2 x 2 pixels."""

    def __init__(self, block: Block, n_copies: int) -> None:
        super().__init__()
        self.halve: nn.Module = nn.AvgPool2d(2) if block.pooled else nn.Identity()
        self.first, self.second = _SharedConv(block.first, n_copies), _SharedConv(block.second, n_copies)
        self.first_norm, self.second_norm = (_SharedNorm(block.first.after, n_copies) for _ in range(2))
        self.shortcut: nn.Module = nn.Identity()
        if block.shortcut is not None:
            norm = _SharedNorm(block.shortcut.after, n_copies)
            self.shortcut = nn.Sequential(_SharedConv(block.shortcut, n_copies), norm)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        maps = self.halve(maps)
        inner = torch.relu(self.first_norm(self.first(maps)))
        return torch.relu(self.second_norm(self.second(inner)) + self.shortcut(maps))
