"""Tests of `calibrate_out_of_fold`: no row is predicted by a calibrator that was fitted to it."""

import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold

from gridlens.calibration import IsotonicCalibrator, calibrate_out_of_fold


def draw(seed, n, gap):
    rng = np.random.default_rng(seed)
    y = (np.arange(n) < n // 5).astype(int)
    return rng.normal(size=n) + gap * y, y


@pytest.mark.parametrize("views", [1, 3])
def test_calibrators_are_not_fitted_on_the_rows_they_predict(monkeypatch, views):
    seen = []
    fit, predict = IsotonicCalibrator.fit, IsotonicCalibrator.predict

    def spied_fit(self, scores, y, *rest):
        self.seen = set(np.floor(scores))
        return fit(self, scores, y, *rest)

    def spied_predict(self, scores):
        seen.append((self.seen, set(np.floor(scores))))
        return predict(self, scores)

    monkeypatch.setattr(IsotonicCalibrator, "fit", spied_fit)
    monkeypatch.setattr(IsotonicCalibrator, "predict", spied_predict)
    # The integer part of a score identifies its group.
    group = np.repeat(np.arange(300), views)
    score = group + np.random.default_rng(0).random(len(group))
    calibrate_out_of_fold(score, group % 2, None if views == 1 else group)
    assert len(seen) == 5
    assert all(not fitted & held for fitted, held in seen)
    assert set.union(*(held for _, held in seen)) == set(range(300))


def test_probability_comes_from_a_calibrator_of_the_other_folds():
    score, y = draw(0, 400, 1.0)
    p = calibrate_out_of_fold(score, y, cv=4, random_state=2)
    for fitted, held in StratifiedKFold(4, shuffle=True, random_state=2).split(score, y):
        np.testing.assert_array_equal(p[held], IsotonicCalibrator().fit(score[fitted], y[fitted]).predict(score[held]))


def test_seed_draws_the_folds():
    score, y = draw(2, 600, 1.0)
    p = calibrate_out_of_fold(score, y, random_state=3)
    np.testing.assert_array_equal(p, calibrate_out_of_fold(score, y, random_state=3))
    assert (p != calibrate_out_of_fold(score, y, random_state=4)).any()
    assert p.shape == (600,)
    assert ((p > 0) & (p < 1)).all()


def test_few_positives_warn():
    score, y = draw(3, 200, 1.0)
    with pytest.warns(UserWarning, match="32 positives are fewer than the 50"):
        calibrate_out_of_fold(score, y)


@pytest.mark.parametrize(
    ("score", "y", "groups", "cv", "message"),
    [
        ([0.0, np.nan, 1.0, 2.0], [0, 1, 0, 1], None, 2, "'score' parameter must be finite; .* Got nan instead"),
        ([0.0, 1.0], [0, 1, 0, 1], None, 2, "'score' parameter must be as long as 'y'"),
        ([0.0, 1.0, 2.0, 3.0], [0, 0, 0, 0], None, 2, "at least 2 rows .* of each class, .* Got 0 instead"),
        ([0.0, 1.0, 2.0, 3.0], [0, 0, 1, 1], [0, 1, 2, 2], 2, "at least 2 rows .* of each class, .* Got 1 instead"),
        ([0.0, 1.0, 2.0, 3.0], [0, 0, 1, 1], None, 1, "'cv' parameter must be an integer of at least 2. Got 1 instead"),
    ],
)
def test_invalid_input_is_refused(score, y, groups, cv, message):
    with pytest.raises(ValueError, match=message):
        calibrate_out_of_fold(score, y, groups, cv=cv)
