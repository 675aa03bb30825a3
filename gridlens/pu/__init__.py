"""Learning from positive and unlabelled rows. Arrays in, arrays out, no astronomy.

`estimate_class_prior` says how many positives there are. `ElkanNotoClassifier` learns from one set of rows, of whose
positives some are labelled, with any classifier; `NNPULGBMClassifier` learns at a known class prior under the
non-negative risk. `pu_f1` and `pu_roc_auc` compare classifiers without a single negative, and `sensitivity` tells how
far scores depend on the prior and on which positives were labelled.
"""

from gridlens.pu._elkan_noto import ElkanNotoClassifier
from gridlens.pu._metrics import pu_f1, pu_f1_scorer, pu_roc_auc, pu_roc_auc_scorer
from gridlens.pu._nnpu import NNPULGBMClassifier
from gridlens.pu._prior import estimate_class_prior
from gridlens.pu._sensitivity import sensitivity

__all__ = [
    "ElkanNotoClassifier",
    "NNPULGBMClassifier",
    "estimate_class_prior",
    "pu_f1",
    "pu_f1_scorer",
    "pu_roc_auc",
    "pu_roc_auc_scorer",
    "sensitivity",
]
