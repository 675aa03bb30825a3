"""Tests of `control_score` and `matched_negatives`: the information in plain columns, and rows matched to remove it."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from gridlens.evaluation import _controls as controls
from gridlens.evaluation import auroc
from gridlens.evaluation._controls import control_score, matched_negatives


def confounded(seed, n_positive=200, n_negative=4000):
    """Return labels and two correlated columns: positives are brighter and richer, and richness is a whole number."""
    rng = np.random.default_rng(seed)
    y = np.repeat([1, 0], [n_positive, n_negative])
    brightness = rng.normal(size=len(y)) + 0.9 * y
    richness = np.round(20 * np.exp(0.4 * (rng.normal(size=len(y)) + 0.5 * brightness + 0.4 * y)))
    return y, pd.DataFrame({"brightness": brightness, "richness": richness})


def test_control_reaches_the_best_possible_score():
    # The best possible score is the position along the difference of means, with an AUROC of norm.cdf(d / sqrt 2).
    rng = np.random.default_rng(0)
    y = np.repeat([1, 0], [300, 6000])
    columns = rng.normal(size=(6300, 2)) + np.outer(y, [0.9, 0.6])
    assert auroc(y, control_score(columns, y)).value == pytest.approx(norm.cdf(np.hypot(0.9, 0.6) / 2**0.5), abs=0.02)


def test_control_learns_a_bump_and_a_correlation():
    rng = np.random.default_rng(1)
    y = np.repeat([1, 0], [300, 3000])
    bump = rng.normal(size=3300) * np.where(y == 1, 0.4, 1.0)
    # The best possible score is the distance from 0, with an AUROC of 2 / pi atan(1 / 0.4).
    assert auroc(y, control_score(bump, y)).value == pytest.approx(0.758, abs=0.03)
    pair = rng.normal(size=(3300, 2))
    pair[y == 1, 1] = 0.8 * pair[y == 1, 0] + 0.6 * pair[y == 1, 1]
    assert auroc(y, control_score(pair, y)).value > 0.62


def test_missing_values_are_informative():
    rng = np.random.default_rng(2)
    y = np.repeat([1, 0], [100, 900])
    column = np.where(rng.random(1000) < 0.1 + 0.6 * y, np.nan, 1.0)
    p = control_score({"redshift": column, "constant": np.ones(1000)}, y)
    assert auroc(y, p).value == pytest.approx(0.8, abs=0.04)
    assert p.shape == (1000,)
    assert ((p > 0) & (p < 1)).all()
    assert p.mean() == pytest.approx(0.1, abs=0.01)


def test_control_is_not_fitted_on_the_group_of_a_row():
    # The values drawn for a group reveal the label of its other rows, but not of any other group.
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(40), 8)
    y = np.repeat(rng.permutation(np.arange(40) < 15).astype(int), 8)
    columns = np.repeat(rng.normal(size=(40, 3)), 8, axis=0)
    assert auroc(y, control_score(columns, y, groups)).value < 0.6
    assert auroc(y, control_score(columns, y)).value > 0.8


def test_control_is_seeded():
    y, columns = confounded(4, 50, 400)
    first = control_score(columns, y)
    np.testing.assert_array_equal(control_score(dict(columns), y), first)
    np.testing.assert_array_equal(control_score(columns.to_numpy(), y), first)
    assert (control_score(columns, y, random_state=1) != first).any()


def test_matched_rows_are_balanced_and_uninformative_for_the_control():
    values = []
    for seed in range(5):
        y, columns = confounded(seed)
        control = control_score(columns, y)
        assert auroc(y, control).value > 0.7
        matched = matched_negatives(y, columns, caliper=0.1)
        assert (matched.balance["before"] > 0.5).all()
        assert (matched.balance["after"].abs() < 0.05).all()
        assert len(matched.positive) + len(matched.unmatched) == 200
        assert len(matched.unmatched) < 60
        rows = matched.rows
        values.append(auroc(y[rows], control[rows]).value)
    assert np.mean(values) == pytest.approx(0.5, abs=0.02)
    # If a control is fitted to these rows again, both rows of a pair must be in the same fold.
    numbers = dict(zip([*matched.positive, *matched.negative], 2 * [*matched.positive], strict=True))
    again = control_score(columns.iloc[rows], y[rows], [numbers[row] for row in rows])
    assert auroc(y[rows], again).value == pytest.approx(0.5, abs=0.08)
    assert auroc(y[rows], control_score(columns.iloc[rows], y[rows])).value < 0.4


@pytest.mark.parametrize("most_pairs", [10_000_000, 0])
def test_each_pair_is_a_positive_and_a_negative_within_the_caliper(monkeypatch, most_pairs):
    monkeypatch.setattr(controls, "_MOST_PAIRS", most_pairs)
    y, columns = confounded(6)
    matched = matched_negatives(y, columns, ratio=3, caliper=0.05)
    assert (y[matched.positive] == 1).all()
    assert (y[matched.negative] == 0).all()
    assert len(np.unique(matched.negative)) == len(matched.negative)
    counts = np.unique(matched.positive, return_counts=True)[1]
    assert 1 <= counts.min() < counts.max() == 3
    assert not set(matched.unmatched) & set(matched.positive)
    assert set(matched.unmatched) | set(matched.positive) == set(np.flatnonzero(y == 1))
    apart = columns.iloc[matched.positive].to_numpy() - columns.iloc[matched.negative].to_numpy()
    low, high = np.quantile(columns, [0.25, 0.75], axis=0)
    assert (np.abs(apart) <= 0.05 * 0.7413 * (high - low) + 1e-12).all()
    # No unused negative lies within the caliper of an unmatched positive.
    free = np.setdiff1d(np.flatnonzero(y == 0), matched.negative)
    for row in matched.unmatched:
        near = np.abs(columns.iloc[free] - columns.iloc[row]) <= 0.05 * 0.7413 * (high - low) - 1e-12
        assert not near.all(axis=1).any()


def test_matching_is_optimal():
    rng = np.random.default_rng(7)
    for _ in range(20):
        positive, negative = rng.normal(size=4), rng.normal(size=6)
        y, column = np.repeat([1, 0], [4, 6]), np.concatenate([positive, negative])
        matched = matched_negatives(y, column, caliper=0.5)
        width = 0.7413 * np.subtract(*np.quantile(column, [0.75, 0.25]))
        best = (0, 0.0)
        for order in permutations(range(6), 4):
            apart = np.abs(positive - negative[list(order)]) / width
            kept = apart <= 0.5
            best = max(best, (int(kept.sum()), -float(apart[kept].sum())))
        found = np.abs(column[matched.positive] - column[matched.negative]) / width
        assert (len(found), -found.sum()) == pytest.approx(best)


def test_balance_by_hand():
    y = [1, 1, 0, 0, 0]
    matched = matched_negatives(y, {"x": [1.0, 3.0, 1.0, 3.0, 8.0]}, caliper=0.1)
    assert matched.positive.tolist() == [0, 1]
    assert matched.negative.tolist() == [2, 3]
    # The variances are 2 and 13: (2 - 4) / sqrt(7.5).
    assert matched.balance.loc["x"].tolist() == pytest.approx([-2 / 7.5**0.5, 0.0])
    assert str(matched).startswith("2 of 2 positives matched, with 2 negatives\n")


def test_rows_with_nan_are_not_matched():
    matched = matched_negatives([1, 1, 0, 0], [[1, 1], [np.nan, 1], [1, np.nan], [1, 1]])
    assert (matched.positive.tolist(), matched.negative.tolist(), matched.unmatched.tolist()) == ([0], [3], [1])


@pytest.mark.parametrize("y", [[1, 1], [0, 0], []])
def test_one_class_has_no_pairs(y):
    matched = matched_negatives(y, np.arange(len(y), dtype=float))
    assert len(matched.positive) == len(matched.negative) == len(matched.rows) == 0
    assert matched.unmatched.tolist() == [i for i, label in enumerate(y) if label]
    assert matched.balance["after"].isna().all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: control_score([1, 2, 3], [0, 1]),
            r"'columns' parameter must be as long as 'y', of length 2. Got 'col",
        ),
        (lambda: control_score({}, [0, 1]), "'columns' parameter must have at least one column. Got none instead"),
        (lambda: control_score([np.inf, 1], [0, 1]), "'columns' parameter must be finite .* Got an infinite number in"),
        (lambda: control_score({"z": [np.nan] * 2}, [0, 1]), "'columns' parameter must be .* Got only NaN in 'z' ins"),
        (lambda: control_score(np.ones((2, 1, 1)), [0, 1]), r"'columns' parameter must be of shape \(n, d\)"),
        (lambda: control_score([1, 2], [0, 1]), "'y' parameter must have at least 5 rows .* Got 1 instead"),
        (lambda: control_score([1, 2], [0, 0]), "'y' parameter must have at least 5 rows .* Got 0 instead"),
        (lambda: control_score([1, 2], [0, 1], cv=1), "'cv' parameter must be an integer of at least 2. Got 1 instead"),
        (lambda: matched_negatives([0, 1], [1, 2], ratio=0), "'ratio' parameter must be an integer of at least 1"),
        (lambda: matched_negatives([0, 1], [1, 2], caliper=0), "'caliper' parameter must be a finite number above 0"),
    ],
)
def test_invalid_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
