"""Networks that `architectures.py` compares, all with the last layer of the plugin's networks.

A backbone maps images (n, channels, H, H) to a `Pooled` embedding. "equivariant", "compact" and "wide" are networks of
the plugin; "c4" shares its filters between quarter turns, but not between flips.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from gridlens_deep._convolutions import ConvNet, Pooled, _Block
from gridlens_deep._equivariant import EquivariantNet
from gridlens_deep._layers import PLANS, Plan
from gridlens_deep._networks import Network
from torch import nn

__all__ = ["LARGE", "NETWORKS", "build"]

NETWORKS = ("compact", "equivariant", "c4", "transformer", "wide")
LARGE = ("resnet-18", "vit-s/16")
"""networks to train on a GPU"""

_DROPOUT = 0.2
# With four rotated copies of each filter, the layers cost as much as those of "compact".
_TURNS_ALONE = Plan((4, 8, 8, 16, 16, 24), 4)
# Blocks before the transformer: an image of 96 px becomes 6 x 6 tokens.
_STEM_WIDTHS = (16, 32, 64, 96)
_WIDTH, _HEADS, _LAYERS, _INNER = 256, 4, 4, 512


def build(name: str, n_channels: int, size: int) -> Network:
    """Build a network with random weights for images of `n_channels` channels and `size` pixels on a side.

    Parameters
    ----------
    name : str
        One of `NETWORKS` or `LARGE`.
    n_channels, size : int
    """
    backbone: nn.Module
    if name in ("compact", "wide"):
        backbone = ConvNet(n_channels, PLANS[name])
    elif name in ("equivariant", "c4"):
        backbone = EquivariantNet(n_channels, PLANS.get(name, _TURNS_ALONE))
    elif name == "transformer":
        backbone = StemTransformer(n_channels, size)
    else:
        backbone = _resnet(n_channels) if name == "resnet-18" else _vit(n_channels, size)
    return Network(backbone, backbone.width, _DROPOUT)


class StemTransformer(nn.Module):
    """The stem and four blocks of a compact network, then four layers of attention between pixels of the feature maps.

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
    """Wrapper that gives a backbone of the library transformers the attributes that `build` needs."""

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
