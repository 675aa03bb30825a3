"""The compact residual network: a wide stem, six blocks, two kinds of pooling."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from gridlens_deep._layers import Plan

__all__ = ["ConvNet"]


class Pooled(NamedTuple):
    """The result of a backbone, with the attribute name used by the library transformers."""

    pooler_output: torch.Tensor
    """(n, width)"""


class ConvNet(nn.Module):
    """A 5 x 5 stem of stride 2 and six residual blocks, pooled by both the mean and the maximum.

    The images are halved where the blocks widen. Images and weights are stored with channels last, which is the fastest
    layout on a CPU and on a GPU with mixed precision. `gridlens_deep._layers` describes the same layers for
    onnxruntime.

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
        widths = plan.widths
        self.stem = nn.Sequential(
            nn.Conv2d(n_channels, widths[0], 5, stride=2, padding=2, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()
        )
        before = (widths[0], *widths[:-1])
        self.blocks = nn.Sequential(*(_Block(old, new) for old, new in zip(before, widths, strict=True)))
        self.width = 2 * widths[-1]
        for weights in self.parameters():
            if weights.ndim == 4:
                weights.data = weights.data.contiguous(memory_format=torch.channels_last)

    def forward(self, pixel_values: torch.Tensor) -> Pooled:
        maps = self.blocks(self.stem(pixel_values.contiguous(memory_format=torch.channels_last))).float()
        return Pooled(torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1))


class _Block(nn.Module):
    """Two 3 x 3 convolutions with a shortcut (He et al. 2016, CVPR, 770)."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        stride = 1 if before == after else 2
        self.first = nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(after)
        self.second = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(after)
        self.shortcut: nn.Module = nn.Identity()
        if stride == 2:
            self.shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride=2, bias=False), nn.BatchNorm2d(after))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        inner = torch.relu(self.first_norm(self.first(maps)))
        return torch.relu(self.second_norm(self.second(inner)) + self.shortcut(maps))
