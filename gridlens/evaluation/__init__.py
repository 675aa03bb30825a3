"""How well a ranking finds rare things, with an interval each. Arrays in, arrays out, no astronomy.

Every measure is an `Estimate`, which says so where there are too few rows to compute it. `discovery_curve` tells what a
review budget finds, `stratified` and `control_score` where the finding comes from, `compare` which of two scores is the
better one. `evaluate` does all of it, and `write_report` makes one page of that; `report_page` and
`report_table` are what it is made of.
"""

from gridlens.evaluation._compare import Comparison, McNemar, compare, mcnemar
from gridlens.evaluation._conformal import Selection, conformal_selection
from gridlens.evaluation._controls import MatchedNegatives, control_score, matched_negatives
from gridlens.evaluation._discovery import DiscoveryCurve, ReviewCost, discovery_curve
from gridlens.evaluation._evaluate import Evaluation, Strata, evaluate
from gridlens.evaluation._false_positives import tpr_at_false_positives
from gridlens.evaluation._intervals import Estimate, wilson
from gridlens.evaluation._page import page as report_page
from gridlens.evaluation._page import table as report_table
from gridlens.evaluation._plots import (
    plot_discovery,
    plot_precision_recall,
    plot_reliability,
    plot_roc,
    plot_strata,
)
from gridlens.evaluation._precision import average_precision, required_fpr, tpr_at_precision
from gridlens.evaluation._proper import brier_score, calibration_error, log_loss
from gridlens.evaluation._ranking import auroc, tpr_at_fpr
from gridlens.evaluation._report import write_report
from gridlens.evaluation._strata import CrossTable, cross_table, markdown_table, stratified
from gridlens.evaluation._summary import evaluate_ranking
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
    "cross_table",
    "discovery_curve",
    "evaluate",
    "evaluate_ranking",
    "log_loss",
    "markdown_table",
    "matched_negatives",
    "mcnemar",
    "plot_discovery",
    "plot_precision_recall",
    "plot_reliability",
    "plot_roc",
    "plot_strata",
    "precision_at_k",
    "recall_at_k",
    "report_page",
    "report_table",
    "required_fpr",
    "stratified",
    "tpr_at_false_positives",
    "tpr_at_fpr",
    "tpr_at_precision",
    "wilson",
    "write_report",
]
