"""Members joined by a logistic regression on their out-of-fold log-odds."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import logit
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold

from gridlens.stacking._protocol import Member

__all__ = ["MemberStack"]

# Probabilities of 0 and 1 have no log-odds: what trees call certain counts as one in a million.
_CERTAIN = 1e-6


class MemberStack(BaseEstimator):
    """Fit members on the same rows and weigh them by how they do on rows that they have not seen.

    With one member there is nothing to weigh: its log-odds are the stack's.

    Parameters
    ----------
    members : sequence of Member
        Unfitted; they are cloned.
    cv : int, default=5
        Folds, stratified by label, rows of one group together.
    random_state : int, default=None
        Of the folds.

    Attributes
    ----------
    members_ : list of Member
        Fitted on all rows.
    weights_ : ndarray of shape (n_members,), float64
        Of the members' log-odds.
    intercept_ : float
    """

    def __init__(self, members: Sequence[Member], cv: int = 5, random_state: int | None = None) -> None:
        self.members = members
        self.cv = cv
        self.random_state = random_state

    def fit(
        self,
        inputs: dict[str, Any],
        y: np.ndarray,
        groups: np.ndarray | None = None,
        sample_weight: np.ndarray | None = None,
    ) -> "MemberStack":
        """Fit all members, and their weights where there are several.

        Parameters
        ----------
        inputs : dict
            What members consume, by name: "features", an array of shape (n, 315), and "cutouts", a CutoutSet of n.
        y : ndarray of shape (n,)
            1 or 0.
        groups : ndarray of shape (n,), default=None
            None makes each row a group of its own.
        sample_weight : ndarray of shape (n,), default=None
            For the members; the stack's own weights take every row alike.
        """
        y = np.asarray(y)
        if len(self.members) == 1:
            self.weights_, self.intercept_ = np.ones(1), 0.0
        else:
            meta = LogisticRegression().fit(self.out_of_fold(inputs, y, groups, sample_weight), y)
            self.weights_, self.intercept_ = meta.coef_[0].astype(np.float64), float(meta.intercept_[0])
        self.members_ = [
            clone(member).fit(inputs[member.consumes], y, sample_weight=sample_weight, groups=groups)
            for member in self.members
        ]
        return self

    def out_of_fold(
        self,
        inputs: dict[str, Any],
        y: np.ndarray,
        groups: np.ndarray | None = None,
        sample_weight: np.ndarray | None = None,
    ) -> np.ndarray:
        """Log-odds (n, n_members) of each row by members that saw neither it nor its group."""
        y = np.asarray(y)
        groups = np.arange(len(y)) if groups is None else np.asarray(groups)
        folds = StratifiedGroupKFold(self.cv, shuffle=True, random_state=self.random_state)
        result = np.empty((len(y), len(self.members)))
        for train, test in folds.split(np.zeros(len(y)), y, groups):
            for k, member in enumerate(self.members):
                X = inputs[member.consumes]
                weight = None if sample_weight is None else sample_weight[train]
                fitted = clone(member).fit(X[train], y[train], sample_weight=weight, groups=groups[train])
                result[test, k] = _log_odds(fitted.predict_proba(X[test])[:, 1])
        return result

    def member_probabilities(self, inputs: dict[str, Any]) -> np.ndarray:
        """Probabilities (n, n_members) of the fitted members, each as it gives them."""
        return np.column_stack([member.predict_proba(inputs[member.consumes])[:, 1] for member in self.members_])

    def combine(self, log_odds: np.ndarray) -> np.ndarray:
        """Log-odds (n,) of the stack from the members' (n, n_members)."""
        return log_odds @ self.weights_ + self.intercept_

    def decision_function(self, probabilities: np.ndarray) -> np.ndarray:
        """Log-odds (n,) of the stack from the members' probabilities (n, n_members); NaN where one is NaN."""
        return self.combine(_log_odds(probabilities))


def _log_odds(p: np.ndarray) -> np.ndarray:
    return logit(np.clip(p, _CERTAIN, 1.0 - _CERTAIN))
