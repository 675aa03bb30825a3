"""Conversion of trees from LightGBM's text format, and a guard for LightGBM's own parser.

LightGBM's parser does not validate its input: a tree with a missing child reads invalid memory, a cycle never ends, and
a letter among numbers or an unknown parameter aborts the process. It therefore only gets the trees, with every number
validated, between a header and a footer that are generated here.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np

from gridlens.trees._trees import Trees

__all__ = ["from_lightgbm", "lightgbm_booster"]

_INTEGER = r"-?\d{1,9}"
# The format of float64 in LightGBM, which limits the largest values to 1e300.
_FLOAT = r"-?(?:\d{1,17}(?:\.\d{1,20})?(?:e(?:[+]?\d{1,2}|-\d{1,3}))?|1(?:\.0*1)?e[+]300)"
_INTEGERS = re.compile(rf"{_INTEGER}(?: {_INTEGER})*")
_FLOATS = re.compile(rf"{_FLOAT}(?: {_FLOAT})*")
# A split that only separates missing values has an infinite threshold.
_THRESHOLD = rf"(?:{_FLOAT}|-?inf)"
_THRESHOLDS = re.compile(rf"{_THRESHOLD}(?: {_THRESHOLD})*")
_HEADER = {
    "version": re.compile("v4"),
    "num_class": re.compile("1"),
    "num_tree_per_iteration": re.compile("1"),
    "label_index": re.compile("0"),
    "max_feature_idx": re.compile(r"\d{1,6}"),
    "objective": re.compile(rf"[a-z_\d]{{1,40}}(?: [a-z_]{{1,40}}:{_FLOAT})*"),
    "feature_names": re.compile(r"[!-~]+(?: [!-~]+)*"),
    "feature_infos": re.compile(r"[!-~]+(?: [!-~]+)*"),
    "tree_sizes": _INTEGERS,
}
# Required entries; a custom loss, for example, has no objective.
_OPTIONAL = {"objective"}
_ALONE = {"num_leaves": re.compile(r"\d{1,6}"), "num_cat": re.compile("0"), "is_linear": re.compile("0")}
_OF_SPLITS = {
    "split_feature": _INTEGERS,
    "decision_type": _INTEGERS,
    "left_child": _INTEGERS,
    "right_child": _INTEGERS,
    "threshold": _THRESHOLDS,
    "split_gain": _FLOATS,
    "internal_value": _FLOATS,
    "internal_weight": _FLOATS,
    "internal_count": _INTEGERS,
}
_OF_LEAVES = {"leaf_value": _FLOATS, "leaf_weight": _FLOATS, "leaf_count": _INTEGERS}
# Bits of decision_type.
_CATEGORICAL, _DEFAULT_LEFT, _MISSING_SHIFT = 1, 2, 2
_MISSING_NONE, _MISSING_NAN = 0, 2
# LightGBM treats values within this distance of 0 as 0.
_ZERO = float(np.float32(1e-35))
_END = "end of trees"
# LightGBM parses the training parameters and aborts for unknown ones; they do not affect the scores.
_AFTER = f"{_END}\n\nfeature_importances:\n\nparameters:\n\nend of parameters\n\npandas_categorical:null\n"


class _Parsed(NamedTuple):
    n_features: int
    trees: list[dict[str, str]]
    text: str
    """input of LightGBM's parser"""


def from_lightgbm(model: Any) -> Trees:
    """Convert a LightGBM model to `Trees`.

    Parameters
    ----------
    model : lightgbm.Booster or str
        A model with one score and numerical splits that was not trained with `zero_as_missing`. Text is the result of
        `lightgbm.Booster.model_to_string`, from any source: it is parsed without LightGBM, and damaged or malicious
        text raises an error.

    Returns
    -------
    Trees
        Trees whose `raw_scores` of float32 rows are bit-identical to ``booster.predict(X, raw_score=True)``.

    Raises
    ------
    ValueError
        If the model is of another kind, or the text is damaged.
    """
    return _converted(_parsed(model if isinstance(model, str) else model.model_to_string()))


def lightgbm_booster(text: str) -> Any:
    """Return the LightGBM booster of a text after validation of every number in it.

    Parameters
    ----------
    text : str
        As for `from_lightgbm`.

    Returns
    -------
    lightgbm.Booster
        Its scores are bit-identical to those of the saved booster; the training parameters are not restored.

    Raises
    ------
    ValueError
        As for `from_lightgbm`.
    """
    import lightgbm

    parsed = _parsed(text)
    _converted(parsed)
    return lightgbm.Booster(model_str=parsed.text)


