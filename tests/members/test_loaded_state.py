"""What a member reads from its files is checked before anything is scored with it."""

import json
import random
import re

import numpy as np
import pytest

from gridlens.members import ElkanNotoMember, LightGBMMember, LinearMember, NNPUMember, PatchMember, RankedMember
from gridlens.stacking import AveragedMember


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 315)).astype(np.float32)
    X[:, 306:] = np.nan
    return X, (X[:, 20] > 0).astype(int)


def saved(member, folder):
    folder.mkdir(exist_ok=True)
    member.save(folder)
    return folder


def rewrite_json(path, change):
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


# Linear ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def linear(rows, tmp_path):
    return saved(LinearMember(turns=False).fit(*rows), tmp_path / "linear")


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("coef", lambda v: np.where(np.arange(315) == 7, np.nan, v), "must be finite"),
        ("coef", lambda v: np.where(np.arange(315) == 7, np.inf, v), "must be finite"),
        ("coef", lambda v: np.full(315, 1e308), "their sum too"),
        ("coef", lambda v: v[:314], "must hold 315 numbers"),
        ("coef", lambda v: v[None], "must hold 315 numbers"),
        ("coef", lambda v: v.astype("U5"), "must hold 315 numbers"),
        ("center", lambda v: v * np.nan, "must be finite"),
        ("scale", lambda v: v * np.nan, "must be above 0"),
        ("scale", np.zeros_like, "must be above 0"),
        ("intercept", lambda v: np.array(np.nan), "must be finite"),
    ],
)
def test_linear_takes_finite_columns_alone(linear, name, change, said):
    with np.load(linear / "weights.npz") as stored:
        arrays = dict(stored)
    np.savez(linear / "weights.npz", **{**arrays, name: change(arrays[name])})
    with pytest.raises(ValueError, match=said):
        LinearMember.load(linear)


def test_a_column_without_spread_is_allowed(linear, rows):
    assert np.isinf(LinearMember.load(linear).scale_[310])
    assert np.isfinite(LinearMember.load(linear).predict_proba(rows[0])).all()


# XGBoost --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def boosted(rows):
    pytest.importorskip("xgboost")
    from gridlens.members import XGBoostMember

    return XGBoostMember(n_trees=3, turns=False, min_child_weight=1.0).fit(*rows)


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
        (put("split_indices", 0, 400), "a column that is not there"),
        (put("split_indices", 0, 315), "a column that is not there"),
        (put("split_indices", 0, -1), "a column that is not there"),
        (put("split_indices", 0, "20"), "split_indices are not"),
        (put("split_indices", 0, 2**70), "split_indices are not"),
        (put("left_children", 0, 9999), "a child that is not there"),
        (put("left_children", 0, 0), "a child that is not there"),
        (put("left_children", 0, -1), "a split has one child"),
        (put("left_children", 0, -7), "a child that is not there"),
        (shared_child, "share a child"),
        (put("split_conditions", 0, float("nan")), "NaN is not a number"),
        (put("split_conditions", -1, float("inf")), "Infinity is not a number"),
        (put("split_conditions", -1, 1e39), "split_conditions are not"),
        (put("split_conditions", -1, 3e38), None),
        (put("split_type", 0, 1), "a split is of categories"),
        (put("sum_hessian", 0, 0.0), "sum_hessian is not above 0"),
        (put("split_indices", -1, 2**31 - 1), "a column that is not there"),
        (put("default_left", 0, -1), "default_left is not 0 or 1"),
        (put("parents", -1, 2**31 - 1), "names another parent"),
        (put("parents", 0, 1), "names another parent"),
        (lambda d: tree(d, 1).update(id=0), "its trees are not in order"),
        (cut("split_conditions"), "split_conditions are not"),
        (cut("default_left"), "default_left are not"),
        (cut("base_weights"), "base_weights are not"),
        (lambda d: tree(d).pop("left_children"), "KeyError 'left_children'"),
        (lambda d: tree(d)["tree_param"].update(num_nodes="2"), "are not 2 finite numbers"),
        (lambda d: tree(d)["tree_param"].update(num_nodes="0"), "a tree is not for these columns"),
        (lambda d: tree(d)["tree_param"].update(size_leaf_vector="2"), "a leaf has several values"),
        (lambda d: tree(d).update(categories=[1]), "a split is of categories"),
        (parameter("num_feature", "400"), "it is not for 315 columns"),
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
def test_xgboost_is_given_consistent_trees_alone(boosted, rows, tmp_path, change, said):
    folder = saved(boosted, tmp_path / "xgboost")
    rewrite_json(folder / "trees.json", change)
    if said is None:
        assert np.isfinite(type(boosted).load(folder).predict_proba(rows[0])).all()
        return
    with pytest.raises(ValueError, match=rf"The JSON of the trees is damaged: .*{re.escape(said)}"):
        type(boosted).load(folder)


