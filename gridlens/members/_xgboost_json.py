"""XGBoost's JSON format, checked before XGBoost sees it.

XGBoost believes the trees that it reads: a split on a column beyond the row reads memory that is not its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["checked_xgboost"]

# By the kind of number that they hold, the arrays of a tree with an entry for each node.
_INDICES = ("left_children", "right_children", "parents", "split_indices", "split_type", "default_left")
_NUMBERS = ("split_conditions", "base_weights", "loss_changes", "sum_hessian")
_CATEGORIES = ("categories", "categories_nodes", "categories_segments", "categories_sizes")
_LEAF = -1
# The parent of a root, in signed and in unsigned numbers.
_NO_PARENT = (-1, 2**31 - 1)
_LARGEST = float(np.finfo(np.float32).max)


def checked_xgboost(content: bytes, n_features: int) -> Any:
    """Return the booster of `content`: one score, by numerical splits on `n_features` columns.

    Raises
    ------
    ValueError
        The content is not the JSON of such a booster.
    """
    import xgboost

    try:
        model = json.loads(content, parse_constant=_refuse)
        _check(model["learner"], n_features)
    except (KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError) as exc:
        raise ValueError(f"The JSON of the trees is damaged: {type(exc).__name__} {exc}.") from exc
    return xgboost.Booster(model_file=bytearray(json.dumps(model).encode()))


def _check(learner: Mapping[str, Any], n_features: int) -> None:
    parameters, booster = learner["learner_model_param"], learner["gradient_booster"]
    _expect(booster["name"] == "gbtree", "its booster is not gbtree")
    _expect(learner["objective"]["name"] == "binary:logistic", "its objective is not binary:logistic")
    _expect(int(parameters["num_feature"]) == n_features, f"it is not for {n_features} columns")
    _expect(int(parameters["num_class"]) == 0 and int(parameters.get("num_target", 1)) == 1, "it has several scores")
    # Since version 3 in brackets.
    _expect(0.0 < float(parameters["base_score"].strip("[]")) < 1.0, "base_score is not a probability")
    model = booster["model"]
    trees, settings = model["trees"], model["gbtree_model_param"]
    n = len(trees)
    _expect(n > 0 and int(settings["num_trees"]) == n, f"num_trees is not {n}")
    _expect(int(settings.get("num_parallel_tree", 1)) == 1, "it has several trees in a round")
    _expect(model["tree_info"] == [0] * n, "tree_info does not have a zero for each tree")
    _expect(model.get("iteration_indptr", list(range(n + 1))) == list(range(n + 1)), "iteration_indptr is invalid")
    _expect([tree.get("id", k) for k, tree in enumerate(trees)] == list(range(n)), "its trees are not in order")
    largest = sum(_check_tree(tree, n_features) for tree in trees)
    _expect(largest < _LARGEST, "the sum of its leaves is too large")


def _check_tree(tree: Mapping[str, Any], n_features: int) -> float:
    """Check one tree and return the largest absolute value of its leaves."""
    sizes = tree["tree_param"]
    n = int(sizes["num_nodes"])
    _expect(n > 0 and int(sizes["num_feature"]) == n_features, "a tree is not for these columns")
    _expect(int(sizes.get("size_leaf_vector", 1)) in (0, 1), "a leaf has several values")
    _expect(not any(tree.get(name) for name in _CATEGORIES), "a split is of categories")
    indices = {name: _numbers(tree, name, n, "ib") for name in _INDICES}
    numbers = {name: _numbers(tree, name, n, "if") for name in _NUMBERS}
    _expect(not indices["split_type"].any(), "a split is of categories")
    _expect(bool(np.isin(indices["default_left"], (0, 1)).all()), "default_left is not 0 or 1")
    _expect(bool((numbers["sum_hessian"] > 0.0).all()), "sum_hessian is not above 0")
    feature = indices["split_indices"]
    _expect(bool(((feature >= 0) & (feature < n_features)).all()), "a split is on a column that is not there")
    _check_children(indices["left_children"], indices["right_children"], indices["parents"])
    return float(np.abs(numbers["split_conditions"][indices["left_children"] == _LEAF]).max(initial=0.0))


def _check_children(left: np.ndarray, right: np.ndarray, parents: np.ndarray) -> None:
    """Every node but the root, the first, is the child of one split, and names it."""
    n = len(parents)
    inner = left != _LEAF
    _expect(bool((inner == (right != _LEAF)).all()), "a split has one child")
    child = np.concatenate([left[inner], right[inner]])
    _expect(bool(((child > 0) & (child < n)).all()), "a split has a child that is not there")
    _expect(len(np.unique(child)) == len(child) == n - 1, "two splits share a child, or a node is the child of none")
    own = np.tile(np.flatnonzero(inner), 2)
    named = bool((parents[child] == own).all()) and parents[0] in _NO_PARENT
    # Children after their parents: no circle hangs apart from the root.
    _expect(named and bool((child > own).all()), "a node names another parent")


def _numbers(tree: Mapping[str, Any], name: str, n: int, kinds: str) -> np.ndarray:
    values = np.array(tree[name])
    _expect(
        values.shape == (n,) and values.dtype.kind in kinds and bool((np.abs(values) <= _LARGEST).all()),
        f"{name} are not {n} finite numbers",
    )
    return values


def _refuse(name: str) -> None:
    raise ValueError(f"The JSON of the trees is damaged: {name} is not a number.")


def _expect(true: bool, what: str) -> None:
    if not true:
        raise ValueError(f"The JSON of the trees is damaged: {what}.")
