from typing import ClassVar

import numpy as np
import pytest
from sklearn.base import BaseEstimator

from gridlens.stacking import MemberStack


class Column(BaseEstimator):
    """A member that knows one column and remembers what it was fitted on."""

    name = "column"
    consumes = "features"
    seen: ClassVar[list] = []

    def __init__(self, column=0):
        self.column = column

    def fit(self, X, y, sample_weight=None, groups=None):
        Column.seen.append((set(map(int, X[:, -1])), set(groups.tolist()) if groups is not None else None))
        return self

    def predict_proba(self, X):
        p = 1 / (1 + np.exp(-X[:, self.column]))
        return np.column_stack([1 - p, p])


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 2000)
    informed = 2.0 * y - 1.0 + rng.normal(size=2000)
    return np.column_stack([informed, rng.normal(size=2000), np.arange(2000)]), y


def test_weights_follow_what_a_member_knows(rows):
    X, y = rows
    stack = MemberStack([Column(0), Column(1)], random_state=0).fit({"features": X}, y)
    # Unit-variance classes two apart: the log-odds are twice the column.
    assert stack.weights_[0] == pytest.approx(2.0, abs=0.25)
    assert stack.weights_[1] == pytest.approx(0.0, abs=0.15)


def test_groups_stay_in_one_fold(rows):
    X, y = rows
    groups = np.arange(2000) // 4
    Column.seen.clear()
    MemberStack([Column(0)], random_state=0).out_of_fold({"features": X}, y, groups)
    assert len(Column.seen) == 5
    for indices, seen_groups in Column.seen:
        left_out = set(range(2000)) - indices
        assert not {k // 4 for k in left_out} & seen_groups


def test_one_member_is_its_own_stack(rows):
    X, y = rows
    stack = MemberStack([Column(0)]).fit({"features": X}, y)
    scores = stack.decision_function(stack.member_probabilities({"features": X}))
    np.testing.assert_allclose(scores, X[:, 0], rtol=1e-6, atol=1e-9)


def test_nan_stays_nan(rows):
    X, y = rows
    stack = MemberStack([Column(0), Column(1)], random_state=0).fit({"features": X}, y)
    assert np.isnan(stack.decision_function(np.array([[0.5, np.nan]]))).all()
