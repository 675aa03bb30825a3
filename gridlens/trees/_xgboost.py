"""Conversion of trees from XGBoost's JSON format, and a guard for XGBoost's own parser.

XGBoost does not validate the trees that it reads: a split on a column beyond the row reads invalid memory.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from gridlens.trees._trees import Trees

__all__ = ["from_xgboost", "xgboost_booster"]

# Arrays of a tree with an entry for each node, by the kind of their numbers.
_INDICES = ("left_children", "right_children", "parents", "split_indices", "split_type", "default_left")
_NUMBERS = ("split_conditions", "base_weights", "loss_changes", "sum_hessian")
_CATEGORIES = ("categories", "categories_nodes", "categories_segments", "categories_sizes")
_LEAF = -1
# The parent of a root, as a signed and as an unsigned number.
_NO_PARENT = (-1, 2**31 - 1)
_LARGEST = float(np.finfo(np.float32).max)


class _Parsed(NamedTuple):
    n_features: int
    start: np.float32
    """log-odds before the first tree"""
    trees: list[dict[str, np.ndarray]]
    """arrays with an entry for each node"""
    content: bytes
    """input of XGBoost's parser"""


def from_xgboost(model: Any) -> Trees:
    """Convert an XGBoost model to `Trees`.

    Parameters
    ----------
    model : xgboost.Booster or bytes
        A "gbtree" model with the objective "binary:logistic" and numerical splits. Bytes are the JSON document that
        `xgboost.Booster.save_model` writes, from any source: it is parsed without XGBoost, and damaged or malicious
        content raises an error.

    Returns
    -------
    Trees
        Trees whose `raw_scores` are bit-identical to the margins of XGBoost.

    Raises
    ------
    ValueError
        If the model is of another kind, or the content is damaged.
    """
    return _converted(_parsed(model if isinstance(model, bytes) else bytes(model.save_raw("json"))))


def xgboost_booster(content: bytes) -> Any:
    """Return the XGBoost booster of a JSON document after validation of every number in it.

    Parameters
    ----------
    content : bytes
        As for `from_xgboost`.

    Returns
    -------
    xgboost.Booster

    Raises
    ------
    ValueError
        As for `from_xgboost`.
    """
    import xgboost

    parsed = _parsed(content)
    _converted(parsed)
    return xgboost.Booster(model_file=bytearray(parsed.content))


def _parsed(content: bytes) -> _Parsed:
    try:
        model = json.loads(content, parse_constant=_refuse)
        return _checked(model["learner"], json.dumps(model).encode())
    except (KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError) as exc:
        raise ValueError(f"The JSON of the trees is damaged: {type(exc).__name__} {exc}.") from exc


def _checked(learner: Mapping[str, Any], content: bytes) -> _Parsed:
    parameters, booster = learner["learner_model_param"], learner["gradient_booster"]
    _expect(booster["name"] == "gbtree", "its booster is not gbtree")
    _expect(learner["objective"]["name"] == "binary:logistic", "its objective is not binary:logistic")
    _expect(int(parameters["num_class"]) == 0 and int(parameters.get("num_target", 1)) == 1, "it has several scores")
    # Since version 3 it is in brackets.
    base_score = np.float32(parameters["base_score"].strip("[]"))
    _expect(bool(0.0 < base_score < 1.0), "base_score is not a probability")
    n_features = int(parameters["num_feature"])
    model = booster["model"]
    trees, settings = model["trees"], model["gbtree_model_param"]
    n = len(trees)
    _expect(n > 0 and int(settings["num_trees"]) == n, f"num_trees is not {n}")
    _expect(int(settings.get("num_parallel_tree", 1)) == 1, "it has several trees in a round")
    _expect(model["tree_info"] == [0] * n, "tree_info does not contain a zero for each tree")
    _expect(model.get("iteration_indptr", list(range(n + 1))) == list(range(n + 1)), "iteration_indptr is invalid")
    _expect([tree.get("id", k) for k, tree in enumerate(trees)] == list(range(n)), "its trees are not in order")
    # Repeat the steps and roundings of XGBoost, whose log of a float32 is correctly rounded.
    start = np.float32(-math.log(np.float32(1.0) / base_score - np.float32(1.0)))
    return _Parsed(n_features, start, [_checked_tree(tree, n_features) for tree in trees], content)


