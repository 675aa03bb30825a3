"""The layers of `convnet`, for training with torch and scoring with onnxruntime: names, shapes and order."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["PLANS", "REDUCTION", "Block", "Convolution", "Plan", "convnet_layers", "convnet_shapes"]


class Plan(NamedTuple):
    """The size of a network."""

    widths: tuple[int, ...]
    """filters in each of the six blocks"""
    n_copies: int = 1
    """number of flips and turns in which each filter is applied, each with its own channel: 8, 4 (turns) or 1"""

    @property
    def is_shared(self) -> bool:
        """True if filters are shared between flips or turns of the image."""
        return self.n_copies > 1


PLANS = {
    "equivariant": Plan((2, 4, 4, 8, 8, 12), 8),
    "compact": Plan((16, 32, 32, 64, 64, 96)),
    "wide": Plan((24, 48, 48, 96, 96, 128)),
}
"""networks of `convnet` by variant"""

REDUCTION = 16
"""factor between the pixels of an image and of the last maps: the stem and three blocks halve them"""


class Convolution(NamedTuple):
    """A convolution without bias and the following batch normalization, with their names in a network's state."""

    name: str
    norm: str
    before: int
    """input channels"""
    after: int
    """output channels"""
    kernel: int
    """side of the kernel, px"""
    stride: int


class Block(NamedTuple):
    """Two convolutions with a shortcut; None means the identity."""

    first: Convolution
    second: Convolution
    shortcut: Convolution | None
    pooled: bool
    """whether the maps are downsampled by means of 2 x 2 pixels before the convolutions"""


def convnet_layers(n_channels: int, plan: Plan) -> tuple[Convolution, list[Block]]:
    """Return the stem and the blocks of a network for images of `n_channels`."""
    widths = plan.widths
    names, kernel = (("stem", "stem_norm"), 6) if plan.is_shared else (("stem.0", "stem.1"), 5)
    stem = Convolution(f"backbone.{names[0]}", f"backbone.{names[1]}", n_channels, widths[0], kernel, 2)
    pairs = zip((widths[0], *widths[:-1]), widths, strict=True)
    return stem, [_block(f"backbone.blocks.{k}", before, after, plan) for k, (before, after) in enumerate(pairs)]


def _block(place: str, before: int, after: int, plan: Plan) -> Block:
    halved, enter = before != after, before * plan.n_copies
    # An odd filter with a stride would not be symmetric on an even number of pixels.
    pooled = halved and plan.is_shared
    stride = 2 if halved and not pooled else 1
    first = Convolution(f"{place}.first", f"{place}.first_norm", enter, after, 3, stride)
    second = Convolution(f"{place}.second", f"{place}.second_norm", after * plan.n_copies, after, 3, 1)
    shortcut = Convolution(f"{place}.shortcut.0", f"{place}.shortcut.1", enter, after, 1, stride) if halved else None
    return Block(first, second, shortcut, pooled)


def convnet_shapes(n_channels: int, plan: Plan) -> dict[str, tuple[int, ...]]:
    """Return the shape of each array in the state of a network, by name."""
    stem, blocks = convnet_layers(n_channels, plan)
    shapes: dict[str, tuple[int, ...]] = {}
    layers = [layer for block in blocks for layer in (block.first, block.second, block.shortcut) if layer is not None]
    for layer in (stem, *layers):
        shapes[f"{layer.name}.weight"] = (layer.after, layer.before, layer.kernel, layer.kernel)
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{layer.norm}.{part}"] = (layer.after,)
        shapes[f"{layer.norm}.num_batches_tracked"] = ()
    return shapes | {"last.weight": (1, 2 * plan.widths[-1]), "last.bias": (1,)}
