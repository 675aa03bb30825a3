"""A network of `convnet` as an ONNX model, built from its weights."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from gridlens_deep._layers import REDUCTION, Block, Convolution, Plan, convnet_layers
from gridlens_deep._onnx_format import model_bytes, node
from gridlens_deep._orbit import orbit

__all__ = ["convnet_model"]

# Epsilon of torch's batch normalization.
_EPSILON = 1e-5


def convnet_model(state: Mapping[str, np.ndarray], n_channels: int, plan: Plan, size: int) -> bytes:
    """Return a network of `convnet` in the ONNX format, as bytes.

    The input `images` is (n, n_channels, size, size); the outputs are `embedding` (n, width) and `log_odds` (n,).
    Batch normalization is folded into the convolutions in double precision, and filters shared between flips and turns
    are expanded.

    Parameters
    ----------
    state : mapping of str to ndarray
        Weights by name, with the shapes of `convnet_shapes`.
    n_channels : int
    plan : Plan
    size : int
        Side of the images, px.
    """
    graph = _Graph(state, plan.n_copies)
    stem, blocks = convnet_layers(n_channels, plan)
    maps = graph.rectified(graph.convolved("images", stem, lifts=True))
    for block in blocks:
        maps = graph.through(block, maps)
    if plan.is_shared:
        maps = graph.best(maps, plan.widths[-1], size // REDUCTION)
    pooled = [graph.add("GlobalAveragePool", [maps]), graph.add("GlobalMaxPool", [maps])]
    graph.add("Flatten", [graph.add("Concat", pooled, axis=1)], "embedding", axis=1)
    graph.weights |= {"last.weight": state["last.weight"][0], "last.bias": state["last.bias"]}
    graph.add("Add", [graph.add("MatMul", ["embedding", "last.weight"]), "last.bias"], "log_odds")
    width = 2 * plan.widths[-1]
    return model_bytes(
        graph.nodes, graph.weights, {"images": (n_channels, size, size)}, {"embedding": (width,), "log_odds": ()}
    )


class _Graph:
    """Sequence of operations; each method returns the name of its result."""

    def __init__(self, state: Mapping[str, np.ndarray], n_copies: int) -> None:
        self.state, self.n_copies = state, n_copies
        self.nodes: list[bytes] = []
        self.weights: dict[str, np.ndarray] = {}

    def add(self, operator: str, inputs: list[str], output: str | None = None, **attributes: int | list[int]) -> str:
        output = f"result-{len(self.nodes)}" if output is None else output
        self.nodes.append(node(operator, inputs, output, **attributes))
        return output

    def rectified(self, maps: str) -> str:
        return self.add("Relu", [maps])

    def convolved(self, maps: str, layer: Convolution, *, lifts: bool = False) -> str:
        weights, bias = _folded(self.state, layer)
        if self.n_copies > 1:
            places = orbit(layer.before, layer.kernel, self.n_copies, lifts=lifts)
            copies = weights.reshape(layer.after, -1)[:, places].swapaxes(0, 1)
            weights, bias = copies.reshape(-1, *weights.shape[1:]), np.tile(bias, self.n_copies)
        names = [f"{layer.name}.weight", f"{layer.name}.bias"]
        self.weights |= dict(zip(names, (weights, bias), strict=True))
        kernel, strides, pads = [layer.kernel] * 2, [layer.stride] * 2, [(layer.kernel - 1) // 2] * 4
        return self.add("Conv", [maps, *names], kernel_shape=kernel, strides=strides, pads=pads)

    def through(self, block: Block, maps: str) -> str:
        if block.pooled:
            maps = self.add("AveragePool", [maps], kernel_shape=[2, 2], strides=[2, 2])
        inner = self.convolved(self.rectified(self.convolved(maps, block.first)), block.second)
        beside = maps if block.shortcut is None else self.convolved(maps, block.shortcut)
        return self.rectified(self.add("Add", [inner, beside]))

    def best(self, maps: str, n_filters: int, side: int) -> str:
        """Take the maximum of each filter over its copies; the maps have `side` x `side` pixels."""
        self.weights["copies"] = np.array([-1, self.n_copies, n_filters, side, side])
        return self.add("ReduceMax", [self.add("Reshape", [maps, "copies"])], axes=[1], keepdims=0)


def _folded(state: Mapping[str, np.ndarray], layer: Convolution) -> tuple[np.ndarray, np.ndarray]:
    """Return weights and bias, float32, of one convolution equivalent to a layer and its normalization."""
    scale, shift, mean, variance = (
        state[f"{layer.norm}.{part}"].astype(np.float64) for part in ("weight", "bias", "running_mean", "running_var")
    )
    factor = scale / np.sqrt(variance + _EPSILON)
    weights = state[f"{layer.name}.weight"] * factor[:, None, None, None]
    return weights.astype(np.float32), (shift - mean * factor).astype(np.float32)
