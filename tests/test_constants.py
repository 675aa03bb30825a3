"""Tests of the constants against scipy and astropy."""

import numpy as np
import pytest
from astropy.stats import gaussian_sigma_to_fwhm
from scipy.stats import norm

from gridlens._constants import FWHM_PER_SIGMA, IQR_PER_SIGMA, MAD_TO_SIGMA, Z_95


def test_constants_match_a_normal_distribution():
    assert pytest.approx(1.0 / norm.ppf(0.75), rel=1e-5) == MAD_TO_SIGMA
    assert pytest.approx(2.0 * norm.ppf(0.75), rel=1e-4) == IQR_PER_SIGMA
    assert pytest.approx(gaussian_sigma_to_fwhm, rel=1e-15) == FWHM_PER_SIGMA
    assert np.isclose(Z_95, norm.ppf(0.975), rtol=1e-15)
