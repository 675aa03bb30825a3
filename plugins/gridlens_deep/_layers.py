"""The layers of the compact network, which torch trains and onnxruntime scores with: their names, shapes and order."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["WIDTHS", "Block", "Convolution", "convnet_layers", "convnet_shapes"]

WIDTHS = {"compact": (16, 32, 32, 64, 64, 96), "wide": (24, 48, 48, 96, 96, 128)}
"""channels of the six blocks, by variant"""


class Convolution(NamedTuple):
    """A convolution without bias and the batch normalisation that follows it, by their names in a network's state."""

    name: str
    norm: str
    before: int
    """channels that enter"""
    after: int
    """channels that leave"""
    kernel: int
    """pixels on a side"""
    stride: int


class Block(NamedTuple):
    """Two convolutions beside a shortcut, which is the identity where it is None."""

    first: Convolution
    second: Convolution
    shortcut: Convolution | None


def convnet_layers(n_channels: int, variant: str) -> tuple[Convolution, list[Block]]:
    """Return the stem and the blocks of the compact network for images of `n_channels`."""
    widths = WIDTHS[variant]
    stem = Convolution("backbone.stem.0", "backbone.stem.1", n_channels, widths[0], 5, 2)
    pairs = zip((widths[0], *widths[:-1]), widths, strict=True)
    return stem, [_block(f"backbone.blocks.{k}", before, after) for k, (before, after) in enumerate(pairs)]


def _block(place: str, before: int, after: int) -> Block:
    stride = 1 if before == after else 2
    first = Convolution(f"{place}.first", f"{place}.first_norm", before, after, 3, stride)
    second = Convolution(f"{place}.second", f"{place}.second_norm", after, after, 3, 1)
    shortcut = Convolution(f"{place}.shortcut.0", f"{place}.shortcut.1", before, after, 1, 2) if stride == 2 else None
    return Block(first, second, shortcut)


def convnet_shapes(n_channels: int, variant: str) -> dict[str, tuple[int, ...]]:
    """Return the shape of each array in the state of the compact network, by name."""
    stem, blocks = convnet_layers(n_channels, variant)
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in (stem, *(layer for block in blocks for layer in block if layer is not None)):
        shapes[f"{layer.name}.weight"] = (layer.after, layer.before, layer.kernel, layer.kernel)
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{layer.norm}.{part}"] = (layer.after,)
        shapes[f"{layer.norm}.num_batches_tracked"] = ()
    return shapes | {"last.weight": (1, 2 * WIDTHS[variant][-1]), "last.bias": (1,)}
