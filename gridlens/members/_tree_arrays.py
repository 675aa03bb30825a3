"""LightGBM's trees as plain arrays, for kernels that walk them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

__all__ = ["TreeArrays", "tree_arrays"]

# The line of a tree in LightGBM's text, and the type of its numbers.
_LINES = {
    "split_feature": np.int32,
    "threshold": np.float64,
    "decision_type": np.int32,
    "left_child": np.int32,
    "right_child": np.int32,
    "leaf_value": np.float64,
    "leaf_count": np.float64,
}


class TreeArrays(NamedTuple):
    """Trees one after the other; those of a single leaf, which no feature has a say in, are left out.

    Attributes
    ----------
    first : ndarray of shape (n_trees + 1,), int64
        Where the splits of each tree begin; its leaves begin at ``first[k] + k``.
    feature, threshold, decision, left, right : ndarray of shape (n_splits,)
        As LightGBM writes them: a child of 0 or more is a split of the same tree, leaf j is written as -j - 1.
    value, cover : ndarray of shape (n_splits + n_trees,), float64
        Log-odds of each leaf, and how many training rows fell into it.
    base : float
        Mean log-odds of the training rows, over all trees.
    """

    first: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    decision: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray
    cover: np.ndarray
    base: float


def tree_arrays(booster: Any) -> TreeArrays:
    """Trees of a `lightgbm.Booster` of numerical splits."""
    text = booster.model_to_string()
    found: dict[str, list[np.ndarray]] = {name: [] for name in _LINES}
    n_splits, base = [0], 0.0
    for block in text[: text.index("\nend of trees")].split("\nTree=")[1:]:
        lines = dict(line.split("=", 1) for line in block.split("\n")[1:] if "=" in line)
        value = np.array(lines["leaf_value"].split(), dtype=np.float64)
        if len(value) == 1:
            base += float(value[0])
            continue
        for name, kind in _LINES.items():
            found[name].append(np.array(lines[name].split(), dtype=kind))
        cover = found["leaf_count"][-1]
        base += float(value @ cover / cover.sum())
        n_splits.append(len(value) - 1)
    joined = {
        name: np.concatenate([np.empty(0, dtype=_LINES[name]), *parts]) for name, parts in found.items()
    }
    return TreeArrays(
        np.cumsum(n_splits),
        joined["split_feature"],
        joined["threshold"],
        joined["decision_type"],
        joined["left_child"],
        joined["right_child"],
        joined["leaf_value"],
        joined["leaf_count"],
        base,
    )
