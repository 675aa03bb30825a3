"""Metrics for rankings of rare positives, each with a confidence interval.

All functions take and return arrays and contain no astronomy. Every metric is an `Estimate`, which carries a note where
the sample is too small to compute it. `discovery_curve` predicts the yield of a review of the highest scores,
`stratified` and `control_score` show where the performance comes from, and `compare` tests which of two scores is
better. `evaluate` computes all of them.
"""

from gridlens.evaluation._compare import compare
from gridlens.evaluation._conformal import conformal_selection
from gridlens.evaluation._discovery import discovery_curve
from gridlens.evaluation._evaluate import Evaluation, Strata, evaluate
from gridlens.evaluation._false_positives import tpr_at_false_positives
from gridlens.evaluation._intervals import Estimate
from gridlens.evaluation._precision import average_precision, required_fpr, tpr_at_precision
from gridlens.evaluation._proper import brier_score, calibration_error, log_loss
from gridlens.evaluation._ranking import auroc, tpr_at_fpr
from gridlens.evaluation._top import precision_at_k, recall_at_k

__all__ = [
    "Estimate",
    "Evaluation",
    "Strata",
    "auroc",
    "average_precision",
    "brier_score",
    "calibration_error",
    "compare",
    "conformal_selection",
    "discovery_curve",
    "evaluate",
    "log_loss",
    "precision_at_k",
    "recall_at_k",
    "required_fpr",
    "tpr_at_false_positives",
    "tpr_at_fpr",
    "tpr_at_precision",
]
