"""Tests that the files of a member are checked before it scores anything."""

import json
import re

import numpy as np
import pytest
from bundles import downgrade_member

from gridlens.members import (
    ElkanNotoMember,
    LightGBMMember,
    LinearMember,
    NNPUMember,
    PatchMember,
    RankedMember,
    XGBoostMember,
)
from gridlens.stacking import AveragedMember
from gridlens.trees import Trees


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
        ("coef", lambda v: v[:314], "must contain 315 numbers"),
        ("coef", lambda v: v[None], "in at most one dimension"),
        ("coef", lambda v: v.astype("U5"), "an array must contain numbers"),
        ("coef", lambda v: v.astype(object), "an array must contain numbers"),
        ("center", lambda v: v * np.nan, "must be finite"),
        ("scale", lambda v: v * np.nan, "must be above 0"),
        ("scale", np.zeros_like, "must be above 0"),
        ("intercept", lambda v: np.array(np.nan), "must be finite"),
    ],
)
def test_linear_requires_finite_columns(linear, name, change, said):
    with np.load(linear / "weights.npz") as stored:
        arrays = dict(stored)
    np.savez(linear / "weights.npz", **{**arrays, name: change(arrays[name])})
    with pytest.raises(ValueError, match=said):
        LinearMember.load(linear)


def test_a_column_without_spread_is_allowed(linear, rows):
    assert np.isinf(LinearMember.load(linear).scale_[310])
    assert np.isfinite(LinearMember.load(linear).predict_proba(rows[0])).all()


# Trees ----------------------------------------------------------------------------------------------------------------


def other_columns(folder):
    """Return the trees of a member with one more column."""
    trees = Trees.load(folder / "trees.npz")
    names = ("first", "feature", "threshold", "nan_left", "left", "right", "value", "cover", "start")
    arrays = {name: getattr(trees, name) for name in names}
    return Trees(**arrays, n_features=trees.n_features + 1)


@pytest.mark.parametrize("kind", [LightGBMMember, PatchMember, RankedMember])
def test_trees_on_other_columns_are_refused(rows, tmp_path, kind):
    folder = saved(kind(n_estimators=3).fit(*rows), tmp_path / "member")
    n = kind.load(folder).trees_.n_features
    other_columns(folder).save(folder / "trees.npz")
    with pytest.raises(ValueError, match=rf"must be grown on {n} columns\. Got {n + 1} instead"):
        kind.load(folder)


@pytest.mark.parametrize("kind", [LightGBMMember, PatchMember])
def test_text_on_other_columns_is_refused(rows, tmp_path, kind):
    """In files of version 0.1, which have no arrays, the text is checked."""
    folder = saved(kind(n_estimators=3).fit(*rows), tmp_path / "member")
    downgrade_member(folder)
    kind.load(folder)
    text = (folder / "trees.txt").read_text()
    n = int(re.search(r"^max_feature_idx=(\d+)$", text, flags=re.M)[1]) + 1
    wider = re.sub(r"^max_feature_idx=.*$", f"max_feature_idx={n}", text, flags=re.M)
    for key in ("feature_names", "feature_infos"):
        wider = re.sub(rf"^({key}=.*)$", r"\1 [0:1]", wider, flags=re.M)
    (folder / "trees.txt").write_text(wider)
    with pytest.raises(ValueError, match=f"must be grown on {n} columns"):
        kind.load(folder)


@pytest.mark.filterwarnings("ignore:The labelling propensity differs:UserWarning")
@pytest.mark.parametrize(
    "member",
    [
        LightGBMMember(n_estimators=5, min_child_samples=20, subsample=0.7, extra_trees=False),
        PatchMember(n_estimators=5, min_child_samples=20, top_k=2),
        RankedMember(n_estimators=5, min_child_samples=20, colsample_bytree=0.3),
        NNPUMember(n_estimators=5, min_child_samples=20, class_prior=0.6),
        ElkanNotoMember(n_estimators=5, min_child_samples=20, turns=False, cv=2),
        XGBoostMember(n_estimators=5, min_child_weight=1.0),
    ],
    ids=lambda member: member.name,
)
def test_files_of_version_0_1_are_converted_exactly(member, rows, tmp_path):
    fitted = member.fit(*rows)
    folder = saved(fitted, tmp_path / member.name)
    downgrade_member(folder)
    again = type(member).load(folder)
    assert again.get_params() == member.get_params()
    assert again.trees_.equals(fitted.trees_)
    np.testing.assert_array_equal(again.predict_proba(rows[0]), fitted.predict_proba(rows[0]))
    np.testing.assert_array_equal(again.contributions(rows[0])[0], fitted.contributions(rows[0])[0])


