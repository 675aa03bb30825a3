"""Learning from positive and unlabelled rows. All functions take and return arrays and contain no astronomy.

`estimate_class_prior` estimates the fraction of positives. `ElkanNotoClassifier` turns any classifier into one that
learns from a training set in which some of the positives are labelled; `NNPULGBMClassifier` minimises the non-negative
risk at a known class prior. `pu_f1` and `pu_roc_auc` compare classifiers without any labelled negatives, and
`sensitivity` shows how much scores depend on the class prior and on the selection of the labelled positives.
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
