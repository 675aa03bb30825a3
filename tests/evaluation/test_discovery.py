"""Tests of `discovery_curve`: by hand, against written-out lists, in simulations, and unresolvable cases."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import norm

from gridlens.calibration import wilson
from gridlens.evaluation import discovery_curve

MIXED = np.array([1, "a"], dtype=object)


def test_curve_by_hand():
    # At prevalence 0.5 each of the four rows represents one row; their order is 1 0 1 0.
    curve = discovery_curve([1, 1, 0, 0], [4, 2, 3, 1], 0.5, n_rows=4, n_boot=20)
    np.testing.assert_array_equal(curve.reviewed, [1, 2, 3, 4])
    np.testing.assert_array_equal(curve.found, [np.nan, 1, 2, 2])
    np.testing.assert_array_equal(curve.at_random, [0.5, 1, 1.5, 2])
    np.testing.assert_array_equal(curve.ideal, [1, 2, 2, 2])
    assert curve.resolved_from == 2.0
    assert curve.half.note == curve.at(1).note == "not resolvable with 2 negatives"
    assert curve.at(2.5).value == 1.5
    assert curve.at(4)[:3] == (2.0, 2.0, 2.0)


def test_half_by_hand():
    # The order is 0 1 0 1, and each row represents one row: half of the two positives are in the first two rows.
    curve = discovery_curve([1, 1, 0, 0], [3, 1, 4, 2], 0.5, n_rows=4, n_boot=50)
    assert curve.half.value == 2.0
    # The order is 0 1 1 0; a negative represents three rows and a positive one: 3 + 1.
    curve = discovery_curve([1, 1, 0, 0], [3, 2, 4, 1], 0.25, n_rows=8, n_boot=50)
    assert curve.half.value == 4.0
    assert curve.half.low <= 4.0 <= curve.half.high


def cumulative_found(y, score, copies):
    """Return the number of positives found at each position of a list with `copies` copies of every negative.

    Positions with equal scores share their mean.
    """
    rows = [(s, label) for label, s in zip(y, score, strict=True) for _ in range(1 if label else copies)]
    found, total = [], 0.0
    for level in sorted({s for s, _ in rows}, reverse=True):
        tied = [label for s, label in rows if s == level]
        for _ in tied:
            total += sum(tied) / len(tied)
            found.append(total)
    return np.array(found)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(-4, 4)), min_size=2, max_size=20).filter(
        lambda rows: len({label for label, _ in rows}) == 2
    ),
    st.integers(1, 6),
)
def test_curve_matches_the_list_with_copied_negatives(rows, copies):
    y, score = np.array(rows).T
    expected = cumulative_found(y, score, copies)
    curve = discovery_curve(y, score, y.sum() / len(expected), n_rows=len(expected), n_boot=5)
    known = curve.reviewed >= curve.resolved_from
    np.testing.assert_array_equal(np.isfinite(curve.found), known)
    np.testing.assert_allclose(curve.found[known], expected[curve.reviewed[known].astype(int) - 1], atol=1e-9)
    assert (curve.low[known] <= curve.found[known] + 1e-9).all()
    assert (curve.found[known] <= curve.high[known] + 1e-9).all()
    if not curve.half.note:
        # The curve is linear between positions; the written-out list reaches half at the curve's position, rounded up.
        assert np.ceil(curve.half.value - 1e-9) == 1 + np.searchsorted(expected, y.sum() / 2 - 1e-9)


def test_constant_score_is_random_order():
    curve = discovery_curve([0] * 900 + [1] * 100, np.zeros(1000), 0.01, n_boot=50)
    known = np.isfinite(curve.found)
    np.testing.assert_allclose(curve.found[known], curve.at_random[known], rtol=1e-9)
    assert curve.half.value == pytest.approx(50_000)


def binormal(rng, n_positive, n_negative, separation=2.0):
    y = np.repeat([1, 0], [n_positive, n_negative])
    return y, rng.normal(size=len(y)) + separation * y


def test_one_negative_of_the_sample_resolves_the_list():
    # All positives rank above all negatives: they represent 100 rows, and the first negative represents 99.9 rows.
    y = np.repeat([1, 0], [50, 1000])
    curve = discovery_curve(y, np.arange(1050)[::-1], 1e-3, n_boot=50)
    assert curve.resolved_from == pytest.approx(100 + 99.9)
    assert curve.half.note == "not resolvable with 1000 negatives"
    assert curve.at(199).note == "not resolvable with 1000 negatives"
    at = curve.at(200)
    # The bootstrap has no spread here, but Wilson's interval has.
    assert at[:3] == pytest.approx((100.0, 100 * wilson(50, 50)[0], 100.0))
    assert str(curve) == "half of the 100 positives expected in 100,000 rows: not resolvable with 1000 negatives"


def test_an_unresolved_end_of_the_half_is_the_ideal():
    y, score = binormal(np.random.default_rng(0), 30, 400, 2.5)
    curve = discovery_curve(y, score, 1e-3, n_boot=200)
    assert curve.half.value > curve.resolved_from
    assert curve.half.low == 50.0


def test_the_band_stays_within_the_possible_range():
    curve = discovery_curve(*binormal(np.random.default_rng(1), 20, 3000), 0.01, n_rows=1000, n_boot=100)
    known = np.isfinite(curve.found)
    assert (curve.high[known] <= curve.ideal[known] + 1e-9).all()
    assert (curve.low[known] >= 10 - (1000 - curve.reviewed[known]) - 1e-9).all()
    assert curve.low[-1] == curve.found[-1] == curve.high[-1] == pytest.approx(10)


def truth_at(place, prevalence, n_rows, separation=2.0):
    def above(t):
        return prevalence * norm.sf(t - separation) + (1 - prevalence) * norm.sf(t)

    t = brentq(lambda t: n_rows * above(t) - place, -10, 10)
    return n_rows * prevalence * norm.sf(t - separation)


@pytest.mark.slow
@pytest.mark.parametrize("views", [1, 3])
def test_band_and_half_cover(views):
    prevalence, n_rows, repeats = 1e-3, 100_000, 150
    places = [300, 3000, 30_000]
    truths = [truth_at(place, prevalence, n_rows) for place in places]
    half = n_rows * (prevalence * 0.5 + (1 - prevalence) * norm.sf(2.0))
    rng = np.random.default_rng(2)
    covered = np.zeros(4)
    for _ in range(repeats):
        y, score = binormal(rng, 40, 800)
        # Views of one group share nearly all of their score. The shared noise is reduced to compensate for the noise of
        # the views, so that the truth does not change.
        spread = 0.1
        own = (score - 2.0 * y) * np.sqrt(1 - spread**2)
        score = np.repeat(own, views) + spread * rng.normal(size=len(y) * views) + np.repeat(2.0 * y, views)
        y = np.repeat(y, views)
        curve = discovery_curve(y, score, prevalence, np.arange(len(y)) // views, n_boot=120)
        found = [curve.at(place) for place in places]
        covered[:3] += [one.low <= truth <= one.high for one, truth in zip(found, truths, strict=True)]
        covered[3] += curve.half.low <= half <= curve.half.high
    # 142.5 expected, standard deviation 2.7; Wilson's interval widens it where nearly all positives are found.
    assert (covered >= 134).all(), covered


def test_repeated_rows_in_groups_change_nothing():
    y, score = binormal(np.random.default_rng(3), 30, 500)
    once = discovery_curve(y, score, 1e-3, n_boot=100)
    groups = np.repeat(np.arange(len(y)), 3)
    thrice = discovery_curve(np.repeat(y, 3), np.repeat(score, 3), 1e-3, groups, n_boot=100)
    for column in ("reviewed", "found", "low", "high", "half", "resolved_from"):
        np.testing.assert_allclose(
            getattr(thrice, column)[:3] if column == "half" else getattr(thrice, column),
            getattr(once, column)[:3] if column == "half" else getattr(once, column),
            rtol=1e-9,
        )
    ignored = discovery_curve(np.repeat(y, 3), np.repeat(score, 3), 1e-3, n_boot=100)
    assert ignored.half.high - ignored.half.low < 0.8 * (once.half.high - once.half.low)


def test_curve_is_seeded_and_ignores_group_names():
    y, score = binormal(np.random.default_rng(4), 40, 400)
    groups = np.arange(440) // 2
    first = discovery_curve(y, score, 0.01, groups, n_boot=50)
    named = discovery_curve(y, score, 0.01, np.array([f"g{g:03d}" for g in groups]), n_boot=50)
    np.testing.assert_array_equal(named.low, first.low)
    assert named.half == first.half
    assert discovery_curve(y, score, 0.01, groups, n_boot=50, random_state=1).half != first.half


@pytest.mark.parametrize(
    ("y", "note"),
    [([1, 1], "not resolvable with 0 negatives"), ([0, 0], "not resolvable with 0 positives"), ([], "0 positives")],
)
def test_one_class_has_no_curve(y, note):
    curve = discovery_curve(y, np.arange(len(y)), 0.01)
    assert np.isnan(curve.found).all()
    assert note in curve.half.note
    assert curve.at(500) == curve.half or np.isnan(curve.at(500).value)


def test_a_single_group_with_positives():
    # Every draw of groups contains both classes, or here the only group, which has both.
    curve = discovery_curve([1, 0, 1], [3, 2, 1], 0.1, [0, 0, 0], n_rows=100, n_boot=10)
    assert np.isfinite(curve.found[-1])


def test_costs_follow_from_the_parameters():
    y, score = binormal(np.random.default_rng(5), 100, 5000)
    curve = discovery_curve(y, score, 1e-3, n_boot=100)
    cost = curve.cost(7200, seconds_per_cutout=2, hours_per_follow_up=0.5, cost_per_hour=1000)
    assert cost.review_hours == 4.0
    assert cost.found == curve.at(7200)
    assert cost.follow_up_hours.value == pytest.approx(cost.found.value / 2)
    assert cost.follow_up_cost[:3] == pytest.approx([500 * number for number in cost.found[:3]])
    early = curve.cost(2, seconds_per_cutout=2, hours_per_follow_up=0.5, cost_per_hour=1000)
    assert early.follow_up_cost.note == "not resolvable with 5000 negatives"
    with pytest.raises(TypeError, match="cost_per_hour"):
        curve.cost(7200, seconds_per_cutout=2, hours_per_follow_up=0.5)
    with pytest.raises(
        ValueError, match=r"'seconds_per_cutout' parameter must be a finite number of at least 0\. Got -1"
    ):
        curve.cost(7200, seconds_per_cutout=-1, hours_per_follow_up=0.5, cost_per_hour=0)


@pytest.mark.parametrize("reviewed", [-1, 100_001, np.nan, "all"])
def test_positions_outside_the_list_are_refused(reviewed):
    curve = discovery_curve([0, 1, 0], [1, 2, 3], 0.01, n_boot=5)
    with pytest.raises(
        ValueError, match="'reviewed' parameter must be a number from 0 to 100000, the length of the list"
    ):
        curve.at(reviewed)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prevalence": 0}, r"'prevalence' parameter must be a number between 0 and 1 \(exclusive\). Got 0 instead"),
        ({"prevalence": 1.0}, "'prevalence' parameter must be a number between 0 and 1"),
        ({"n_rows": 0}, "'n_rows' parameter must be an integer of at least 1. Got 0 instead"),
        ({"n_rows": 1e5}, "'n_rows' parameter must be an integer of at least 1. Got 100000.0 instead"),
        ({"n_boot": 0}, "'n_boot' parameter must be an integer of at least 1. Got 0 instead"),
        ({"groups": MIXED}, "'groups' parameter must be all numbers or all text"),
        ({"score": [1, np.nan]}, "'score' parameter must not contain NaN"),
    ],
)
def test_invalid_input_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        discovery_curve(**{"y": [0, 1], "score": [1, 2], "prevalence": 0.1} | options)