@pytest.mark.parametrize("member", [LightGBMMember(n_estimators=5, turns=False), XGBoostMember(n_estimators=5)])
def test_a_booster_of_the_library_has_the_same_trees(member, rows, tmp_path):
    fitted = member.fit(*rows)
    folder = saved(fitted, tmp_path / "member")
    booster = type(member).load(folder).booster()
    assert type(booster).__module__.split(".")[0] == member.name
    raw = {"lightgbm": lambda: booster.predict(rows[0], raw_score=True)}
    raw["xgboost"] = lambda: booster.inplace_predict(rows[0], predict_type="margin")
    np.testing.assert_array_equal(raw[member.name](), fitted.trees_.raw_scores(rows[0]))


def test_a_text_of_other_trees_is_refused(rows, tmp_path):
    settings = {"n_estimators": 3, "min_child_samples": 5, "turns": False}
    folder, other = (saved(LightGBMMember(**settings, random_state=k).fit(*rows), tmp_path / str(k)) for k in (0, 1))
    (folder / "trees.txt").write_bytes((other / "trees.txt").read_bytes())
    member = LightGBMMember.load(folder)
    with pytest.raises(ValueError, match=r"The text of the trees of 'lightgbm' differs from the trees that it scores"):
        member.booster()
    (folder / "trees.txt").write_text("tree\nversion=v4\n")
    with pytest.raises(ValueError, match="text of the trees is damaged"):
        LightGBMMember.load(folder).booster()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_jobs", "2"),
        ("n_jobs", [1]),
        ("n_jobs", float("nan")),
        ("n_jobs", 1.5),
        ("n_jobs", True),
        ("turns", 1),
        ("turns", None),
        ("learning_rate", "0.1"),
        ("n_estimators", float("inf")),
        ("learning_rate", None),
        ("num_leaves", {}),
    ],
)
def test_parameters_of_another_type_are_refused(rows, tmp_path, name, value):
    """A number of threads of the wrong type would stall the scoring."""
    folder = saved(LightGBMMember(n_estimators=3, n_jobs=None, learning_rate=1).fit(*rows), tmp_path / "member")
    LightGBMMember.load(folder)
    rewrite_json(folder / "parameters.json", lambda document: document.update({name: value}))
    with pytest.raises(ValueError, match=rf"The parameter '{name}' in parameters.json must be of the type"):
        LightGBMMember.load(folder)


@pytest.mark.parametrize("top_k", [0, -1, 10, 1.5, "1", None])
def test_an_invalid_number_of_patches_is_refused(rows, tmp_path, top_k):
    folder = saved(PatchMember(n_estimators=3).fit(*rows), tmp_path / "patch")
    rewrite_json(folder / "parameters.json", lambda document: document.update(top_k=top_k))
    with pytest.raises(ValueError, match=r"'top_k' (parameter must be from 1 to 9|in parameters\.json must be)"):
        PatchMember.load(folder)


@pytest.mark.filterwarnings("ignore:The labelling propensity differs:UserWarning")
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0, -1.0, 1.5])
def test_fractions_stored_with_the_trees_are_checked(rows, tmp_path, value):
    members = [(ElkanNotoMember(n_estimators=3, turns=False), "propensity_")]
    members.append((NNPUMember(class_prior=0.6, n_estimators=3, turns=False), "class_prior_"))
    for member, name in members:
        folder = saved(member.fit(*rows), tmp_path / member.name)
        rewrite_json(folder / "state.json", lambda document, name=name: document.update({name: value}))
        with pytest.raises(ValueError, match=rf"The state must contain {name} above 0 and at most 1\. Got"):
            type(member).load(folder)


def test_a_class_prior_of_one_is_refused(rows, tmp_path):
    folder = saved(NNPUMember(class_prior=0.6, n_estimators=3, turns=False).fit(*rows), tmp_path / "nnpu")
    rewrite_json(folder / "state.json", lambda document: document.update(class_prior_=1.0))
    with pytest.raises(ValueError, match="a class_prior_ below 1"):
        NNPUMember.load(folder)


# Averaged -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, -1, 2.5, True, "2", None])
def test_an_invalid_number_of_folds_is_refused(rows, tmp_path, n):
    member = LinearMember(turns=False).fit(*rows)
    folder = saved(AveragedMember([member, member]), tmp_path / "averaged")
    assert len(AveragedMember.load(folder, LinearMember).members) == 2
    rewrite_json(folder / "folds.json", lambda document: document.update(folds=n))
    with pytest.raises(ValueError, match="The number of folds must be an integer of at least 1"):
        AveragedMember.load(folder, LinearMember)
