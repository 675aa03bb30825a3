"""Tests of best-bin estimation: a plain loop, ties, weights, and the bound."""

from math import log, sqrt

import numpy as np
import pytest

from gridlens.pu._best_bin import TopBins


def by_loop(positive, unlabelled):
    """Apply Algorithm 1 literally, with every score as a threshold; return the threshold, the ratio and its bounds."""
    e_u, e_p = (sqrt(log(4 / 0.1) / (2 * len(x))) for x in (unlabelled, positive))
    best = None
    for c in sorted(set(positive) | set(unlabelled)):
        q_p = sum(x >= c for x in positive) / len(positive)
        q_u = sum(x >= c for x in unlabelled) / len(unlabelled)
        if q_p > 0:
            bound = q_u / q_p + 1.01 / q_p * (e_u + e_p)
            if best is None or bound < best[0] - 1e-12:
                best = (bound, c, q_u / q_p, (q_u - e_u) / (q_p + e_p), (q_u + e_u) / (q_p - e_p))
    return best[1:]


def test_ten_scores_by_hand():
    # At a threshold of 0.6, the bin holds all 4 positives and 2 of 6 unlabelled rows, a ratio of 1/3. Bins with fewer
    # positives have a higher bound, because the errors 0.679 + 0.554 are divided by q_p.
    best = TopBins(np.array([0.9, 0.8, 0.7, 0.6]), np.array([0.95, 0.65, 0.5, 0.4, 0.2, 0.1])).best()
    assert best.threshold == 0.6
    assert best.value == pytest.approx(1 / 3)
    # e_u = 0.554 exceeds q_u, so the lower bound is 0; the upper one, (1/3 + 0.554) / (1 - 0.679), exceeds 1.
    assert (best.low, best.high) == (0.0, 1.0)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("digits", [1, 8])
def test_matches_a_plain_loop_with_and_without_ties(seed, digits):
    rng = np.random.default_rng(seed)
    positive = rng.normal(2, 1, 60).round(digits)
    unlabelled = np.concatenate([rng.normal(2, 1, 80), rng.normal(0, 1, 120)]).round(digits)
    best = TopBins(positive, unlabelled).best()
    threshold, value, low, high = by_loop(positive.tolist(), unlabelled.tolist())
    # Thresholds at unlabelled scores between two positives bin the same positives; the loop tries them first.
    assert best.value == pytest.approx(value, rel=1e-12)
    assert best.threshold >= threshold
    assert best.low == pytest.approx(max(low, 0), rel=1e-12)
    assert best.high == pytest.approx(min(high, 1), rel=1e-12)


def test_integer_weights_match_repeated_rows():
    rng = np.random.default_rng(1)
    positive, unlabelled = rng.normal(2, 1, 50).round(1), rng.normal(0.5, 1.2, 200).round(1)
    w_p, w_u = rng.integers(0, 4, 50), rng.integers(0, 4, 200)
    weighted = TopBins(positive, unlabelled).best(w_p.astype(float), w_u.astype(float))
    repeated = TopBins(np.repeat(positive, w_p), np.repeat(unlabelled, w_u)).best()
    np.testing.assert_allclose(weighted, repeated, rtol=1e-12)


def test_estimate_is_invariant_under_increasing_maps():
    rng = np.random.default_rng(2)
    positive, unlabelled = rng.normal(2, 1, 50), rng.normal(0.5, 1.2, 200)
    plain, mapped = TopBins(positive, unlabelled).best(), TopBins(np.exp(positive), np.exp(unlabelled)).best()
    assert plain[1:] == mapped[1:]


def test_upper_bound_holds_at_its_confidence():
    # With classes 4 apart, the bias is small and the estimate is often below the truth, unlike the bound.
    share, below, missed = 0.2, 0, 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        unlabelled = rng.normal(size=1000) + 4 * (rng.random(1000) < share)
        best = TopBins(rng.normal(4, 1, 200), unlabelled).best()
        below += best.value < share
        missed += best.high < share
    assert below > 40
    assert missed <= 20
