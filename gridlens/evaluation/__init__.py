"""How well a ranking finds rare positives, with an interval for each number. Arrays in, arrays out, no astronomy.

Every metric is an `Estimate`, which says so where the rows are too few to compute it. `discovery_curve` says what a
review of the top finds, `stratified` and `control_score` where the performance comes from, `compare` which of two
scores is better. `evaluate` computes all of it.
"""

from gridlens.evaluation._compare import Comparison, McNemar, compare, mcnemar
from gridlens.evaluation._conformal import Selection, conformal_selection
from gridlens.evaluation._controls import MatchedNegatives, control_score, matched_negatives
from gridlens.evaluation._discovery import DiscoveryCurve, ReviewCost, discovery_curve
from gridlens.evaluation._evaluate import Evaluation, Strata, evaluate
from gridlens.evaluation._false_positives import tpr_at_false_positives
from gridlens.evaluation._intervals import Estimate
from gridlens.evaluation._precision import average_precision, required_fpr, tpr_at_precision
from gridlens.evaluation._proper import brier_score, calibration_error, log_loss
from gridlens.evaluation._ranking import auroc, tpr_at_fpr
from gridlens.evaluation._strata import CrossTable, cross_table, stratified
from gridlens.evaluation._summary import evaluate_ranking
from gridlens.evaluation._thresholds import counts_above
from gridlens.evaluation._top import precision_at_k, recall_at_k

__all__ = [
    "Comparison",
    "CrossTable",
    "DiscoveryCurve",
    "Estimate",
    "Evaluation",
    "MatchedNegatives",
    "McNemar",
    "ReviewCost",
    "Selection",
    "Strata",
    "auroc",
    "average_precision",
    "brier_score",
    "calibration_error",
    "compare",
    "conformal_selection",
    "control_score",
    "counts_above",
    "cross_table",
    "discovery_curve",
    "evaluate",
    "evaluate_ranking",
    "log_loss",
    "matched_negatives",
    "mcnemar",
    "precision_at_k",
    "recall_at_k",
    "required_fpr",
    "stratified",
    "tpr_at_false_positives",
    "tpr_at_fpr",
    "tpr_at_precision",
]