def test_trees_that_are_accepted_can_be_walked(boosted, rows, tmp_path):
    """Values of the JSON are replaced one by one; what is not refused must score, and end no process."""
    folder = saved(boosted, tmp_path / "xgboost")
    text, rng, accepted = (folder / "trees.json").read_text(), random.Random(0), 0
    odd = [-1, 0, 1, 2, 400, 2**31 - 1, 2**31, 2**63, -1e30, 1e39, 0.5, True, None, "x", "1", [], {}]
    for _ in range(400):
        document = json.loads(text)
        spots, waiting = [], [document]
        while waiting:
            found = waiting.pop()
            keys = list(found) if isinstance(found, dict) else range(len(found))
            spots += [(found, key) for key in keys]
            waiting += [found[key] for key in keys if isinstance(found[key], dict | list)]
        found, key = rng.choice(spots)
        found[key] = rng.choice(odd)
        (folder / "trees.json").write_text(json.dumps(document))
        try:
            member = type(boosted).load(folder)
        except ValueError:
            continue
        accepted += 1
        assert np.isfinite(member.predict_proba(rows[0][:20])).all()
        assert np.isfinite(member.contributions(rows[0][:2])[0]).all()
    assert 0 < accepted < 200


@pytest.mark.parametrize("content", [b"", b"[]", b"[" * 100_000, b"\xff\xfe", b"{}"])
def test_content_that_is_no_json_of_trees_is_refused(boosted, tmp_path, content):
    folder = saved(boosted, tmp_path / "xgboost")
    (folder / "trees.json").write_bytes(content)
    with pytest.raises(ValueError):
        type(boosted).load(folder)


def test_xgboost_comes_back_to_the_bit(boosted, rows, tmp_path):
    again = type(boosted).load(saved(boosted, tmp_path / "xgboost"))
    np.testing.assert_array_equal(again.predict_proba(rows[0]), boosted.predict_proba(rows[0]))
    np.testing.assert_array_equal(again.contributions(rows[0])[0], boosted.contributions(rows[0])[0])


# LightGBM -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [LightGBMMember, PatchMember, RankedMember])
def test_trees_on_other_columns_are_refused(rows, tmp_path, kind):
    """A column beyond the rows would be read from memory that is not theirs."""
    folder = saved(kind(n_trees=3).fit(*rows), tmp_path / "member")
    kind.load(folder)
    text = (folder / "trees.txt").read_text()
    n = int(re.search(r"^max_feature_idx=(\d+)$", text, flags=re.M)[1]) + 1
    wider = re.sub(r"^max_feature_idx=.*$", f"max_feature_idx={n}", text, flags=re.M)
    for key in ("feature_names", "feature_infos"):
        wider = re.sub(rf"^({key}=.*)$", r"\1 [0:1]", wider, flags=re.M)
    (folder / "trees.txt").write_text(wider)
    with pytest.raises(ValueError, match=f"its columns are not {n}"):
        kind.load(folder)


@pytest.mark.parametrize("top_k", [0, -1, 10, 1.5, "1", None])
def test_a_number_of_patches_that_is_none_is_refused(rows, tmp_path, top_k):
    folder = saved(PatchMember(n_trees=3).fit(*rows), tmp_path / "patch")
    rewrite_json(folder / "parameters.json", lambda document: document.update(top_k=top_k))
    with pytest.raises(ValueError, match="'top_k' parameter must be from 1 to 9"):
        PatchMember.load(folder)


@pytest.mark.filterwarnings("ignore:The labelling propensity differs:UserWarning")
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0, -1.0, 1.5])
def test_fractions_beside_the_trees_are_checked(rows, tmp_path, value):
    members = [(ElkanNotoMember(n_trees=3, turns=False), "propensity_")]
    members.append((NNPUMember(prior=0.6, n_trees=3, turns=False), "class_prior_"))
    for member, name in members:
        folder = saved(member.fit(*rows), tmp_path / member.name)
        rewrite_json(folder / "state.json", lambda document, name=name: document.update({name: value}))
        with pytest.raises(ValueError, match=rf"The state must hold {name} above 0 and up to 1\. Got"):
            type(member).load(folder)


def test_a_class_prior_of_one_has_no_log_odds(rows, tmp_path):
    folder = saved(NNPUMember(prior=0.6, n_trees=3, turns=False).fit(*rows), tmp_path / "nnpu")
    rewrite_json(folder / "state.json", lambda document: document.update(class_prior_=1.0))
    with pytest.raises(ValueError, match="a class_prior_ below 1"):
        NNPUMember.load(folder)


# Averaged -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, -1, 2.5, True, "2", None])
def test_a_number_of_folds_that_is_none_is_refused(rows, tmp_path, n):
    member = LinearMember(turns=False).fit(*rows)
    folder = saved(AveragedMember([member, member]), tmp_path / "averaged")
    assert len(AveragedMember.load(folder, LinearMember).members) == 2
    rewrite_json(folder / "folds.json", lambda document: document.update(folds=n))
    with pytest.raises(ValueError, match="The number of folds must be an integer, 1 or more"):
        AveragedMember.load(folder, LinearMember)
