"""Tests of reading LightGBM's text without LightGBM, and of checking it before LightGBM parses it."""

import re

import lightgbm
import numpy as np
import pytest

from gridlens.trees import from_lightgbm
from gridlens.trees._lightgbm import lightgbm_booster


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 5)).astype(np.float32)
    X[::9, 1] = np.nan
    return X, (X[:, 0] + rng.normal(size=300) > 0).astype(int)


def grown(rows, **parameters):
    settings = {"objective": "binary", "verbosity": -1, "num_threads": 1, "min_data_in_leaf": 20, **parameters}
    return lightgbm.train(settings, lightgbm.Dataset(*rows), 6)


def grown_sizes(rows):
    return re.search(r"^tree_sizes=(.*)$", grown(rows).model_to_string(), flags=re.M)[1].split(" ")


def first(text, key, change):
    """Return `text` with the values of the first line of `key` changed."""
    return re.sub(
        rf"^{key}=(.*)$", lambda line: f"{key}={' '.join(change(line[1].split(' ')))}", text, count=1, flags=re.M
    )


def resized(text):
    """Return `text` with the sizes of its trees updated."""
    blocks = re.split(r"^(?=Tree=\d+\n|end of trees)", text, flags=re.M)[1:-1]
    return first(text, "tree_sizes", lambda _: [str(len(block)) for block in blocks])


@pytest.mark.parametrize("parameters", [{}, {"num_leaves": 2}, {"min_data_in_leaf": 1000}, {"objective": "l2"}])
def test_text_written_by_lightgbm_is_read(rows, parameters):
    """Reading works for all trees, including those with one leaf."""
    booster = grown(rows, **parameters)
    again = lightgbm_booster(booster.model_to_string())
    np.testing.assert_array_equal(again.predict(rows[0]), booster.predict(rows[0]))
    assert from_lightgbm(again).equals(from_lightgbm(booster.model_to_string()))


@pytest.mark.parametrize(
    ("key", "change", "said"),
    [
        ("left_child", lambda v: ["90", *v[1:]], "a missing child"),
        ("left_child", lambda v: ["-90", *v[1:]], "a missing child"),
        ("left_child", lambda v: ["0", *v[1:]], "a missing child"),
        ("left_child", lambda v: ["-999999999", *v[1:]], "a missing child"),
        ("right_child", lambda v: [*v[:-1], v[-2]], "share a child"),
        ("split_feature", lambda v: ["5", *v[1:]], "a column outside the 5"),
        ("split_feature", lambda v: v[1:], "does not contain"),
        ("leaf_value", lambda v: [*v, "1"], "does not contain"),
        ("leaf_value", lambda v: ["1e999", *v[1:]], "finite numbers"),
        ("leaf_value", lambda v: ["1.2.3", *v[1:]], "finite numbers"),
        ("threshold", lambda v: ["nan", *v[1:]], "does not contain"),
        ("decision_type", lambda v: ["1", *v[1:]], "categorical"),
        ("decision_type", lambda v: ["4", *v[1:]], "treats 0 as a missing value"),
        ("decision_type", lambda v: ["12", *v[1:]], "treats 0 as a missing value"),
        ("num_leaves", lambda v: ["999999999"], "num_leaves is '999999999'"),
        ("num_leaves", lambda v: ["0"], "it is not a tree"),
        ("num_leaves", lambda v: ["many"], "num_leaves is 'many'"),
        ("num_cat", lambda v: ["1"], "num_cat is '1'"),
        ("internal_value", lambda v: v[1:], "internal_value does not contain"),
        ("leaf_count", lambda v: [*v, "1"], "leaf_count does not contain"),
        ("max_feature_idx", lambda v: ["900000"], "feature_names does not have 900001 columns"),
        ("num_class", lambda v: ["3"], "num_class"),
        ("version", lambda v: ["v9"], "version"),
        ("split_gain", lambda v: ["x", *v[1:]], "split_gain does not contain"),
        ("shrinkage", lambda v: ["="], "shrinkage is not a number"),
        ("objective", lambda v: ["binary", "sigmoid"], "objective is"),
        ("label_index", lambda v: ["0\naverage_output"], "header contains"),
        ("is_linear", lambda v: ["0\nleaf_const=1"], "it is not a tree"),
    ],
)
def test_an_invalid_tree_is_refused(rows, key, change, said):
    text = resized(first(grown(rows).model_to_string(), key, change))
    for read in (from_lightgbm, lightgbm_booster):
        with pytest.raises(ValueError, match=rf"(text of the trees is damaged|trees cannot be used): .*{said}"):
            read(text)


def test_infinite_thresholds_are_read(rows):
    text = resized(first(grown(rows).model_to_string(), "threshold", lambda v: ["inf", "-inf", *v[2:]]))
    X = np.concatenate([rows[0], [[np.inf] * 5, [-np.inf] * 5, [np.nan] * 5]]).astype(np.float32)
    np.testing.assert_array_equal(from_lightgbm(text).raw_scores(X), lightgbm_booster(text).predict(X, raw_score=True))


@pytest.mark.parametrize("sizes", [["1"], ["x"], ["-5"], []])
def test_wrong_tree_sizes_are_refused(rows, sizes):
    text = first(grown(rows).model_to_string(), "tree_sizes", lambda v: sizes)
    with pytest.raises(ValueError, match="tree_sizes"):
        from_lightgbm(text)
    with pytest.raises(ValueError, match="end of the trees does not match tree_sizes"):
        from_lightgbm(first(text, "tree_sizes", lambda _: grown_sizes(rows)[:-1]))


def test_text_after_the_trees_is_not_read(rows):
    """The training parameters are not parsed, because LightGBM aborts for unknown ones."""
    booster = grown(rows)
    text = booster.model_to_string()
    text = text[: text.index("parameters:")] + "parameters:\n[nothing: 1]\n[num_"
    np.testing.assert_array_equal(lightgbm_booster(text).predict(rows[0]), booster.predict(rows[0]))


@pytest.mark.parametrize("text", ["", "tree\n", "tree\n\nTree=0\n", "Tree=0\n" * 3])
def test_invalid_text_is_refused(text):
    with pytest.raises(ValueError, match="text of the trees is damaged"):
        lightgbm_booster(text)
