"""Tests of the few-labels benchmark: half of the cutouts are lenses, and labels and tests share no group."""

import numpy as np
import pytest
from few_labels import TESTED, Sky


def test_labelled_and_test_rows_have_no_common_group():
    groups = np.repeat(["a", "b", "c", "d", "e", "f", "g"], [20, 20, 20, 20, 20, 40, 40])
    label = np.arange(len(groups)) % 2
    sky = Sky("windows", None, label, groups, "deep")
    draws = []
    for seed in range(3):
        tested, rows = sky.test_rows(seed), sky.labelled_rows(100, seed)
        assert 0.1 * len(groups) < tested.sum() <= TESTED * len(groups)
        assert not set(groups[tested]) & set(groups[rows])
        assert len(np.unique(rows)) == 100
        assert label[rows].sum() == 50
        draws.append(tuple(sorted(rows)))
        np.testing.assert_array_equal(rows, sky.labelled_rows(100, seed))
    assert len(set(draws)) == 3
    with pytest.raises(ValueError, match=r"The 'n' parameter must be at most \d+ for windows\. Got 200 instead"):
        sky.labelled_rows(200, 0)
