"""Tests of the contract of all built-in members, and of the specifics of the small ones."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from gridlens import members
from gridlens.errors import GridlensError
from gridlens.features import FEATURE_NAMES, dihedral
from gridlens.features._candidates import arc_scores
from gridlens.members import (
    ElkanNotoMember,
    LightGBMMember,
    LinearMember,
    NNPUMember,
    PatchMember,
    RankedMember,
    XGBoostMember,
)
from gridlens.members._patch import expected_einstein_radius
from gridlens.members._ranked import rank_patches
from gridlens.stacking import list_members
from gridlens.stacking._registry import member_class
from gridlens.testing import check_member

SMALL = {"n_estimators": 10, "turns": False}
EVERY = [
    LightGBMMember(**SMALL),
    XGBoostMember(**SMALL),
    XGBoostMember(n_estimators=10),
    RankedMember(n_estimators=10),
    PatchMember(n_estimators=10, top_k=2),
    LinearMember(),
    LinearMember(turns=False),
    NNPUMember(**SMALL),
    ElkanNotoMember(**SMALL, cv=2),
]


def column(patch, name):
    return FEATURE_NAMES.index(f"patch{patch}_{name}")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def rows_of_arcs(rng, n=600):
    """Return rows with an arc 15 arcsec out in a random patch, stronger and more tangential in lenses; and labels."""
    X = rng.normal(size=(n, 315)).astype(np.float32)
    y = np.arange(n) % 2
    for k in range(9):
        X[:, column(k, "position_0") : column(k, "position_8") + 1] = np.eye(9)[k]
        X[:, column(k, "arcness") : column(k, "arc_snr") + 1] = 0.0
        X[:, column(k, "bcg_distance")] = [30.0, 21.0, 30.0, 21.0, 0.0, 21.0, 30.0, 21.0, 30.0][k]
    X[:, 306:] = np.nan
    for i, patch in enumerate(rng.integers(0, 9, n)):
        X[i, column(patch, "arcness")] = 8.0 + rng.normal() if y[i] else 4.0 + rng.normal()
        X[i, column(patch, "elongation")] = 3.0
        X[i, column(patch, "tangentiality")] = 0.9 if y[i] else 0.5
        X[i, column(patch, "arc_distance")] = 15.0
    return X, y


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The labelling propensity differs:UserWarning")
@pytest.mark.parametrize("member", EVERY, ids=lambda member: f"{member.name}-{member.get_params().get('turns', '')}")
def test_every_member_keeps_the_contract(member):
    check_member(member)


def test_every_built_in_member_is_tested():
    built_in = {vars(members)[name].name for name in members.__all__ if name.endswith("Member")}
    assert built_in - {"polar"} == {member.name for member in EVERY}  # tested in `test_polar.py`


@pytest.mark.parametrize("kind", [RankedMember, PatchMember])
def test_an_arc_is_found_in_a_patch_without_training_arcs(kind, rng):
    X, y = rows_of_arcs(rng, 1200)
    here = np.isin(arc_scores(X).argmax(axis=1), [0, 1, 3])
    p = kind(n_estimators=60).fit(X[here], y[here]).predict_proba(X[~here])[:, 1]
    assert roc_auc_score(y[~here], p) > 0.9


@pytest.mark.parametrize("kind", [RankedMember, PatchMember])
def test_turns_change_nothing(kind, rng):
    X, y = rows_of_arcs(rng)
    X[:, [column(k, "bcg_angle") for k in range(9)]] = rng.uniform(-3.1, 3.1, size=(len(X), 9))
    X[:, column(4, "bcg_angle")] = 0.0  # The central patch contains the BCG, so it has no direction.
    fitted = kind(n_estimators=20).fit(X, y)
    scores = [fitted.predict_proba(version)[:, 1] for version in dihedral(X)]
    for other in scores[1:]:
        # A folded angle may differ in its last digit, and so cross a threshold.
        assert np.isclose(other, scores[0], rtol=1e-6).mean() > 0.99


def test_patches_are_ranked_by_their_candidates_then_by_edges(rng):
    X = np.zeros((1, 315), np.float32)
    for patch, arcness in ((2, 5.0), (7, 9.0)):
        X[0, [column(patch, "arcness"), column(patch, "elongation"), column(patch, "arc_distance")]] = arcness, 2, 15
    X[0, [column(k, "edge_density") for k in range(9)]] = np.linspace(0.1, 0.9, 9)
    ranked = rank_patches(X)
    assert ranked.shape == (1, 226)
    assert ranked[0, 13 : 13 + 9 * 24 : 24].tolist() == [9.0, 5.0, 0, 0, 0, 0, 0, 0, 0]
    np.testing.assert_allclose(ranked[0, 8 : 9 * 24 : 24], [0.8, 0.3, 0.9, 0.7, 0.6, 0.5, 0.4, 0.2, 0.1])
    assert ranked[0, 216] == pytest.approx(9.0 * 0.2)
    assert np.isnan(rank_patches(np.full((1, 315), np.nan, np.float32))).all()


def test_patch_log_odds_locate_the_arc(rng):
    X, y = rows_of_arcs(rng, 1200)
    member = PatchMember(n_estimators=60).fit(X, y)
    where = arc_scores(X).argmax(axis=1)
    assert (member.patch_log_odds(X).argmax(axis=1) == where)[y == 1].mean() > 0.85
    assert member.patch_log_odds(X[:0]).shape == (0, 9)
    with pytest.raises(ValueError, match=r"'top_k' parameter must be from 1 to 9, all patches\. Got 0 instead"):
        PatchMember(top_k=0).fit(X, y)


def test_patches_near_the_expected_radius_count_more(rng):
    X, y = rows_of_arcs(rng, 1200)
    member = PatchMember(n_estimators=60, top_k=9).fit(X, y)
    far = X.copy()
    far[:, FEATURE_NAMES.index("richness")] = (
        171.0  # The expected radius is 30 arcsec, at the empty corners; the arcs are at 15.
    )
    lens = y == 1
    assert (member.predict_proba(far)[lens, 1] < member.predict_proba(X)[lens, 1]).mean() > 0.9


def test_einstein_radius_rises_with_richness():
    radius = expected_einstein_radius([10.0, 40.0, 80.0, 160.0, 1e4, np.nan, -1.0])
    np.testing.assert_allclose(radius, [5.0, 15 * 0.5**0.91, 15.0, 15 * 2**0.91, 40.0, 15.0, 15.0])


def test_linear_is_a_logistic_regression_on_scaled_columns(rng):
    X = rng.normal(size=(2000, 315)).astype(np.float32) * 3 + 7
    y = (X[:, 4] + rng.normal(size=2000) > 7).astype(int)
    member = LinearMember(C=1.0, turns=False).fit(X, y)
    low, middle, high = np.quantile(X.astype(float), [0.25, 0.5, 0.75], axis=0)
    scaled = np.clip((X - middle) / ((high - low) / 1.349), -5, 5)
    expected = LogisticRegression(C=1.0, max_iter=1000).fit(scaled, y).predict_proba(scaled)
    np.testing.assert_allclose(member.predict_proba(X), expected, atol=1e-4)
    # A linear score averaged over the turns is linear in the averaged row, so turned rows score the same.
    turned = LinearMember().fit(X, y)
    np.testing.assert_allclose(turned.predict_proba(dihedral(X[:50])[3]), turned.predict_proba(X[:50]), atol=0.02)


def test_linear_accepts_constant_missing_or_mostly_zero_columns(rng):
    X = rng.normal(size=(400, 315)).astype(np.float32)
    y = np.arange(400) % 2
    X[:, 20] = 3.0
    X[:, 21] = np.nan
    X[:, 22] = np.where((rng.random(400) < 0.2) & (y == 1), 4.0, 0.0)
    member = LinearMember(C=1.0, turns=False).fit(X, y)
    assert np.isinf(member.scale_[[20, 21]]).all()
    assert member.coef_[22] > 0.1
    assert np.isfinite(member.predict_proba(X)).all()


def test_a_member_whose_package_is_missing_says_what_to_install(monkeypatch):
    monkeypatch.setattr(XGBoostMember, "requires", ("no_such_module", "gridlens[xgboost]"))
    with pytest.raises(GridlensError, match=r"'xgboost' needs packages that are not installed: no_such"):
        member_class("xgboost")
    (listed,) = (member for member in list_members() if member.name == "xgboost")
    assert listed.status.endswith("Install them with `pip install 'gridlens[xgboost]'`.")
