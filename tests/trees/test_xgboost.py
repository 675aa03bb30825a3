"""Tests of reading XGBoost's JSON without XGBoost, and of checking it before XGBoost parses it."""

import contextlib
import json
import random
import re

import numpy as np
import pytest

from gridlens.trees import from_xgboost
from gridlens.trees._xgboost import xgboost_booster

xgboost = pytest.importorskip("xgboost")


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 315)).astype(np.float32)
    X[:, 306:] = np.nan
    return X, (X[:, 20] > 0).astype(int)


@pytest.fixture(scope="module")
def booster(rows):
    settings = {"objective": "binary:logistic", "min_child_weight": 1.0, "verbosity": 0}
    return xgboost.train(settings, xgboost.QuantileDMatrix(*rows), 3)


@pytest.fixture
def content(booster):
    return bytes(booster.save_raw("json"))


def changed(content, change):
    document = json.loads(content)
    change(document)
    return json.dumps(document).encode()


def tree(document, k=0):
    return document["learner"]["gradient_booster"]["model"]["trees"][k]


def put(name, place, value):
    def change(document):
        tree(document)[name][place] = value

    return change


def shared_child(document):
    tree(document)["right_children"][0] = tree(document)["left_children"][0]


def cut(name):
    return lambda document: tree(document)[name].pop()


def parameter(name, value):
    def change(document):
        document["learner"]["learner_model_param"][name] = value

    return change


def other(*path, value):
    def change(document):
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = value

    return change


MODEL = ("learner", "gradient_booster", "model")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put("split_indices", 0, 400), "a split is on a missing column"),
        (put("split_indices", 0, 315), "a split is on a missing column"),
        (put("split_indices", 0, -1), "a split is on a missing column"),
        (put("split_indices", 0, "20"), "split_indices does not contain"),
        (put("split_indices", 0, 2**70), "split_indices does not contain"),
        (put("left_children", 0, 9999), "a missing child"),
        (put("left_children", 0, 0), "a missing child"),
        (put("left_children", 0, -1), "a split has only one child"),
        (put("left_children", 0, -7), "a missing child"),
        (shared_child, "share a child"),
        (put("split_conditions", 0, float("nan")), "NaN is not a number"),
        (put("split_conditions", -1, float("inf")), "Infinity is not a number"),
        (put("split_conditions", -1, 1e39), "split_conditions does not contain"),
        (put("split_conditions", -1, 3e38), None),
        (put("split_type", 0, 1), "a split is categorical"),
        (put("sum_hessian", 0, 0.0), "sum_hessian is not above 0"),
        (put("split_indices", -1, 2**31 - 1), "a split is on a missing column"),
        (put("default_left", 0, -1), "default_left is not 0 or 1"),
        (put("parents", -1, 2**31 - 1), "names another parent"),
        (put("parents", 0, 1), "names another parent"),
        (lambda d: tree(d, 1).update(id=0), "its trees are not in order"),
        (cut("split_conditions"), "split_conditions does not contain"),
        (cut("default_left"), "default_left does not contain"),
        (cut("base_weights"), "base_weights does not contain"),
        (lambda d: tree(d).pop("left_children"), "KeyError 'left_children'"),
        (lambda d: tree(d)["tree_param"].update(num_nodes="2"), "does not contain 2 finite numbers"),
        (lambda d: tree(d)["tree_param"].update(num_nodes="0"), "a tree has another number of columns"),
        (lambda d: tree(d)["tree_param"].update(size_leaf_vector="2"), "a leaf has several values"),
        (lambda d: tree(d).update(categories=[1]), "a split is categorical"),
        (parameter("num_feature", "400"), "a tree has another number of columns"),
        (parameter("num_class", "3"), "it has several scores"),
        (parameter("base_score", "nan"), "base_score is not a probability"),
        (other("learner", "objective", "name", value="reg:squarederror"), "its objective is not"),
        (other("learner", "gradient_booster", "name", value="gblinear"), "its booster is not"),
        (other(*MODEL, "tree_info", value=[0, 0, 5]), "tree_info"),
        (other(*MODEL, "iteration_indptr", value=[0, 1, 2, 9]), "iteration_indptr"),
        (other(*MODEL, "gbtree_model_param", "num_trees", value="4"), "num_trees is not 3"),
        (other("learner", value=[]), "TypeError"),
    ],
)
def test_invalid_trees_are_refused(content, rows, change, said):
    content = changed(content, change)
    for read in (from_xgboost, xgboost_booster):
        if said is None:
            assert read(content)
            continue
        with pytest.raises(ValueError, match=rf"The JSON of the trees is damaged: .*{re.escape(said)}"):
            read(content)


def test_json_written_by_xgboost_is_read(booster, content, rows):
    again = xgboost_booster(content)
    np.testing.assert_array_equal(again.inplace_predict(rows[0]), booster.inplace_predict(rows[0]))
    assert from_xgboost(again).equals(from_xgboost(content))


def test_leaves_with_an_infinite_sum_are_refused(content):
    def change(document):
        for k in range(3):
            tree(document, k)["split_conditions"][-1] = 3e38

    with pytest.raises(ValueError, match="sum of the leaves is too large"):
        from_xgboost(changed(content, change))


def test_accepted_trees_can_be_scored(content, rows):
    """Replace one value of the JSON at a time; trees that are accepted must score, without crashing the process."""
    rng, accepted = random.Random(0), 0
    odd = [-1, 0, 1, 2, 400, 2**31 - 1, 2**31, 2**63, -1e30, 1e39, 0.5, True, None, "x", "1", [], {}]
    for _ in range(400):
        document = json.loads(content)
        spots, waiting = [], [document]
        while waiting:
            found = waiting.pop()
            keys = list(found) if isinstance(found, dict) else range(len(found))
            spots += [(found, key) for key in keys]
            waiting += [found[key] for key in keys if isinstance(found[key], dict | list)]
        found, key = rng.choice(spots)
        found[key] = rng.choice(odd)
        damaged = json.dumps(document).encode()
        try:
            trees = from_xgboost(damaged)
        except ValueError:
            continue
        accepted += 1
        assert np.isfinite(trees.raw_scores(rows[0][:20])).all()
        assert np.isfinite(trees.shap_values(rows[0][:2])).all()
        # XGBoost may still refuse it.
        with contextlib.suppress(ValueError):
            assert np.isfinite(xgboost_booster(damaged).inplace_predict(rows[0][:20])).all()
    assert 0 < accepted < 200


@pytest.mark.parametrize("content", [b"", b"[]", b"[" * 100_000, b"\xff\xfe", b"{}"])
def test_invalid_json_is_refused(content):
    with pytest.raises(ValueError):
        from_xgboost(content)
