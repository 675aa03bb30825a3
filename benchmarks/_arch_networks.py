"""Networks that `architectures.py` compares, each under the last layer that all networks of the plugin have.

A backbone takes images (n, channels, H, H) and gives a `Pooled` embedding. "compact" and "wide" are the plugin's own.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from gridlens_deep._convolutions import ConvNet, Pooled, _Block
from gridlens_deep._networks import Network
from torch import nn

__all__ = ["LARGE", "NETWORKS", "build"]

NETWORKS = ("compact", "c4", "transformer", "wide")
LARGE = ("resnet-18", "vit-s/16")
"""networks for a GPU"""

_DROPOUT = 0.2
_TURNS = 4
# A fourth of the channels of "compact": with four turned copies of each filter, layers cost as much as there.
_TURNED_WIDTHS = (4, 8, 8, 16, 16, 24)
# Blocks before the transformer: an image of 96 px becomes 6 x 6 tokens.
_STEM_WIDTHS = (16, 32, 64, 96)
_WIDTH, _HEADS, _LAYERS, _INNER = 256, 4, 4, 512


def build(name: str, n_channels: int, size: int) -> Network:
    """Build a network with random weights for images of `n_channels` and `size` pixels.

    Parameters
    ----------
    name : str
        One of `NETWORKS` or `LARGE`.
    n_channels, size : int
    """
    backbone: nn.Module
    if name in ("compact", "wide"):
        backbone = ConvNet(n_channels, name)
    elif name == "c4":
        backbone = TurnedNet(n_channels)
    elif name == "transformer":
        backbone = StemTransformer(n_channels, size)
    else:
        backbone = _resnet(n_channels) if name == "resnet-18" else _vit(n_channels, size)
    return Network(backbone, backbone.width, _DROPOUT)


class TurnedNet(nn.Module):
    """The compact network with filters shared by the four quarter turns (Cohen & Welling 2016, ICML, 2990).

    Each map has four orientations, which a quarter turn of the image turns and permutes; the maximum over orientations
    and the two ways of pooling make an embedding that no quarter turn changes. The images are halved by means of 2 x 2
    pixels and by a stem of 6 x 6 weights: a stride on odd filters would not be symmetric on an even number of pixels.

    Attributes
    ----------
    width : int
        Length of an embedding.
    """

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        widths = _TURNED_WIDTHS
        self.stem = _TurnedConv(n_channels, widths[0], 6, lifts=True, stride=2)
        self.norm = _TurnedNorm(widths[0])
        before = (widths[0], *widths[:-1])
        self.blocks = nn.Sequential(*(_TurnedBlock(old, new) for old, new in zip(before, widths, strict=True)))
        self.width = 2 * widths[-1]

    def forward(self, pixel_values: torch.Tensor) -> Pooled:
        images = pixel_values.contiguous(memory_format=torch.channels_last)
        maps = self.blocks(torch.relu(self.norm(self.stem(images)))).float()
        best = maps.unflatten(1, (_TURNS, -1)).amax(dim=1)
        return Pooled(torch.cat([best.mean(dim=(2, 3)), best.amax(dim=(2, 3))], dim=1))


class _TurnedConv(nn.Module):
    """A convolution with four turned copies of each filter; orientations are the slow index of the channels."""

    def __init__(self, before: int, after: int, size: int, *, lifts: bool = False, stride: int = 1) -> None:
        super().__init__()
        turns = 1 if lifts else _TURNS
        self.weight = nn.Parameter(torch.empty(after, turns * before, size, size))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5.0))
        self.lifts, self.stride, self.padding = lifts, stride, (size - 1) // 2

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        # A filter that is turned by k also sees the orientations of its input k places further on.
        step = 0 if self.lifts else self.weight.shape[1] // _TURNS
        turned = [torch.rot90(self.weight, k, (2, 3)).roll(k * step, 1) for k in range(_TURNS)]
        weight = torch.cat(turned).contiguous(memory_format=torch.channels_last)
        return nn.functional.conv2d(maps, weight, stride=self.stride, padding=self.padding)


class _TurnedNorm(nn.Module):
    """Batch normalisation with statistics and weights that the orientations share."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(width)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        # With channels last in memory, orientations become pixels without a copy.
        last = maps.permute(0, 2, 3, 1)
        n, rows, columns, channels = last.shape
        wide = last.reshape(n, rows, columns * _TURNS, channels // _TURNS).permute(0, 3, 1, 2)
        return self.norm(wide).permute(0, 2, 3, 1).reshape(n, rows, columns, channels).permute(0, 3, 1, 2)


class _TurnedBlock(nn.Module):
    """The block of the compact network, with turned filters."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.halve: nn.Module = nn.Identity() if before == after else nn.AvgPool2d(2)
        self.first, self.first_norm = _TurnedConv(before, after, 3), _TurnedNorm(after)
        self.second, self.second_norm = _TurnedConv(after, after, 3), _TurnedNorm(after)
        self.shortcut: nn.Module = nn.Identity()
        if before != after:
            self.shortcut = nn.Sequential(_TurnedConv(before, after, 1), _TurnedNorm(after))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        maps = self.halve(maps)
        inner = torch.relu(self.first_norm(self.first(maps)))
        return torch.relu(self.second_norm(self.second(inner)) + self.shortcut(maps))


class StemTransformer(nn.Module):
    """The stem and four blocks of a compact network, then four layers of attention between the pixels of their maps.

    Attributes
    ----------
    width : int
        Length of an embedding.
    """

    def __init__(self, n_channels: int, size: int) -> None:
        super().__init__()
        before = (_STEM_WIDTHS[0], *_STEM_WIDTHS[:-1])
        self.stem = nn.Sequential(
            nn.Conv2d(n_channels, _STEM_WIDTHS[0], 5, stride=2, padding=2, bias=False),
            nn.BatchNorm2d(_STEM_WIDTHS[0]),
            nn.ReLU(),
            *(_Block(old, new) for old, new in zip(before, _STEM_WIDTHS, strict=True)),
        ).to(memory_format=torch.channels_last)
        side = math.ceil(size / 2 ** len(_STEM_WIDTHS))
        self.widen = nn.Linear(_STEM_WIDTHS[-1], _WIDTH)
        self.places = nn.Parameter(0.02 * torch.randn(1, side * side, _WIDTH))
        layer = nn.TransformerEncoderLayer(
            _WIDTH, _HEADS, _INNER, dropout=0.1, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, _LAYERS, nn.LayerNorm(_WIDTH), enable_nested_tensor=False)
        self.width = 2 * _WIDTH

    def forward(self, pixel_values: torch.Tensor) -> Pooled:
        maps = self.stem(pixel_values.contiguous(memory_format=torch.channels_last))
        tokens = self.layers(self.widen(maps.flatten(2).transpose(1, 2)) + self.places).float()
        return Pooled(torch.cat([tokens.mean(dim=1), tokens.amax(dim=1)], dim=1))


class _FromLibrary(nn.Module):
    """A backbone of the library transformers with the attributes that `build` needs."""

    def __init__(self, model: Any, width: int) -> None:
        super().__init__()
        self.model, self.width = model, width

    def forward(self, pixel_values: torch.Tensor) -> Pooled:
        found = self.model(pixel_values=pixel_values)
        pooled = found.pooler_output
        return Pooled(pooled.flatten(1) if pooled is not None else found.last_hidden_state[:, 0])


def _resnet(n_channels: int) -> _FromLibrary:
    from gridlens_deep._networks import _RESNETS
    from transformers import ResNetConfig, ResNetModel

    config = ResNetConfig(num_channels=n_channels, layer_type="basic", hidden_act="relu", **_RESNETS["18"])
    return _FromLibrary(ResNetModel(config), config.hidden_sizes[-1])


def _vit(n_channels: int, size: int) -> _FromLibrary:
    from gridlens_deep._networks import _PATCH, _TRANSFORMERS
    from transformers import ViTConfig, ViTModel

    config = ViTConfig(num_channels=n_channels, image_size=size, patch_size=_PATCH, **_TRANSFORMERS["small"])
    return _FromLibrary(ViTModel(config, add_pooling_layer=False), config.hidden_size)
