"""Tests of each feature's contribution to a member's log-odds: sums, reference values, turned rows."""

import numpy as np
import pytest
from scipy.special import logit
from sklearn.base import clone

from gridlens.features import FEATURE_NAMES, dihedral
from gridlens.features._symmetry import dihedral_columns
from gridlens.members import (
    ElkanNotoMember,
    LightGBMMember,
    LinearMember,
    NNPUMember,
    PatchMember,
    RankedMember,
    XGBoostMember,
)
from gridlens.members._ranked import rank_patches
from gridlens.stacking import AveragedMember

SMALL = {"n_estimators": 25, "min_child_samples": 20}
EVERY = [
    LightGBMMember(**SMALL),
    LightGBMMember(**SMALL, turns=False),
    XGBoostMember(n_estimators=25, min_child_weight=2.0),
    PatchMember(**SMALL),
    PatchMember(**SMALL, top_k=3),
    RankedMember(**SMALL),
    NNPUMember(**SMALL, class_prior=0.6),
    ElkanNotoMember(**SMALL, cv=2),
    LinearMember(),
    LinearMember(turns=False),
]
POSITION = [k for k, name in enumerate(FEATURE_NAMES) if "_position_" in name]


def rows(n, seed):
    """Return rows as extracted, with constant position flags and 5 % unknown numbers, and their labels."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, len(FEATURE_NAMES))).astype(np.float32)
    y = (X[:, FEATURE_NAMES.index("patch0_arcness")] + X[:, FEATURE_NAMES.index("patch4_mean_g")] > 0).astype(int)
    X[rng.random(X.shape) < 0.05] = np.nan
    for k in range(9):
        X[:, k * 34 + 25 : k * 34 + 34] = np.eye(9)[k]
        X[:, FEATURE_NAMES.index(f"patch{k}_bcg_distance")] = 21.0
    X[:, 306:] = np.nan
    return X, y


@pytest.fixture(scope="module")
def fitted():
    X, y = rows(500, seed=0)
    return {str(k): clone(member).fit(X, y) for k, member in enumerate(EVERY)}


@pytest.fixture(scope="module")
def X():
    return rows(1000, seed=1)[0]


@pytest.mark.slow
@pytest.mark.parametrize("k", range(len(EVERY)), ids=[f"{m.name}-{k}" for k, m in enumerate(EVERY)])
def test_base_and_contributions_add_up_to_the_log_odds(fitted, X, k):
    member = fitted[str(k)]
    values, base = member.contributions(X)
    assert values.shape == X.shape
    assert isinstance(base, float)
    np.testing.assert_allclose(base + values.sum(axis=1), logit(member.predict_proba(X)[:, 1]), atol=1e-4)
    # Features that determine the labels contribute; features that are never known do not.
    assert np.abs(values[:, :306]).max() > 0.01
    assert not values[:, 306:].any()
    if member.name != "patch":
        assert not values[:, POSITION].any()


@pytest.mark.parametrize("k", [0, 3, 5, 8])
def test_rejected_rows_and_empty_input(fitted, X, k):
    member = fitted[str(k)]
    broken = X[:5].copy()
    broken[2] = np.nan
    values, base = member.contributions(broken)
    assert np.isnan(values[2]).all()
    np.testing.assert_array_equal(values[[0, 1, 3, 4]], member.contributions(X[[0, 1, 3, 4]])[0])
    none, same = member.contributions(X[:0])
    assert none.shape == (0, 315)
    assert same == base


@pytest.mark.parametrize("k", [1, 2])
def test_contributions_match_the_shap_package(fitted, X, k):
    shap = pytest.importorskip("shap")
    member = clone(EVERY[k]).set_params(turns=False).fit(*rows(500, seed=0))
    explainer = shap.TreeExplainer(member.booster())
    values, base = member.contributions(X[:200])
    np.testing.assert_allclose(values, explainer.shap_values(X[:200]), atol=1e-5)
    assert base == pytest.approx(float(np.ravel(explainer.expected_value)[-1]), abs=1e-5)


def test_linear_contributions_match_the_shap_package(fitted, X):
    shap = pytest.importorskip("shap")
    member = fitted["9"]
    scaled = member._scaled(X[:50])
    reference = shap.LinearExplainer((member.coef_, member.intercept_), np.zeros((1, 315)))
    np.testing.assert_allclose(member.contributions(X[:50])[0], reference.shap_values(scaled), atol=1e-9)


def test_contributions_of_turned_rows_return_to_their_columns(fitted, X):
    """Each column is the mean of LightGBM's own contributions for the eight versions."""
    member, few = fitted["0"], X[:20]
    booster = member.booster()
    total = np.zeros(few.shape)
    names = {name: k for k, name in enumerate(FEATURE_NAMES)}
    slots = np.arange(9).reshape(3, 3)
    for k, version in enumerate(dihedral(few)):
        own = booster.predict(version, pred_contrib=True)
        moved = np.rot90(slots[:, ::-1] if k >= 4 else slots, k % 4).ravel()
        for name, column in names.items():
            if not name.startswith("patch") or "_position_" in name:
                total[:, column] += own[:, column]
            else:
                patch, rest = int(name[5]), name[7:]
                total[:, names[f"patch{moved[patch]}_{rest}"]] += own[:, column]
    np.testing.assert_allclose(member.contributions(few)[0], total / 8.0, atol=1e-12)


