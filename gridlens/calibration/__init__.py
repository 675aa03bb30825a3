"""Calibrated probabilities from scores, and checks of the calibration. All functions take and return arrays.

`IsotonicCalibrator` is fitted to clean labels, `shift_prior` adjusts its probabilities to another prevalence, and
`reliability` and `expected_calibration_error` compare them with the observed fractions of positives.
"""

from gridlens.calibration._isotonic import IsotonicCalibrator
from gridlens.calibration._out_of_fold import calibrate_out_of_fold
from gridlens.calibration._prior import shift_prior
from gridlens.calibration._reliability import expected_calibration_error, reliability, wilson
from gridlens.calibration._shift import estimate_shift

__all__ = [
    "IsotonicCalibrator",
    "calibrate_out_of_fold",
    "estimate_shift",
    "expected_calibration_error",
    "reliability",
    "shift_prior",
    "wilson",
]
