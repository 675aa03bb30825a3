"""Tests of bins of equal mass and the calibration error in them."""

import numpy as np
import pytest

from gridlens.calibration._bins import equal_mass_bins, mean_bin_error


def test_bins_have_equal_numbers_of_rows_and_ties_are_not_split():
    p = np.random.default_rng(0).permutation(np.linspace(0.0, 1.0, 60))
    bins = equal_mass_bins(p, 6)
    np.testing.assert_array_equal(np.bincount(bins), [10] * 6)
    assert (np.diff(bins[np.argsort(p)]) >= 0).all()
    np.testing.assert_array_equal(equal_mass_bins(np.array([0.5, 0.2, 0.5, 0.5]), 4), [1, 0, 1, 1])


def test_numbers_of_bins_have_no_gaps():
    # Nine rows with the same probability leave most of the ten bins empty.
    bins = equal_mass_bins(np.array([0.1] * 9 + [0.9]), 10)
    assert set(bins) == {0, 1}


def test_error_weights_the_bins():
    bins, excess = np.array([0, 0, 1]), np.array([0.5, -0.1, -0.2])
    assert mean_bin_error(bins, excess, np.ones(3)) == pytest.approx((0.4 + 0.2) / 3)
    assert mean_bin_error(bins, excess, np.array([1.0, 0.0, 3.0])) == pytest.approx((0.5 + 0.6) / 4)
