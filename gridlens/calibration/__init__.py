"""From scores to probabilities that can be believed, and how to check that. Arrays in, arrays out, no astronomy.

`IsotonicCalibrator` learns on clean labels, `shift_prior` moves its probabilities to another prevalence,
`reliability` and `expected_calibration_error` compare them with what was observed.
"""

from gridlens.calibration._isotonic import IsotonicCalibrator
from gridlens.calibration._prior import shift_prior
from gridlens.calibration._reliability import Reliability, expected_calibration_error, reliability, wilson

__all__ = [
    "IsotonicCalibrator",
    "Reliability",
    "expected_calibration_error",
    "reliability",
    "shift_prior",
    "wilson",
]
