"""LightGBM's trees as plain arrays, for kernels that walk them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

import numpy as np

__all__ = ["DEFAULT_LEFT", "MISSING_NAN", "MISSING_ZERO", "ZERO", "TreeArrays", "once_per_booster", "tree_arrays"]

# Of `decision`: a bit, and what the two bits above it say of numbers that are missing.
DEFAULT_LEFT = 2
MISSING_ZERO = 1
MISSING_NAN = 2
# No further from 0 than this is 0 to LightGBM.
ZERO = float(np.float32(1e-35))

_T = TypeVar("_T")

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

    @property
    def missing(self) -> np.ndarray:
        """What is missing at each split: `MISSING_ZERO`, `MISSING_NAN` or, where NaN is taken for 0, nothing (0)."""
        return (self.decision >> 2) & 3


def once_per_booster(function: Callable[[Any], _T]) -> Callable[[Any], _T]:
    """Remember what `function` made of a booster that is trained, for as long as there is that booster."""
    found: WeakKeyDictionary[Any, _T] = WeakKeyDictionary()

    @functools.wraps(function)
    def remembered(booster: Any) -> _T:
        if booster not in found:
            found[booster] = function(booster)
        return found[booster]

    return remembered


@once_per_booster
def tree_arrays(booster: Any) -> TreeArrays:
    """Trees of a `lightgbm.Booster` of numerical splits."""
    text = booster.model_to_string()
    found: dict[str, list[str]] = {name: [] for name in _LINES}
    n_leaves, base = [], 0.0
    for block in text[: text.index("\nend of trees")].split("\nTree=")[1:]:
        lines = dict(line.split("=", 1) for line in block.split("\n")[1:] if "=" in line)
        if lines["num_leaves"] == "1":
            base += float(lines["leaf_value"])
            continue
        for name, parts in found.items():
            parts.append(lines[name])
        n_leaves.append(int(lines["num_leaves"]))
    # All numbers of one kind at once: a call for each tree would take longer than all that follows.
    joined = {name: np.array(" ".join(parts).split(), dtype=_LINES[name]) for name, parts in found.items()}
    first = np.cumsum([0, *n_leaves])
    for begin, end in pairwise(first):
        base += float(np.average(joined["leaf_value"][begin:end], weights=joined["leaf_count"][begin:end]))
    return TreeArrays(
        first - np.arange(len(first)),
        joined["split_feature"],
        joined["threshold"],
        joined["decision_type"],
        joined["left_child"],
        joined["right_child"],
        joined["leaf_value"],
        joined["leaf_count"],
        base,
    )
