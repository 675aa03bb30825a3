"""LightGBM's text format, checked before LightGBM sees it.

Its parser believes what it reads: a tree with a child that is not there reads memory that is not its own, one that is
its own ancestor never ends, and most damaged files end the process.
"""

import re
from typing import Any

import numpy as np

__all__ = ["checked_booster"]

_WHOLE = re.compile(r"-?\d{1,9}( -?\d{1,9})*")
_NUMBERS = re.compile(r"[-+.e\d]{1,40}( [-+.e\d]{1,40})*")
_HEADER = {"version": "v4", "num_class": "1", "num_tree_per_iteration": "1"}
# What a tree is walked by, an entry for each split.
_OF_SPLITS = ("split_feature", "threshold", "decision_type", "left_child", "right_child")
# What is read but not needed: how many there are matters, not what they say.
_SPARE_OF_SPLITS = ("split_gain", "internal_value", "internal_weight", "internal_count")
_SPARE_OF_LEAVES = ("leaf_weight", "leaf_count")
_CATEGORICAL = 1  # bit of decision_type
_END = "end of trees"


def checked_booster(text: str) -> Any:
    """Booster of `text`: one score, by numerical splits; raise ValueError for anything else."""
    import lightgbm

    _check(text)
    return lightgbm.Booster(model_str=text)


def _check(text: str) -> None:
    first = text.find("\nTree=0\n") + 1
    _expect(text.isascii() and text.startswith("tree\n") and first > 0, "it is no LightGBM model")
    header = _entries(text[len("tree\n") : first])
    for key, value in _HEADER.items():
        _expect(header.get(key) == value, f"{key} is {header.get(key, '')[:40]!r}, not {value!r}")
    n_features = len(header.get("feature_names", "").split())
    _expect(header.get("max_feature_idx") == str(n_features - 1), f"it names {n_features} columns and counts others")
    _expect(_WHOLE.fullmatch(header.get("tree_sizes", "")) is not None, "tree_sizes are no numbers")
    trees, place = [], first
    for k, size in enumerate(map(int, header["tree_sizes"].split())):
        block = text[place : place + size]
        _expect(size > 0 and block.startswith(f"Tree={k}\n"), f"tree {k} is not where tree_sizes has it")
        trees.append(_entries(block))
        place += size
    _expect(text.startswith(_END, place), "the trees do not end where tree_sizes has it")
    _check_trees(trees, n_features)


def _check_trees(trees: list[dict[str, str]], n_features: int) -> None:
    """Each tree is one: all its splits and leaves hang on its root, once each."""
    for tree in trees:
        _expect(_WHOLE.fullmatch(tree.get("num_leaves", "")) is not None, "num_leaves is no number")
        _expect(tree.get("num_cat") == "0" and tree.get("is_linear", "0") == "0", "a tree is of another kind")
        n = int(tree["num_leaves"])
        _expect(len(tree.get("shrinkage", "").split(" ")) == 1, "shrinkage is no number")
        for keys, count in ((_SPARE_OF_LEAVES, n), (_SPARE_OF_SPLITS, n - 1)):
            for key in keys:
                found = tree[key].count(" ") + 1 if n > 1 and key in tree else count
                _expect(found == count, f"{key} are {found} numbers, not {count}")
    n_leaves = np.array([int(tree["num_leaves"]) for tree in trees])
    _expect(bool((n_leaves > 0).all()), "a tree has no leaf")
    _numbers(trees, "leaf_value", n_leaves)
    grown = [tree for tree in trees if int(tree["num_leaves"]) > 1]
    if not grown:
        return
    n_leaves = n_leaves[n_leaves > 1]
    n_splits = n_leaves - 1
    feature, _, decision, left, right = (_numbers(grown, key, n_splits) for key in _OF_SPLITS)
    _expect(bool(((feature >= 0) & (feature < n_features)).all()), "a split is on a column that is not there")
    _expect(bool(((decision.astype(np.int64) & _CATEGORICAL) == 0).all()), "a split is of categories")
    children = np.concatenate([left, right]).astype(np.int64)
    node = np.concatenate([np.arange(n) for n in n_splits])
    tree_of = np.repeat(np.arange(len(grown)), n_splits)
    node, tree_of = np.tile(node, 2), np.tile(tree_of, 2)
    # A child split comes after its parent, which leaves no circles; a leaf k is written as -k - 1.
    inner = children >= 0
    leaf = ~children
    right_place = np.where(inner, (children > node) & (children < n_splits[tree_of]), leaf < n_leaves[tree_of])
    _expect(bool(right_place.all()), "a split has a child that is not there")
    for chosen, values, size in ((inner, children, n_splits), (~inner, leaf, n_leaves)):
        start = np.cumsum(size) - size
        places = start[tree_of[chosen]] + values[chosen]
        _expect(len(np.unique(places)) == len(places), "two splits share a child")


def _numbers(trees: list[dict[str, str]], key: str, counts: np.ndarray) -> np.ndarray:
    """Values of `key` in all trees, one after the other, `counts` of each."""
    pattern = _NUMBERS if key in ("threshold", "leaf_value") else _WHOLE
    lines = [tree.get(key, "") for tree in trees]
    for line, count in zip(lines, counts, strict=True):
        _expect(pattern.fullmatch(line) is not None and line.count(" ") + 1 == count, f"{key} are not {count} numbers")
    try:
        values = np.array(" ".join(lines).split(" "), dtype=np.float64)
    except ValueError:
        values = np.array([np.nan])
    _expect(bool(np.isfinite(values).all()), f"{key} are no finite numbers")
    return values


def _entries(block: str) -> dict[str, str]:
    pairs = [line.partition("=") for line in block.splitlines() if line]
    found = {key: value for key, _, value in pairs}
    _expect(len(found) == len(pairs), "a name occurs twice in one tree")
    return found


def _expect(true: bool, what: str) -> None:
    if not true:
        raise ValueError(f"The text of the trees is damaged: {what}.")
