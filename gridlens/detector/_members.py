"""Comparison of the members of a detector: out of fold, in sample, and for each cutout."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import logit
from sklearn.metrics import average_precision_score, roc_auc_score

from gridlens.detector._inputs import Inputs
from gridlens.stacking import MemberStack
from gridlens.stacking._stack import member_log_odds

__all__ = ["agreement", "member_table"]


def agreement(members: np.ndarray, training_prevalence: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of members in favour of a lens, and the standard deviation of their log-odds, each (n,)."""
    log_odds = member_log_odds(members)
    # Members are fitted at the prevalence of the training set; a log-odds above that is above even odds at even
    # prevalence.
    return (log_odds > logit(training_prevalence)).sum(axis=1), log_odds.std(axis=1)


def member_table(stack: MemberStack, inputs: Inputs, y: np.ndarray) -> pd.DataFrame:
    """Return one row for each member with its out-of-fold and in-sample metrics, see `LensDetector.members_`."""
    in_sample = stack.member_probabilities(inputs)
    rows = []
    for k, member in enumerate(stack.members_):
        held = stack.out_of_fold_[:, k]
        known = not np.isnan(held).any()
        rows.append(
            {
                "name": member.name,
                "consumes": member.consumes,
                "weight": float(stack.weights_[k]),
                "auroc": float(roc_auc_score(y, held)) if known else np.nan,
                "average_precision": float(average_precision_score(y, held)) if known else np.nan,
                "auroc_in_sample": float(roc_auc_score(y, in_sample[:, k])),
            }
        )
    return pd.DataFrame(rows)