def _parsed(text: str) -> _Parsed:
    """Split the text into lines of numbers; raise ValueError if a line does not have LightGBM's format."""
    first = text.find("\nTree=0\n") + 1
    _expect(text.isascii() and text.startswith("tree\n") and first > 0, "it is not a LightGBM model")
    header = _entries(text[len("tree\n") : first])
    _expect(header.keys() <= _HEADER.keys(), "its header contains an unknown entry")
    for key, pattern in _HEADER.items():
        if key in header or key not in _OPTIONAL:
            _expect(pattern.fullmatch(header.get(key, "")) is not None, f"{key} is {header.get(key, '')[:40]!r}")
    n_features = int(header["max_feature_idx"]) + 1
    for key in ("feature_names", "feature_infos"):
        _expect(header[key].count(" ") + 1 == n_features, f"{key} does not have {n_features} columns")
    trees, place = [], first
    for k, size in enumerate(map(int, header["tree_sizes"].split(" "))):
        block = text[place : place + size]
        _expect(size > 0 and block.startswith(f"Tree={k}\n"), f"tree {k} does not match tree_sizes")
        trees.append(_checked_tree(_entries(block)))
        place += size
    _expect(text.startswith(_END, place), "the end of the trees does not match tree_sizes")
    before = "".join(f"{key}={value}\n" for key, value in header.items())
    return _Parsed(n_features, trees, f"tree\n{before}\n{text[first:place]}{_AFTER}")


def _checked_tree(tree: dict[str, str]) -> dict[str, str]:
    """Return the tree after a check that it has the right number of values for its leaves and splits, and no others."""
    for key, pattern in _ALONE.items():
        _expect(pattern.fullmatch(tree.get(key, "")) is not None, f"{key} is {tree.get(key, '')[:40]!r}")
    n = int(tree["num_leaves"])
    known = {"Tree", "shrinkage", *_ALONE, *_OF_SPLITS, *_OF_LEAVES}
    _expect(n > 0 and tree.keys() <= known, "it is not a tree")
    _expect(re.fullmatch(_FLOAT, tree.get("shrinkage", "")) is not None, "shrinkage is not a number")
    for patterns, count in ((_OF_SPLITS, n - 1), (_OF_LEAVES, n)):
        for key, pattern in patterns.items():
            values = tree.get(key)
            # The lines of a tree with a single leaf may be empty.
            if n == 1 and values == "" and key != "leaf_value":
                continue
            _expect(
                values is not None and values.count(" ") + 1 == count and pattern.fullmatch(values) is not None,
                f"{key} does not contain {count} finite numbers",
            )
    return tree


def _converted(parsed: _Parsed) -> Trees:
    n_leaves = np.array([int(tree["num_leaves"]) for tree in parsed.trees])
    decision = _joined(parsed.trees, "decision_type", np.int64)
    threshold = _joined(parsed.trees, "threshold", np.float64)
    missing = (decision >> _MISSING_SHIFT) & 3
    _expect(not (decision & _CATEGORICAL).any(), "a split is categorical")
    _expect(bool(np.isin(missing, (_MISSING_NONE, _MISSING_NAN)).all()), "a split treats 0 as a missing value")
    return Trees(
        first=np.cumsum([0, *(n_leaves - 1)]),
        feature=_joined(parsed.trees, "split_feature", np.int64),
        threshold=_last_on_the_left(threshold),
        # Without missing values in the training, LightGBM treats NaN as 0.
        nan_left=np.where(missing == _MISSING_NAN, decision & _DEFAULT_LEFT, threshold >= 0.0).astype(bool),
        left=_joined(parsed.trees, "left_child", np.int64),
        right=_joined(parsed.trees, "right_child", np.int64),
        value=_joined(parsed.trees, "leaf_value", np.float64),
        # A leaf without training rows counts as one row.
        cover=np.maximum(_joined(parsed.trees, "leaf_count", np.float64, alone="1"), 1.0),
        start=0.0,
        n_features=parsed.n_features,
    )


def _joined(trees: list[dict[str, str]], key: str, dtype: type, alone: str = "") -> np.ndarray:
    """Join the numbers of all trees; `alone` replaces the empty line of a tree with a single leaf."""
    of_leaf = key in _OF_LEAVES
    lines = [tree[key] or alone if of_leaf else tree[key] for tree in trees if of_leaf or tree["num_leaves"] != "1"]
    # Parse all numbers of one kind at once; separate calls for each tree would dominate the time.
    return np.array(" ".join(lines).split(), dtype=dtype)


def _last_on_the_left(threshold: np.ndarray) -> np.ndarray:
    """Return the largest float32 that goes left at each threshold (float64)."""
    # Values close to 0 are treated as 0.
    below = np.nextafter(np.float32(-_ZERO), np.float32(-np.inf))
    near = (threshold >= -_ZERO) & (threshold < _ZERO)
    exact = np.where(near, np.where(threshold >= 0.0, _ZERO, below), threshold)
    with np.errstate(over="ignore"):
        limit = exact.astype(np.float32)
    return np.where(limit > exact, np.nextafter(limit, np.float32(-np.inf)), limit)


def _entries(block: str) -> dict[str, str]:
    pairs = [line.partition("=") for line in block.split("\n") if line]
    found = {key: value for key, _, value in pairs}
    _expect(len(found) == len(pairs), "a key occurs twice in one tree")
    return found


def _expect(true: bool, what: str) -> None:
    if not true:
        raise ValueError(f"The text of the trees is damaged: {what}.")
