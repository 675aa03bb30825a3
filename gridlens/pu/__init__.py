"""Learning from positive and unlabelled rows. Arrays in, arrays out, no astronomy.

`estimate_class_prior` says how many positives there are, `NNPULGBMClassifier` learns from them under the non-negative
risk, and `sensitivity` tells how far its scores hang on the prior and on which positives were labelled.
"""

from gridlens.pu._nnpu import NNPULGBMClassifier
from gridlens.pu._prior import ClassPrior, PriorComparison, estimate_class_prior
from gridlens.pu._sensitivity import Sensitivity, SensitivityRow, sensitivity

__all__ = [
    "ClassPrior",
    "NNPULGBMClassifier",
    "PriorComparison",
    "Sensitivity",
    "SensitivityRow",
    "estimate_class_prior",
    "sensitivity",
]
