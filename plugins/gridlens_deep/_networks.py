"""The networks: a backbone with a last layer, with random or given weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from gridlens_deep._convolutions import ConvNet
from gridlens_deep._equivariant import EquivariantNet
from gridlens_deep._errors import WeightsError
from gridlens_deep._layers import PLANS
from gridlens_deep._pretrained import check_grid, saved_folder
from gridlens_deep._settings import Settings
from gridlens_deep._weights import WEIGHTS, checked_state, read_weights

__all__ = ["Network", "build_network", "state_of", "take_state"]

_RESNETS: dict[str, dict[str, Any]] = {
    "18": {"depths": [2, 2, 2, 2], "hidden_sizes": [64, 128, 256, 512], "embedding_size": 64},
    "34": {"depths": [3, 4, 6, 3], "hidden_sizes": [64, 128, 256, 512], "embedding_size": 64},
    # For tests and for machines without a GPU.
    "10": {"depths": [1, 1, 1, 1], "hidden_sizes": [16, 32, 64, 128], "embedding_size": 16},
}
_PATCH = 16
_TRANSFORMERS: dict[str, dict[str, Any]] = {
    "small": {"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 6, "intermediate_size": 1536},
    "tiny": {"hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 128},
}


class Network(nn.Module):
    """A backbone and a last layer: ``forward`` returns log-odds (n,), `embed` the input of the last layer."""

    def __init__(self, backbone: nn.Module, width: int, dropout: float) -> None:
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout(dropout)
        self.last = nn.Linear(width, 1)

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Return embeddings (n, width) of images (n, 3 or 4, H, W)."""
        found = self.backbone(pixel_values=images)
        pooled = found.pooler_output
        return pooled.flatten(1) if pooled is not None else found.last_hidden_state[:, 0]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        embedded, device = self.dropout(self.embed(images)), images.device.type
        if not torch.is_autocast_enabled(device):
            return self.last(embedded).squeeze(1)
        # bfloat16 would round the log-odds to too few digits.
        with torch.autocast(device, enabled=False):
            return self.last(embedded.float()).squeeze(1)


def build_network(settings: Settings) -> Network:
    """Build a network with random weights, or with the weights of `settings.pretrained`.

    Raises
    ------
    WeightsError
        The weights are not available, or belong to another network.
    """
    if settings.name == "convnet":
        return _convnet(settings)
    if settings.name == "resnet":
        backbone, width = _resnet(settings.variant)
    else:
        backbone, width = _vit(settings.variant, settings.size)
    if settings.pretrained is not None:
        _take_weights(backbone, settings.pretrained)
    return Network(backbone, width, settings.dropout)


def state_of(network: nn.Module) -> dict[str, np.ndarray]:
    """Return a copy of the state of a network as arrays."""
    return {name: np.array(value.cpu().numpy(), order="C") for name, value in network.state_dict().items()}


def take_state(network: nn.Module, state: Mapping[str, np.ndarray], where: str) -> None:
    """Load a state into a network; raise WeightsError with the names of layers that differ."""
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    state = checked_state(state, shapes, where)
    network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in state.items()})


def _convnet(settings: Settings) -> Network:
    """Build a network of `convnet`, with random weights or those of a saved member."""
    kind = EquivariantNet if settings.symmetric else ConvNet
    backbone = kind(settings.grid.n_channels, PLANS[settings.variant])
    network = Network(backbone, backbone.width, settings.dropout)
    if settings.pretrained is not None:
        with saved_folder(settings.pretrained, settings.name) as folder:
            check_grid(folder, settings)
            take_state(network, read_weights(folder / WEIGHTS), settings.pretrained)
    return network


def _resnet(depth: str) -> tuple[nn.Module, int]:
    from transformers import ResNetConfig, ResNetModel

    config = ResNetConfig(num_channels=3, layer_type="basic", hidden_act="relu", **_RESNETS[depth])
    return ResNetModel(config), _RESNETS[depth]["hidden_sizes"][-1]


def _vit(which: str, size: int) -> tuple[nn.Module, int]:
    from transformers import ViTConfig, ViTModel

    if size % _PATCH:
        raise ValueError(f"The 'size' parameter of a transformer must be a multiple of {_PATCH}. Got {size!r} instead.")
    config = ViTConfig(num_channels=3, image_size=size, patch_size=_PATCH, **_TRANSFORMERS[which])
    return ViTModel(config, add_pooling_layer=False), config.hidden_size


def _take_weights(backbone: Any, pretrained: str) -> None:
    """Load weights by name; the stem is averaged over its bands, and position embeddings are resampled to the grid."""
    source = _pretrained_state(backbone, pretrained)
    own = backbone.state_dict()
    taken, wrong = {}, []
    for name, value in own.items():
        if name not in source:
            wrong.append(f"{name} (missing)")
            continue
        found = source[name] if source[name].shape == value.shape else _fitted(name, source[name], value)
        if found is None:
            wrong.append(f"{name} ({tuple(source[name].shape)}, not {tuple(value.shape)})")
        else:
            taken[name] = found
    # Batch counters are not weights, and older files lack them.
    wrong = [name for name in wrong if "num_batches_tracked" not in name]
    if wrong:
        raise WeightsError(
            f"The 'pretrained' parameter must have the weights of this network. Got {pretrained!r} instead, which "
            "differs in "
            f"{len(wrong)} layers: {', '.join(wrong[:4])}{' ...' if len(wrong) > 4 else ''}."
        )
    backbone.load_state_dict(taken, strict=False)


def _fitted(name: str, found: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor | None:
    """Convert weights to another number of bands, or position embeddings to another grid; None if impossible."""
    if found.ndim == 4 and found.shape[0] == wanted.shape[0] and found.shape[2:] == wanted.shape[2:]:
        # Each band gets the mean of the weights over the bands, scaled to keep the sum over the bands.
        mean = found.mean(dim=1, keepdim=True) * found.shape[1] / wanted.shape[1]
        return mean.expand_as(wanted).clone()
    if "position_embeddings" in name and found.ndim == 3 and found.shape[2] == wanted.shape[2]:
        old, new = (round((tensor.shape[1] - 1) ** 0.5) for tensor in (found, wanted))
        grid = found[:, 1:].reshape(1, old, old, -1).permute(0, 3, 1, 2)
        grid = nn.functional.interpolate(grid, size=(new, new), mode="bicubic", align_corners=False)
        return torch.cat([found[:, :1], grid.permute(0, 2, 3, 1).reshape(1, new * new, -1)], dim=1)
    return None


def _pretrained_state(backbone: Any, pretrained: str) -> dict[str, torch.Tensor]:
    """Read weights with the library, which handles the names used by older versions and whole classifiers."""
    folder = Path(pretrained)
    if folder.is_dir() and not ((folder / "model.safetensors").is_file() and (folder / "config.json").is_file()):
        raise WeightsError(
            "The 'pretrained' parameter must be a folder with model.safetensors and config.json, as written by "
            f"`save_pretrained`. Got {pretrained!r} without these files instead."
        )
    try:
        options = {"add_pooling_layer": False} if "vit" in type(backbone).__name__.lower() else {}
        return type(backbone).from_pretrained(pretrained, use_safetensors=True, **options).state_dict()
    # The library raises OSError and various errors of underlying libraries.
    except Exception as exc:
        raise WeightsError(
            f"The 'pretrained' parameter must be a folder, or a name on the hub. Got {pretrained!r} instead, which "
            f"could not be loaded ({type(exc).__name__}). Without an internet connection, download the weights "
            "elsewhere and use their folder. None starts from random weights."
        ) from exc
