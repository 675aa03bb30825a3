"""LightGBM's text format, checked before LightGBM sees it.

Its parser believes what it reads: a tree with a child that is not there reads memory that is not its own, one that is
its own ancestor never ends, a letter among numbers aborts the process, and so does a parameter that it does not know.
It is given the trees, every number of which was looked at, between a beginning and an end made here.
"""

import re
from typing import Any

import numpy as np

__all__ = ["checked_booster"]

_INTEGER = r"-?\d{1,9}"
# As LightGBM writes float64, the largest of which it cuts to 1e300.
_FLOAT = r"-?(?:\d{1,17}(?:\.\d{1,20})?(?:e(?:[+]?\d{1,2}|-\d{1,3}))?|1(?:\.0*1)?e[+]300)"
_INTEGERS = re.compile(rf"{_INTEGER}(?: {_INTEGER})*")
_FLOATS = re.compile(rf"{_FLOAT}(?: {_FLOAT})*")
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
# What must be there; a custom loss, for one, leaves no objective.
_OPTIONAL = {"objective"}
_ALONE = {"num_leaves": re.compile(r"\d{1,6}"), "num_cat": re.compile("0"), "is_linear": re.compile("0")}
# What a tree is walked by, an entry for each split, comes first.
_OF_SPLITS = {
    "split_feature": _INTEGERS,
    "decision_type": _INTEGERS,
    "left_child": _INTEGERS,
    "right_child": _INTEGERS,
    "threshold": _FLOATS,
    "split_gain": _FLOATS,
    "internal_value": _FLOATS,
    "internal_weight": _FLOATS,
    "internal_count": _INTEGERS,
}
_OF_LEAVES = {"leaf_value": _FLOATS, "leaf_weight": _FLOATS, "leaf_count": _INTEGERS}
_WALKED = tuple(_OF_SPLITS)[:4]
_CATEGORICAL = 1  # bit of decision_type
_END = "end of trees"
# LightGBM reads parameters of the training back, and dies of what it does not know; the member has its own.
_AFTER = f"{_END}\n\nfeature_importances:\n\nparameters:\n\nend of parameters\n\npandas_categorical:null\n"


def checked_booster(text: str, n_features: int) -> Any:
    """Return the booster of `text`: one score, by numerical splits on `n_features` columns.

    It scores to the bit as the one that was written, and knows nothing of how that one was trained.

    Raises
    ------
    ValueError
        The text is not that of such a booster.
    """
    import lightgbm

    return lightgbm.Booster(model_str=_checked(text, n_features))


def _checked(text: str, n_features: int) -> str:
    """`text` as LightGBM may see it."""
    first = text.find("\nTree=0\n") + 1
    _expect(text.isascii() and text.startswith("tree\n") and first > 0, "it is no LightGBM model")
    header = _entries(text[len("tree\n") : first])
    _expect(header.keys() <= _HEADER.keys(), "its header holds what is not known")
    for key, pattern in _HEADER.items():
        if key in header or key not in _OPTIONAL:
            _expect(pattern.fullmatch(header.get(key, "")) is not None, f"{key} is {header.get(key, '')[:40]!r}")
    _expect(int(header["max_feature_idx"]) == n_features - 1, f"its columns are not {n_features}")
    for key in ("feature_names", "feature_infos"):
        _expect(header[key].count(" ") + 1 == n_features, f"{key} are not of {n_features} columns")
    trees, place = [], first
    for k, size in enumerate(map(int, header["tree_sizes"].split(" "))):
        block = text[place : place + size]
        _expect(size > 0 and block.startswith(f"Tree={k}\n"), f"tree {k} is not where tree_sizes has it")
        trees.append(_checked_tree(_entries(block)))
        place += size
    _expect(text.startswith(_END, place), "the trees do not end where tree_sizes has it")
    _check_walks([tree for tree in trees if tree["num_leaves"] != "1"], n_features)
    before = "".join(f"{key}={value}\n" for key, value in header.items())
    return f"tree\n{before}\n{text[first:place]}{_AFTER}"


def _checked_tree(tree: dict[str, str]) -> dict[str, str]:
    """The tree, with as many numbers as it has leaves and splits, and nothing else."""
    for key, pattern in _ALONE.items():
        _expect(pattern.fullmatch(tree.get(key, "")) is not None, f"{key} is {tree.get(key, '')[:40]!r}")
    n = int(tree["num_leaves"])
    _expect(n > 0 and tree.keys() - {"Tree", "shrinkage"} <= {*_ALONE, *_OF_SPLITS, *_OF_LEAVES}, "it is no tree")
    _expect(re.fullmatch(_FLOAT, tree.get("shrinkage", "")) is not None, "shrinkage is no number")
    for patterns, count in ((_OF_SPLITS, n - 1), (_OF_LEAVES, n)):
        for key, pattern in patterns.items():
            values = tree.get(key)
            # A tree of one leaf leaves lines empty.
            if n == 1 and values == "" and key != "leaf_value":
                continue
            _expect(
                values is not None and values.count(" ") + 1 == count and pattern.fullmatch(values) is not None,
                f"{key} are not {count} finite numbers",
            )
    return tree


def _check_walks(trees: list[dict[str, str]], n_features: int) -> None:
    """All splits and leaves of a tree hang on its root, once each."""
    if not trees:
        return
    n_leaves = np.array([int(tree["num_leaves"]) for tree in trees])
    n_splits = n_leaves - 1
    feature, decision, left, right = (
        np.array(" ".join(tree[key] for tree in trees).split(" ")).astype(np.int64) for key in _WALKED
    )
    _expect(bool(((feature >= 0) & (feature < n_features)).all()), "a split is on a column that is not there")
    _expect(bool(((decision & _CATEGORICAL) == 0).all()), "a split is of categories")
    child = np.concatenate([left, right])
    parent = np.tile(np.concatenate([np.arange(n) for n in n_splits]), 2)
    tree_of = np.tile(np.repeat(np.arange(len(trees)), n_splits), 2)
    # A child split comes after its parent, which leaves no circles; leaf k is written as -k - 1.
    inner, leaf = child >= 0, ~child
    there = np.where(inner, (child > parent) & (child < n_splits[tree_of]), leaf < n_leaves[tree_of])
    _expect(bool(there.all()), "a split has a child that is not there")
    for chosen, place, sizes in ((inner, child, n_splits), (~inner, leaf, n_leaves)):
        first = np.cumsum(sizes) - sizes
        used = first[tree_of[chosen]] + place[chosen]
        _expect(len(np.unique(used)) == len(used), "two splits share a child")


def _entries(block: str) -> dict[str, str]:
    pairs = [line.partition("=") for line in block.split("\n") if line]
    found = {key: value for key, _, value in pairs}
    _expect(len(found) == len(pairs), "a name occurs twice in one tree")
    return found


def _expect(true: bool, what: str) -> None:
    if not true:
        raise ValueError(f"The text of the trees is damaged: {what}.")