def test_columns_of_versions_map_to_their_source(X):
    angles = [k for k, name in enumerate(FEATURE_NAMES) if name.endswith("bcg_angle")]
    for version, source in zip(dihedral(X[:3]), dihedral_columns(), strict=True):
        assert sorted(source) == list(range(315))
        kept = np.setdiff1d(np.arange(315), angles)
        np.testing.assert_array_equal(version[:, kept], X[:3][:, source[kept]])


def test_only_the_columns_of_the_best_patch_contribute(fitted, X):
    member = fitted["3"]
    values = member.contributions(X)[0][:, :306].reshape(-1, 9, 34)
    best = member.patch_log_odds(X).argmax(axis=1)
    assert (np.abs(values).sum(axis=2).argmax(axis=1) == best).all()
    assert ((np.abs(values).sum(axis=2) > 0).sum(axis=1) == 1).all()
    # Only the flag of a patch's own position contributes.
    flags = values[:, :, 25:]
    for i in range(20):
        assert not flags[i][~np.eye(9, dtype=bool)].any()


def test_contributions_of_ranked_patches_return_to_their_patch(fitted, X):
    member = fitted["5"]
    own = member.booster().predict(rank_patches(X[:50]), pred_contrib=True)
    values = member.contributions(X[:50])[0]
    np.testing.assert_allclose(values.sum(axis=1), own[:, :-1].sum(axis=1), atol=1e-10)
    # The contribution of a ranked number is in the column of the patch that it came from.
    for i in range(5):
        ranked = rank_patches(X[i : i + 1])[0]
        heaviest = int(np.abs(own[i, :216]).argmax())
        name = f"_{[n for n in FEATURE_NAMES[:25] if 'bcg_angle' not in n][heaviest % 24].split('_', 1)[1]}"
        places = [
            k
            for k, full in enumerate(FEATURE_NAMES[:306])
            if full[6:] == name and np.array_equal(X[i, k], ranked[heaviest], equal_nan=True)
        ]
        assert any(np.isclose(values[i, k], own[i, heaviest], atol=1e-10) for k in places)


def test_averaged_members_average_the_contributions(X):
    data = rows(500, seed=0)
    members = [LightGBMMember(**SMALL, turns=False, random_state=k).fit(*data) for k in range(3)]
    averaged = AveragedMember(members)
    values, base = averaged.contributions(X)
    np.testing.assert_allclose(base + values.sum(axis=1), logit(averaged.predict_proba(X)[:, 1]), atol=1e-8)
    assert not hasattr(AveragedMember([object.__new__(_Silent)]), "contributions")


class _Silent:
    name = "silent"
    consumes = "features"
