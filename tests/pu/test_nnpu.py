"""Tests of boosted trees under the non-negative risk: mathematics, behaviour and error messages."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gridlens.pu import NNPULGBMClassifier
from gridlens.pu._risk import RISKS, descent, expectations, risk


def population(n, prior, propensity, separation, rng, d=4):
    """Return Gaussian rows, their classes, which positives are labelled, and the posterior."""
    y = rng.random(n) < prior
    X = rng.normal(size=(n, d))
    X[:, 0] += separation * y
    posterior = expit(np.log(prior / (1 - prior)) + separation * X[:, 0] - separation**2 / 2)
    return X, y, y & (rng.random(n) < propensity), posterior


def plain_risk(f, s, w, prior, scheme, kind):
    """Compute the risk in loops, as in the paper."""
    n_p = sum(wi for wi, si in zip(w, s, strict=True) if si)
    in_u = [(scheme == "single" and kind != "pn") or not si for si in s]
    n_u = sum(wi for wi, u in zip(w, in_u, strict=True) if u)
    p_plus = sum(wi * np.log1p(np.exp(-fi)) for wi, fi, si in zip(w, f, s, strict=True) if si) / n_p
    p_minus = sum(wi * np.log1p(np.exp(fi)) for wi, fi, si in zip(w, f, s, strict=True) if si) / n_p
    u_minus = sum(wi * np.log1p(np.exp(fi)) for wi, fi, u in zip(w, f, in_u, strict=True) if u) / n_u
    if kind == "pn":
        return prior * p_plus + (1 - prior) * u_minus
    second = u_minus - prior * p_minus
    return prior * p_plus + (max(0.0, second) if kind == "nnpu" else second)


@pytest.mark.parametrize("kind", RISKS)
@pytest.mark.parametrize("scheme", ["single", "separate"])
def test_the_risk_matches_the_paper(rng, kind, scheme):
    s, f, w = np.array([1, 0, 0, 1, 0, 0]), rng.normal(size=6), rng.uniform(0.5, 2, 6)
    rows = expectations(s, w, scheme, kind)
    assert risk(f, rows, 0.4, kind) == pytest.approx(plain_risk(f, s, w, 0.4, scheme, kind))
    # The second part of the risk is negative at these scores.
    f = np.where(s == 1, 6.0, -6.0)
    assert risk(f, rows, 0.4, kind) == pytest.approx(plain_risk(f, s, w, 0.4, scheme, kind))


@pytest.mark.parametrize("kind", RISKS)
@pytest.mark.parametrize("scheme", ["single", "separate"])
def test_the_gradient_matches_the_risk_and_the_curvature_is_an_upper_bound(rng, kind, scheme):
    s, f = (np.arange(40) < 8).astype(int), rng.normal(size=40)
    rows = expectations(s, rng.uniform(0.5, 2, 40), scheme, kind)
    gradient, curvature, corrected = descent(f, rows, 0.3, kind, 0.0, 1.0)
    assert not corrected
    assert (curvature > 0).all()
    for k in range(40):
        step = np.zeros(40)
        step[k] = 1e-5
        slope = (risk(f + step, rows, 0.3, kind) - risk(f - step, rows, 0.3, kind)) / 2e-5
        assert gradient[k] == pytest.approx(slope, abs=1e-9)
    # The surrogate touches the risk and lies above it nearby.
    for _ in range(50):
        step = rng.normal(scale=0.05, size=40)
        surrogate = risk(f, rows, 0.3, kind) + gradient @ step + 0.5 * 1.1 * curvature @ step**2
        assert risk(f + step, rows, 0.3, kind) <= surrogate + 1e-12


def test_a_negative_second_part_is_ascended(rng):
    s = (np.arange(40) < 8).astype(int)
    rows = expectations(s, None, "single", "nnpu")
    f = np.where(s == 1, 4.0, -5.0) + 0.1 * rng.normal(size=40)
    gradient, curvature, corrected = descent(f, rows, 0.4, "nnpu", 0.0, 0.5)
    assert corrected
    assert (curvature > 0).all()

    def second_part(scores):
        return risk(scores, rows, 0.4, "upu") - 0.4 * float(rows.positive @ np.logaddexp(0, -scores))

    for k in range(40):
        step = np.zeros(40)
        step[k] = 1e-5
        slope = (second_part(f + step) - second_part(f - step)) / 2e-5
        assert gradient[k] == pytest.approx(-0.5 * slope, abs=1e-9)
    assert second_part(f - 0.01 * gradient) > second_part(f)
    assert not descent(f, rows, 0.4, "nnpu", 10.0, 0.5)[2], "beta allows a negative part"
    assert not descent(f, rows, 0.4, "upu", 0.0, 0.5)[2]


@pytest.mark.parametrize(("scheme", "prior"), [("single", 0.3), ("separate", 0.3), ("single", 0.05)])
def test_probabilities_match_the_classes(rng, scheme, prior):
    X, y, s, _ = population(12_000, prior, 0.3, 2.5, rng)
    if scheme == "separate":
        positives = population(12_000, prior, 1.0, 2.5, rng)
        X, s = np.concatenate([X, positives[0][positives[2]][:800]]), np.repeat([0, 1], [12_000, 800])
    model = NNPULGBMClassifier(prior, scheme=scheme, random_state=0).fit(X, s)
    X, y, _, posterior = population(20_000, prior, 0.3, 2.5, rng)
    p = model.predict_proba(X)[:, 1]
    assert p.mean() == pytest.approx(prior, rel=0.2)
    assert np.abs(p - posterior).mean() < 0.35 * prior
    assert roc_auc_score(y, p) > roc_auc_score(y, posterior) - 0.02
    np.testing.assert_allclose(p, expit(model.decision_function(X)))


@pytest.mark.slow
def test_a_flexible_model_overfits_without_the_maximum():
    """As in the paper, the unbiased risk falls below zero and the error grows; the non-negative risk avoids both."""
    errors, risks = {"upu": [], "nnpu": []}, {"upu": [], "nnpu": []}
    for seed in range(5):
        rng = np.random.default_rng(seed)
        X, _, s, _ = population(3000, 0.5, 0.1, 2.0, rng, d=10)
        test = population(5000, 0.5, 0.1, 2.0, rng, d=10)
        for kind in errors:
            model = NNPULGBMClassifier(0.5, risk=kind, num_leaves=31, n_estimators=300, random_state=seed).fit(X, s)
            rows = expectations(s.astype(int), None, "single", kind)
            risks[kind].append(risk(model.decision_function(X), rows, 0.5, "upu"))
            p = model.predict_proba(test[0])[:, 1]
            errors[kind].append(-np.mean(np.where(test[1], np.log(p), np.log1p(-p))))
            assert (model.n_corrections_ > 0) == (kind == "nnpu")
    assert max(risks["upu"]) < -0.2
    assert min(risks["nnpu"]) > -0.05
    assert np.mean(errors["nnpu"]) < 0.6 * np.mean(errors["upu"])


def test_integer_weights_match_repeated_rows(rng):
    X, _, s, _ = population(1500, 0.3, 0.4, 2.0, rng)
    weight = rng.integers(1, 4, len(X))
    options = {"n_estimators": 40, "min_child_samples": 1, "random_state": 0}
    weighted = NNPULGBMClassifier(0.3, **options).fit(X, s, sample_weight=weight)
    repeated = NNPULGBMClassifier(0.3, **options).fit(np.repeat(X, weight, axis=0), np.repeat(s, weight))
    f, g = weighted.decision_function(X), repeated.decision_function(X)
    assert np.corrcoef(f, g)[0, 1] > 0.97
    plain = NNPULGBMClassifier(0.3, **options).fit(X, s)
    np.testing.assert_allclose(
        NNPULGBMClassifier(0.3, **options).fit(X, s, sample_weight=np.full(len(X), 7.0)).decision_function(X),
        plain.decision_function(X),
    )


def test_early_stopping_does_not_split_groups(rng):
    X, _, s, _ = population(4000, 0.3, 0.3, 2.0, rng)
    model = NNPULGBMClassifier(0.3, n_estimators=400, validation_fraction=0.2, early_stopping_rounds=20, random_state=0)
    model.fit(X, s, groups=np.arange(4000) // 5)
    assert 5 < model.n_iter_ < 400
    assert np.isfinite(model.validation_risk_)
    train, held = model._split(s.astype(int), np.arange(4000) // 5, 0)
    assert not set(train // 5) & set(held // 5)
    assert np.isnan(model.set_params(validation_fraction=0.0, n_estimators=5).fit(X, s).validation_risk_)
    assert model.n_iter_ == 5


def test_fits_are_reproducible_with_a_seed(rng):
    X, _, s, _ = population(1000, 0.3, 0.3, 2.0, rng)
    model = NNPULGBMClassifier(0.3, n_estimators=30, colsample_bytree=0.5, random_state=3)
    first = model.fit(X, s).decision_function(X)
    np.testing.assert_array_equal(clone(model).fit(X, s).decision_function(X), first)
    assert not np.array_equal(clone(model).set_params(random_state=4).fit(X, s).decision_function(X), first)


def test_in_a_pipeline_with_missing_values(rng):
    X, _, s, _ = population(1000, 0.3, 0.3, 3.0, rng)
    X[rng.random(X.shape) < 0.1] = np.nan
    model = make_pipeline(StandardScaler(), NNPULGBMClassifier(0.3, n_estimators=30, random_state=0)).fit(X, s)
    assert set(model.predict(X)) == {0, 1}


def test_minus_one_means_unlabelled(rng):
    X, _, s, _ = population(800, 0.3, 0.3, 3.0, rng)
    model = NNPULGBMClassifier(0.3, n_estimators=20, random_state=0)
    expected = model.fit(X, s).predict_proba(X)
    np.testing.assert_array_equal(model.fit(X, np.where(s, 1, -1)).predict_proba(X), expected)
    assert model.classes_.tolist() == [-1, 1]


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"class_prior": 0.0}, "'class_prior' parameter .* Got 0.0"),
        ({"class_prior": 1.0}, "'class_prior' parameter"),
        ({"class_prior": float("nan")}, "'class_prior' parameter"),
        ({"class_prior": "high"}, "'class_prior' parameter"),
        ({"class_prior": 0.01}, "must be at least the fraction of labelled rows, 0.1.*scheme='separate'"),
        ({"class_prior": 0.3, "risk": "zero"}, "'risk' parameter .*'nnpu', 'upu', 'pn'"),
        ({"class_prior": 0.3, "scheme": "both"}, "'scheme' parameter"),
        ({"class_prior": 0.3, "gamma": -1.0}, "'beta' and 'gamma' parameters"),
        ({"class_prior": 0.3, "validation_fraction": 0.6}, "'validation_fraction' parameter .* from 0 to 0.5. Got 0.6"),
        (
            {"class_prior": 0.3, "validation_fraction": 0.01},
            "'validation_fraction' parameter must not be larger than the number of",
        ),
    ],
)
def test_parameters_are_checked(rng, parameters, words):
    X, s = rng.normal(size=(100, 2)), np.arange(100) < 10
    with pytest.raises(ValueError, match=words):
        NNPULGBMClassifier(**parameters).fit(X, s)


@pytest.mark.parametrize("prior", [0.01, 0.3])
def test_separately_drawn_positives_do_not_limit_the_prior(rng, prior):
    # The columns are noise, so each row is positive with probability `prior`, however many rows are labelled.
    X, s = rng.normal(size=(100, 2)), np.arange(100) < 40
    model = NNPULGBMClassifier(prior, scheme="separate", n_estimators=5, random_state=0).fit(X, s)
    np.testing.assert_allclose(model.predict_proba(X)[:, 1], prior, rtol=0.2)
    with pytest.raises(ValueError, match=r"at least the fraction of labelled rows, 0\.4"):
        model.set_params(scheme="single").fit(X, s)


def test_the_prior_has_no_default():
    with pytest.raises(TypeError, match="prior"):
        NNPULGBMClassifier()
