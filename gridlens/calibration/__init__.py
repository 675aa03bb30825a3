"""From scores to probabilities that can be believed, and how to check that. Arrays in, arrays out, no astronomy.

`IsotonicCalibrator` learns on clean labels, `shift_prior` moves its probabilities to another prevalence,
`reliability` and `expected_calibration_error` compare them with what was observed.
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
