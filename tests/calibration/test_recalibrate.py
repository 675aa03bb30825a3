"""Tests of matching the false-alarm rates of a pool, where the true odds are known."""

import json

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm

from gridlens.calibration import IsotonicCalibrator, shift_prior
from gridlens.calibration._recalibrate import (
    ClassScores,
    OddsMap,
    ScoreTail,
    even_log_odds,
    match_false_alarms,
    recalibrated_calibrator,
)

# Distance of two normal populations whose scores are true log-odds at even prevalence.
APART = 4.0
GRID = np.linspace(-4.0, 8.0, 241)


def drawn(n, lens, seed):
    return np.random.default_rng(seed).normal(APART / 2 if lens else -APART / 2, np.sqrt(APART), n)


@pytest.fixture(scope="module")
def home():
    scores = np.concatenate([drawn(40_000, False, 0), drawn(10_000, True, 1)])
    return ClassScores.of(scores, (np.arange(50_000) >= 40_000).astype(int))


def contaminated(clean, prevalence, seed):
    """Replace some rows of a pool by lenses, at a given prevalence."""
    lenses = round(prevalence * len(clean))
    return np.concatenate([clean[lenses:], drawn(lenses, True, seed)])


def test_a_tail_counts_the_rows_that_reach_a_score():
    values = np.array([3.0, 1.0, 2.0, 2.0, 2.0, 0.0])
    tail = ScoreTail.of(values)
    assert tail.scores.tolist() == [3.0, 2.0, 1.0, 0.0]
    assert tail.counts.tolist() == [1, 4, 5, 6]
    np.testing.assert_allclose(tail.rate([4.0, 3.0, 2.0, 0.0, -1.0]), [0.0, 1 / 6, 4 / 6, 1.0, 1.0])
    np.testing.assert_allclose(tail.reached_by(np.array([1 / 6, 4 / 6, 1.0])), [3.0, 2.0, 0.0])


def test_a_tail_is_short_and_close_to_its_sample(home):
    assert len(home.negative.scores) < 161
    rates = np.array([0.5, 0.1, 1e-2, 1e-3])
    # The score at a rate has the uncertainty of a rate estimated from 40,000 rows.
    np.testing.assert_allclose(home.negative.reached_by(rates), norm.isf(rates, -APART / 2, 2.0), atol=0.25)
    np.testing.assert_allclose(home.negative.rate(norm.isf(rates, -APART / 2, 2.0)), rates, rtol=0.35)


@pytest.mark.parametrize(("n", "most"), [(200, 0.4), (2000, 0.4), (20_000, 0.3)])
def test_a_pool_of_the_same_sky_does_not_change_the_odds(home, n, most):
    maps = [match_false_alarms(home, drawn(n, False, 100 + seed), 0.0) for seed in range(20)]
    shifts = np.array([odds.moved(GRID) - GRID for odds in maps])
    assert np.abs(shifts.mean(axis=0)).max() < 0.06
    assert np.abs(shifts).mean() < 0.05
    assert np.abs(shifts).max() < most
    assert np.mean([odds.ratio for odds in maps]) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("moved", [-1.0, 1.5])
def test_the_odds_move_half_of_the_way(home, moved):
    odds = match_false_alarms(home, drawn(40_000, False, 7) + moved, 0.0)
    shift = odds.moved(GRID) - GRID
    known = norm.sf(GRID, moved - APART / 2, 2.0) > 0.01
    np.testing.assert_allclose(shift[known], -moved / 2, atol=0.12)
    # Where few rows are left, their standard error shrinks the shift.
    assert ((shift / (-moved / 2) > 0.3) & (shift / (-moved / 2) < 1.3)).all()
    truth = norm.sf(0.0, moved - APART / 2, 2.0) / norm.sf(0.0, -APART / 2, 2.0)
    assert odds.ratio == pytest.approx(truth, rel=0.05)


@pytest.mark.parametrize("prevalence", [1e-3, 1e-2, 0.1])
@pytest.mark.parametrize("moved", [0.0, 0.5])
def test_lenses_in_the_pool_have_less_effect_than_another_clean_pool(home, prevalence, moved):
    def odds_of(pool, prevalence=0.0):
        return match_false_alarms(home, pool, prevalence).moved(GRID)

    corrected, naive, another = [], [], []
    for seed in range(5):
        clean = drawn(20_000, False, 10 + seed) + moved
        pool = contaminated(clean, prevalence, 50 + seed)
        expected = odds_of(clean)
        corrected.append(np.abs(odds_of(pool, prevalence) - expected).max())
        naive.append(np.abs(odds_of(pool) - expected).max())
        another.append(np.abs(odds_of(drawn(20_000, False, 90 + seed) + moved) - expected).max())
    assert np.mean(corrected) < np.mean(another)
    assert prevalence < 1e-2 or np.mean(naive) > 2.0 * np.mean(another)


