"""Tests of the labelling propensity from scores: plain loops, a known truth, errors, folds and weights."""

import numpy as np
import pytest
from scipy.special import expit, logit

from gridlens.pu._propensity import calibrated_scores, estimate_propensity


def estimate(scores, labels, folds, how, weight=None, groups=None):
    """Estimate the propensity as `ElkanNotoClassifier` does."""
    if how == "top":
        scores = calibrated_scores(scores, labels, folds, weight)
    return estimate_propensity(scores, labels, folds, how, weight, groups)


def oracle(separation, n, rng, c=0.4, prior=0.1):
    """Return the true P(s=1 | x) of two Gaussians, labels of a fraction c of the positives, and folds."""
    y = rng.random(n) < prior
    x = rng.normal(size=n) + separation * y
    p = expit(logit(prior) + separation * x - separation**2 / 2)
    return c * p, (y & (rng.random(n) < c)).astype(np.int64), np.arange(n) % 5


@pytest.mark.parametrize("n", [60, 400, 6000])
def test_top_is_the_quantile_of_the_positives(rng, n):
    scores, labels, folds = oracle(2.0, n, rng, prior=0.3)
    # Rounded scores tie, and ties stay together.
    scores = np.round(scores, 2)
    found = estimate_propensity(scores, labels, folds, "top")
    assert found.value == np.quantile(scores[labels == 1], 0.85, method="inverted_cdf")
    above = scores >= found.value
    share = labels[above].mean()
    assert found.error == pytest.approx(np.sqrt(share * (1 - share) / above.sum()))
    assert found.folds == pytest.approx([labels[above & (folds == k)].mean() for k in range(5)], nan_ok=True)


def test_calibrated_scores_are_steps_fitted_on_other_folds(rng):
    scores, labels, folds = oracle(3.0, 3000, rng)
    noisy = scores + rng.normal(scale=0.1, size=3000)
    found = calibrated_scores(noisy, labels, folds)
    # The steps average out the noise, and are close to the truth.
    assert np.abs(found - scores).mean() < 0.4 * np.abs(noisy - scores).mean()
    for k in range(5):
        held = folds == k
        other = np.where(held, 1 - labels, labels)
        np.testing.assert_array_equal(found[held], calibrated_scores(noisy, other, folds)[held])


def test_mean_is_taken_over_the_labelled_positives():
    scores = np.array([0.2, 0.4, 0.9, 0.1])
    found = estimate_propensity(scores, np.array([1, 1, 0, 0]), np.array([0, 1, 0, 1]), "mean")
    assert found.value == pytest.approx(0.3)
    assert found.folds == pytest.approx([0.2, 0.4])
    assert found.spread == pytest.approx(0.2 / 0.3)
    assert found.error == pytest.approx(np.hypot(0.1, 0.1) / 2)


@pytest.mark.parametrize(("separation", "least"), [(1.0, 0.25), (2.0, 0.7), (3.0, 0.9), (4.0, 0.95)])
def test_mean_is_biased_low_by_the_overlap_and_top_by_less(rng, separation, least):
    c = 0.4
    found = {"mean": [], "top": []}
    expected = []
    for _ in range(20):
        scores, labels, folds = oracle(separation, 20_000, rng, c)
        expected.append(scores[labels == 1].mean() / c)
        for how, ratios in found.items():
            ratios.append(estimate(scores, labels, folds, how).value / c)
    mean, top = np.mean(found["mean"]), np.mean(found["top"])
    # The mean estimates c times the mean of P(y=1 | x) over the positives, even from exact scores.
    assert mean == pytest.approx(np.mean(expected))
    assert mean < 0.95
    assert least < top < 1.05
    assert 1.0 - mean > 2.0 * abs(1.0 - top) or separation == 1.0
    assert top > 1.4 * mean or separation > 2.0


def test_top_depends_only_on_the_order_of_the_scores(rng):
    scores, labels, folds = oracle(3.0, 5000, rng)
    first, other = (estimate(g, labels, folds, "top") for g in (scores, scores**3 / 7))
    assert first.value == pytest.approx(other.value, rel=0.03)


@pytest.mark.slow
@pytest.mark.parametrize(("how", "least", "most"), [("mean", 0.9, 1.1), ("top", 0.7, 1.5)])
def test_the_error_is_the_spread_over_samples(rng, how, least, most):
    found = [estimate(*oracle(4.0, 8000, rng), how) for _ in range(200)]
    told = np.mean([one.error for one in found]) / np.std([one.value for one in found])
    assert least < told < most


@pytest.mark.parametrize("how", ["mean", "top"])
def test_copies_in_a_group_add_no_information(rng, how):
    scores, labels, folds = oracle(4.0, 3000, rng)
    groups = np.arange(3000)
    alone = [estimate(scores, labels, folds, how, groups=g).error for g in (groups, None)]
    assert alone[0] == pytest.approx(alone[1])
    copies = [np.repeat(a, 4) for a in (scores, labels, folds)]
    grouped = estimate(*copies, how, groups=np.repeat(groups, 4))
    naive = estimate(*copies, how)
    assert grouped.error == pytest.approx(2.0 * naive.error, rel=0.01)
    assert grouped.value == naive.value


@pytest.mark.parametrize("how", ["mean", "top"])
def test_scaled_and_zero_weights(rng, how):
    scores, labels, folds = oracle(3.0, 4000, rng)
    plain = estimate(scores, labels, folds, how)
    scaled = estimate(scores, labels, folds, how, np.full(4000, 7.0))
    assert scaled.value == pytest.approx(plain.value)
    assert scaled.error == pytest.approx(plain.error)
    # Rows of weight 0 count as absent, even if they are labelled.
    more = (
        np.concatenate([scores, rng.random(500)]),
        np.append(labels, rng.integers(0, 2, 500)),
        np.append(folds, [0] * 500),
    )
    absent = estimate(*more, how, np.repeat([1.0, 0.0], [4000, 500]))
    assert absent.value == pytest.approx(plain.value)
    assert absent.folds == pytest.approx(plain.folds, nan_ok=True)


def test_tripling_labelled_weights_matches_tripling_labelled_rows(rng):
    scores, labels, folds = oracle(3.0, 4000, rng)
    plain = estimate(scores, labels, folds, "top").value
    heavy = estimate(scores, labels, folds, "top", np.where(labels == 1, 3.0, 1.0)).value
    assert heavy == pytest.approx(3 * plain / (1 + 2 * plain), rel=0.15)


def test_folds_without_a_row_at_the_top_are_omitted():
    scores = np.repeat([0.5, 0.1], [40, 60])
    labels = (np.arange(100) < 20).astype(np.int64)
    folds = np.where(scores > 0.4, np.arange(100) % 2, 2)
    found = estimate_propensity(scores, labels, folds, "top")
    assert found.value == 0.5
    assert found.folds.tolist() == pytest.approx([0.5, 0.5, np.nan], nan_ok=True)
    assert found.spread == 0.0
    alone = estimate_propensity(scores, labels, np.where(scores > 0.4, 0, 1), "top")
    assert np.isnan(alone.spread)