def _checked_tree(tree: Mapping[str, Any], n_features: int) -> dict[str, np.ndarray]:
    """Return the arrays of one tree, each with an entry for each node."""
    sizes = tree["tree_param"]
    n = int(sizes["num_nodes"])
    _expect(n > 0 and int(sizes["num_feature"]) == n_features, "a tree has another number of columns")
    _expect(int(sizes.get("size_leaf_vector", 1)) in (0, 1), "a leaf has several values")
    _expect(not any(tree.get(name) for name in _CATEGORIES), "a split is categorical")
    arrays = {name: _numbers(tree, name, n, "ib") for name in _INDICES}
    arrays |= {name: _numbers(tree, name, n, "if") for name in _NUMBERS}
    _expect(not arrays["split_type"].any(), "a split is categorical")
    _expect(bool(np.isin(arrays["default_left"], (0, 1)).all()), "default_left is not 0 or 1")
    _expect(bool((arrays["sum_hessian"] > 0.0).all()), "sum_hessian is not above 0")
    feature = arrays["split_indices"]
    _expect(bool(((feature >= 0) & (feature < n_features)).all()), "a split is on a missing column")
    _check_children(arrays["left_children"], arrays["right_children"], arrays["parents"])
    return arrays


def _check_children(left: np.ndarray, right: np.ndarray, parents: np.ndarray) -> None:
    """Raise ValueError unless each node except the first, the root, is the child of the split that it names."""
    n = len(parents)
    inner = left != _LEAF
    _expect(bool((inner == (right != _LEAF)).all()), "a split has only one child")
    child = np.concatenate([left[inner], right[inner]])
    _expect(bool(((child > 0) & (child < n)).all()), "a split has a missing child")
    _expect(len(np.unique(child)) == len(child) == n - 1, "two splits share a child, or a node has no parent")
    own = np.tile(np.flatnonzero(inner), 2)
    named = bool((parents[child] == own).all()) and parents[0] in _NO_PARENT
    # Children follow their parents, which excludes cycles apart from the root.
    _expect(named and bool((child > own).all()), "a node names another parent")


def _converted(parsed: _Parsed) -> Trees:
    inner = [tree["left_children"] != _LEAF for tree in parsed.trees]

    def of_splits(name: str) -> np.ndarray:
        return np.concatenate([tree[name][chosen] for tree, chosen in zip(parsed.trees, inner, strict=True)])

    def of_leaves(name: str) -> np.ndarray:
        return np.concatenate([tree[name][~chosen] for tree, chosen in zip(parsed.trees, inner, strict=True)])

    def children(name: str) -> np.ndarray:
        # Splits and leaves are counted separately, in the order of the nodes.
        places = [np.where(chosen, np.cumsum(chosen) - 1, -np.cumsum(~chosen)) for chosen in inner]
        return np.concatenate(
            [place[tree[name][chosen]] for place, tree, chosen in zip(places, parsed.trees, inner, strict=True)]
        )

    below = of_splits("split_conditions").astype(np.float32)
    return Trees(
        first=np.cumsum([0, *(chosen.sum() for chosen in inner)]),
        feature=of_splits("split_indices"),
        # In XGBoost a row goes left if its value is below the condition.
        threshold=np.nextafter(below, np.float32(-np.inf)),
        nan_left=of_splits("default_left").astype(bool),
        left=children("left_children"),
        right=children("right_children"),
        value=of_leaves("split_conditions").astype(np.float32),
        cover=of_leaves("sum_hessian").astype(np.float64),
        start=float(parsed.start),
        n_features=parsed.n_features,
    )


def _numbers(tree: Mapping[str, Any], name: str, n: int, kinds: str) -> np.ndarray:
    values = np.array(tree[name])
    _expect(
        values.shape == (n,) and values.dtype.kind in kinds and bool((np.abs(values) <= _LARGEST).all()),
        f"{name} does not contain {n} finite numbers",
    )
    return values


def _refuse(name: str) -> None:
    raise ValueError(f"The JSON of the trees is damaged: {name} is not a number.")


def _expect(true: bool, what: str) -> None:
    if not true:
        raise ValueError(f"The JSON of the trees is damaged: {what}.")