@pytest.mark.parametrize("seed", range(6))
def test_the_order_survives_any_pool(home, seed):
    rng = np.random.default_rng(seed)
    pool = [
        np.zeros(300),
        rng.integers(0, 4, 500).astype(float),
        rng.standard_cauchy(400),
        np.concatenate([np.full(250, -5.0), np.full(50, 9.0)]),
        rng.normal(-30.0, 0.01, 1000),
        rng.uniform(-1e-9, 1e-9, 220),
    ][seed]
    odds = match_false_alarms(home, pool, 1e-3)
    moved = odds.moved(GRID)
    assert (np.diff(moved) > 0.49 * np.diff(GRID)).all()
    assert np.isfinite(moved).all()
    # Beyond the scores that the pool resolves, the odds are multiplied by a constant.
    assert np.ptp(odds.moved(np.array([50.0, 90.0])) - [50.0, 90.0]) < 1e-9


@pytest.fixture(scope="module")
def sample():
    rng = np.random.default_rng(3)
    y = (rng.random(5000) < 0.2).astype(int)
    return rng.normal(size=5000) + 2.0 * y, y


@pytest.mark.parametrize("options", [{}, {"strictly_increasing": False}, {"min_positives": 10_000}])
@pytest.mark.filterwarnings("ignore:.*are fewer than:UserWarning")
def test_a_calibrator_is_moved_with_its_intervals(sample, options):
    known = IsotonicCalibrator(**options).fit(*sample)
    odds = OddsMap(np.array([-2.0, 0.0, 3.0]), np.array([0.5, -0.4, -1.0]), 1.0)
    found = recalibrated_calibrator(known, 0.2, odds)
    x = np.linspace(-5.0, 8.0, 2001)
    expected = shift_prior(expit(odds.moved(even_log_odds(known.predict(x), 0.2))), 0.5, 0.2)
    np.testing.assert_allclose(found.predict(x), expected, atol=4e-3)
    low, high = found.predict_interval(x)
    assert ((low <= found.predict(x)) & (found.predict(x) <= high)).all()
    # The order of the scores is kept, and distinct scores stay distinct.
    order = np.argsort(known.predict(sample[0]), kind="stable")
    assert (np.diff(found.predict(sample[0])[order]) >= 0).all()
    assert len(np.unique(found.predict(sample[0]))) == len(np.unique(known.predict(sample[0])))
    again = IsotonicCalibrator.from_dict(json.loads(json.dumps(found.to_dict())))
    np.testing.assert_array_equal(again.predict(x), found.predict(x))


def test_a_zero_shift_does_not_change_a_calibrator(sample):
    known = IsotonicCalibrator().fit(*sample)
    found = recalibrated_calibrator(known, 0.2, OddsMap(np.zeros(1), np.zeros(1), 1.0))
    x = np.linspace(-5.0, 8.0, 501)
    np.testing.assert_allclose(found.predict(x), known.predict(x), rtol=1e-12)
    np.testing.assert_allclose(found.predict_interval(x), known.predict_interval(x), rtol=1e-9, atol=1e-15)


def test_class_scores_round_trip_exactly(home):
    again = ClassScores.from_dict(json.loads(json.dumps(home.to_dict())))
    for kept, tail in zip(again, home, strict=True):
        np.testing.assert_array_equal(kept.scores, tail.scores)
        np.testing.assert_array_equal(kept.counts, tail.counts)


@pytest.mark.parametrize(
    "change",
    [
        None,
        {"positive": None},
        {"negative": {"scores": [1.0]}},
        {"negative": {"scores": [], "counts": []}},
        {"negative": {"scores": [1.0, 2.0], "counts": [1, 2]}},
        {"negative": {"scores": [2.0, float("nan")], "counts": [1, 2]}},
        {"negative": {"scores": [2.0, 1.0], "counts": [2, 1]}},
        {"negative": {"scores": [2.0, 1.0], "counts": [0, 1]}},
        {"negative": {"scores": [2.0, 1.0], "counts": [1, 1.5]}},
        {"negative": {"scores": [2.0, "x"], "counts": [1, 2]}},
    ],
)
def test_damaged_scores_are_refused(home, change):
    with pytest.raises(ValueError, match=r"class|parameter must"):
        ClassScores.from_dict(None if change is None else home.to_dict() | change)
