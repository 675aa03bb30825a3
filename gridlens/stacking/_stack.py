"""Stack of members, combined with weights that are fitted to their out-of-fold log-odds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np
from joblib import Parallel, delayed
from scipy.special import logit
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.utils.validation import check_is_fitted

from gridlens._groups import group_of_each
from gridlens.errors import GridlensError
from gridlens.stacking._averaged import AveragedMember
from gridlens.stacking._meta import META_LEARNERS, choose_meta, fit_meta
from gridlens.stacking._protocol import Member
from gridlens.stacking._taken import taken

__all__ = ["CERTAIN_LOG_ODDS", "MemberStack", "member_log_odds", "scored_with_spreads"]

# Probabilities of 0 and 1 have infinite log-odds: the certainty of trees is limited to one in a million.
_CERTAIN = 1e-6
CERTAIN_LOG_ODDS = float(-logit(_CERTAIN))
"""limit of the absolute log-odds of a member"""
_Progress = Callable[[int, str], Any] | None
_Task = tuple[int, np.ndarray, np.ndarray]


class MemberStack(BaseEstimator):
    """Stack of members that are fitted to the same rows and weighted by their performance on held-out rows.

    With a single member, the log-odds of the stack are those of the member.

    Parameters
    ----------
    members : sequence of Member
        Unfitted members with unique names; they are cloned.
    meta : {"auto", "logistic", "convex"}, default="auto"
        Method for the weights, see `gridlens.stacking.fit_meta`. "auto" selects the one with the lower log loss in a
        cross-validation nested in that of the members.
    final : {"refit", "average"}, default="refit"
        Use "refit" to fit each member once more to all rows. "average" to keep the members of the folds and average
        their log-odds: this saves one fit, multiplies the cost of scoring by `cv`, and the weights were fitted to
        exactly these members.
    cv : int, default=5
        Number of folds, stratified by label, with the rows of one group together.
    n_jobs : int, default=1
        Number of processes over folds and members, with one thread each.
    random_state : int, default=None
        Random seed of the folds.

    Attributes
    ----------
    members_ : list of Member
        Fitted members.
    weights_ : ndarray of shape (n_members,), float64
        Weights of the members' log-odds.
    intercept_ : float
    meta_ : {"logistic", "convex"} or None
        None for a single member.
    meta_losses_ : dict
        Log loss of each meta-learner; empty if there was no choice.
    out_of_fold_ : ndarray of shape (n, n_members), float64
        Log-odds of each training row by members that were not fitted to it nor to its group. For a single member that
        is refitted, they are computed on the first call of `out_of_fold`.
    folds_ : ndarray of shape (n,), int64
        Fold of each training row.
    """

    def __init__(
        self,
        members: Sequence[Member],
        meta: Literal["auto", "logistic", "convex"] = "auto",
        final: Literal["refit", "average"] = "refit",
        cv: int = 5,
        n_jobs: int | None = 1,
        random_state: int | None = None,
    ) -> None:
        self.members = members
        self.meta = meta
        self.final = final
        self.cv = cv
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(
        self,
        inputs: Mapping[str, Any],
        y: np.ndarray,
        groups: np.ndarray | None = None,
        sample_weight: np.ndarray | None = None,
        *,
        meta_weight: np.ndarray | None = None,
        out_of_fold: Mapping[str, Any] | None = None,
        progress: _Progress = None,
    ) -> Self:
        """Fit all members and their weights.

        Parameters
        ----------
        inputs : dict
            Inputs of members by name: "features", an array of shape (n, 315), and "cutouts", a CutoutSet of n.
        y : ndarray of shape (n,)
            Labels, 1 or 0.
        groups : ndarray of shape (n,), default=None
            Group labels. If None, rows are independent, and so is a row without a value.
        sample_weight : ndarray of shape (n,), default=None
            Weights for the members.
        meta_weight : ndarray of shape (n,), default=None
            Weights for the fit of the stack's weights; rows of weight 0 are left out. If None, all rows have equal
            weight.
        out_of_fold : dict, default=None
            Probabilities (n,) of members by name that were computed elsewhere, for each row by a model that was fitted
            neither to it nor to its group. Such a member is used as it is and must already be fitted.
        progress : callable, default=None
            Called with 1 after each of the `n_fits` fits, and with the name of the next one, such as "lightgbm, fold 2
            of 5"; before the first, with 0.

        Raises
        ------
        ValueError
            If a parameter is out of range, two members have the same name, there are fewer groups of a class than
            folds, or out-of-fold probabilities have another shape or are not probabilities.
        GridlensError
            If a member fails; the message names it.
        """
        y = np.asarray(y)
        groups = None if groups is None else group_of_each(groups)
        given = self._checked(y, groups, {} if out_of_fold is None else out_of_fold)
        names = np.arange(len(y)) if groups is None else groups
        fitted = [k for k, member in enumerate(self.members) if member.name not in given]
        frozen = [k for k in fitted if _is_frozen(self.members[k])]
        learned = [k for k in fitted if k not in frozen]
        self.folds_ = np.empty(len(y), dtype=np.int64)
        splits = self._splits(y, names)
        for fold, (_, held) in enumerate(splits):
            self.folds_[held] = fold
        needed = len(self.members) > 1 or self.final == "average"
        tasks = [(k, train, held) for train, held in splits for k in learned] if needed else []
        everything = np.arange(len(y))
        nothing = everything[:0]
        last = [(k, everything, nothing) for k in learned] if self.final == "refit" else []
        # A frozen member does not learn from the rows, so its scores of all rows are out-of-fold.
        last += [(k, everything, everything) for k in frozen]
        log_odds = np.full((len(y), len(self.members)), np.nan)
        for k, member in enumerate(self.members):
            if member.name in given:
                log_odds[:, k] = member_log_odds(given[member.name])
        models: dict[int, list[Any]] = {k: [] for k in range(len(self.members))}
        results = self._run(inputs, y, names, sample_weight, tasks + last, progress)
        for (k, _, held), (model, p) in zip(tasks + last, results, strict=True):
            log_odds[held, k] = member_log_odds(p)
            if self.final == "average" or k in frozen or not len(held):
                models[k].append(model)
        self.out_of_fold_ = log_odds
        self.members_ = [
            self.members[k] if k not in fitted else models[k][0] if len(models[k]) == 1 else AveragedMember(models[k])
            for k in range(len(self.members))
        ]
        self._weigh(log_odds, y, names, meta_weight)
        return self

    @property
    def n_fits(self) -> int:
        """Number of member fits in `fit` if no scores are supplied."""
        learned = sum(not _is_frozen(member) for member in self.members)
        in_folds = learned * self.cv if len(self.members) > 1 or self.final == "average" else 0
        return in_folds + (learned if self.final == "refit" else 0) + len(self.members) - learned

    def out_of_fold(
        self,
        inputs: Mapping[str, Any],
        y: np.ndarray,
        groups: np.ndarray | None = None,
        sample_weight: np.ndarray | None = None,
        *,
        progress: _Progress = None,
    ) -> np.ndarray:
        """Return out-of-fold log-odds (n, n_members) of the training rows; `progress` is as in `fit`."""
        y = np.asarray(y)
        names = np.arange(len(y)) if groups is None else group_of_each(groups)
        tasks = [(k, train, held) for train, held in self._splits(y, names) for k in range(len(self.members))]
        result = np.empty((len(y), len(self.members)))
        results = self._run(inputs, y, names, sample_weight, tasks, progress)
        for (k, _, held), (_, p) in zip(tasks, results, strict=True):
            result[held, k] = member_log_odds(p)
        return result

    def out_of_fold_score(self, y: np.ndarray, meta_weight: np.ndarray | None = None) -> np.ndarray:
        """Return out-of-fold log-odds (n,) of the stack, by members and weights that were not fitted to the row's fold.

        `combine` with `out_of_fold_` uses the weights of all rows instead, which is optimistic for a stack of many
        members and few rows.

        Parameters
        ----------
        y, meta_weight : ndarray of shape (n,)
            As in `fit`.
        """
        if self.meta_ is None:
            return self.combine(self.out_of_fold_)
        score = np.empty(len(y))
        counted = np.ones(len(y), dtype=bool) if meta_weight is None else meta_weight > 0.0
        for fold in np.unique(self.folds_):
            held = self.folds_ == fold
            rows = ~held & counted
            weight = None if meta_weight is None else meta_weight[rows]
            weights, intercept = fit_meta(self.meta_, self.out_of_fold_[rows], y[rows], weight)
            score[held] = self.out_of_fold_[held] @ weights + intercept
        return score

    def member_probabilities(self, inputs: Mapping[str, Any]) -> np.ndarray:
        """Return the probabilities (n, n_members) of the fitted members, uncalibrated."""
        return np.column_stack([member.predict_proba(inputs[member.consumes])[:, 1] for member in self.members_])

    def classic(
        self, y: np.ndarray, groups: np.ndarray | None = None, meta_weight: np.ndarray | None = None
    ) -> MemberStack | None:
        """Return the stack of the fitted members that are not screened, weighted by the same out-of-fold log-odds.

        Parameters
        ----------
        y, groups, meta_weight
            As in `fit`.

        Returns
        -------
        MemberStack or None
            None if all members are screened, or none is.
        """
        kept = [k for k, member in enumerate(self.members_) if not getattr(member, "screened", False)]
        if not 0 < len(kept) < len(self.members_):
            return None
        members = [self.members[k] for k in kept]
        stack = MemberStack(members, self.meta, self.final, self.cv, self.n_jobs, self.random_state)
        stack.members_ = [self.members_[k] for k in kept]
        stack.out_of_fold_ = self.out_of_fold_[:, kept]
        stack.folds_ = self.folds_
        names = np.arange(len(y)) if groups is None else group_of_each(groups)
        stack._weigh(stack.out_of_fold_, y, names, meta_weight)
        return stack

    def combine(self, log_odds: np.ndarray) -> np.ndarray:
        """Combine the members' log-odds (n, n_members) into those of the stack, (n,)."""
        return log_odds @ self.weights_ + self.intercept_

    def decision_function(self, probabilities: np.ndarray) -> np.ndarray:
        """Combine the members' probabilities (n, n_members) into log-odds of the stack, (n,); NaN where one is NaN."""
        return self.combine(member_log_odds(probabilities))

    def _splits(self, y: np.ndarray, groups: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        folds = StratifiedGroupKFold(self.cv, shuffle=True, random_state=self.random_state)
        return list(folds.split(np.zeros(len(y)), y, groups))

    def _run(
        self,
        inputs: Mapping[str, Any],
        y: np.ndarray,
        groups: np.ndarray,
        sample_weight: np.ndarray | None,
        tasks: Sequence[_Task],
        progress: _Progress,
    ) -> Iterator[tuple[Any, np.ndarray]]:
        """Fit a member for each task and score its held-out rows; results are in the order of the tasks."""
        # Large arrays are memory-mapped by each process, not copied.
        looked_at = {k: _prepared(self.members[k], inputs) for k in sorted({k for k, _, _ in tasks})}
        calls = (
            delayed(_fit_one)(self.members[k], looked_at[k], y, groups, sample_weight, train, held)
            for k, train, held in tasks
        )
        # A separate generator keeps prepared data, possibly in a file, alive until the last task is done.
        steps = [*self._names_of(tasks), ""]
        if progress is not None:
            progress(0, steps[0])
        for result, step in zip(Parallel(n_jobs=self.n_jobs, return_as="generator")(calls), steps[1:], strict=True):
            yield result
            if progress is not None:
                progress(1, step)

    def _names_of(self, tasks: Sequence[_Task]) -> Iterator[str]:
        """Yield the name of each fit."""
        folds: dict[int, int] = {}
        for k, train, held in tasks:
            folds[k] = folds.get(k, 0) + 1
            in_fold = len(held) > 0 and held is not train
            yield f"{self.members[k].name}, {f'fold {folds[k]} of {self.cv}' if in_fold else 'all rows'}"

    def _weigh(self, log_odds: np.ndarray, y: np.ndarray, groups: np.ndarray, meta_weight: np.ndarray | None) -> None:
        self.meta_: Literal["logistic", "convex"] | None = None
        self.meta_losses_: dict[str, float] = {}
        if len(self.members) == 1:
            self.weights_, self.intercept_ = np.ones(1), 0.0
            return
        if meta_weight is not None:
            counted = meta_weight > 0.0
            log_odds, y, groups, meta_weight = log_odds[counted], y[counted], groups[counted], meta_weight[counted]
        if self.meta == "auto":
            self.meta_, self.meta_losses_ = choose_meta(log_odds, y, groups, self.cv, self.random_state, meta_weight)
        else:
            self.meta_ = self.meta
        self.weights_, self.intercept_ = fit_meta(self.meta_, log_odds, y, meta_weight)

    def _checked(
        self, y: np.ndarray, groups: np.ndarray | None, out_of_fold: Mapping[str, Any]
    ) -> dict[str, np.ndarray]:
        for name, choices in (("meta", ("auto", *META_LEARNERS)), ("final", ("refit", "average"))):
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"The '{name}' parameter must be one of {', '.join(map(repr, choices))}. "
                    f"Got {getattr(self, name)!r} instead."
                )
        names = [member.name for member in self.members]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"The 'members' parameter must name each member once. Got {', '.join(doubled)} twice.")
        for value, kind in ((1, "positives"), (0, "negatives")):
            n = int((y == value).sum()) if groups is None else len(np.unique(groups[y == value]))
            if n < self.cv:
                where = "" if groups is None else "groups with "
                raise ValueError(
                    f"The 'cv' parameter must not be larger than the number of {where}{kind}. Got {self.cv} folds "
                    f"for {n} instead; use fewer folds."
                )
        given = {}
        for name, values in out_of_fold.items():
            if name not in names:
                raise ValueError(f"The 'out_of_fold' parameter must name members of the stack. Got {name!r} instead.")
            p = np.asarray(values, dtype=np.float64)
            if p.shape != y.shape or not ((p >= 0.0) & (p <= 1.0)).all():
                raise ValueError(
                    f"The 'out_of_fold' parameter must contain a probability, not NaN, for each of the {len(y)} "
                    f"rows of {name!r}. Got shape {p.shape} instead."
                )
            check_is_fitted(self.members[names.index(name)])
            given[name] = p
        return given


def scored_with_spreads(members: Sequence[Any], inputs: Mapping[str, Any]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return probabilities (n, n_members) by fitted members, and the available uncertainties (n,) by name."""
    columns, spreads = [], {}
    for member in members:
        X = inputs[member.consumes]
        if hasattr(member, "predict_with_spread"):
            p, spreads[member.name] = member.predict_with_spread(X)
        else:
            p = member.predict_proba(X)
        columns.append(p[:, 1])
    return np.column_stack(columns), spreads


def _is_frozen(member: Any) -> bool:
    return bool(getattr(member, "frozen", False))


def _prepared(member: Any, inputs: Mapping[str, Any]) -> Any:
    """Return the input of a member, prepared once if the member has `prepare`."""
    X = inputs[member.consumes]
    return member.prepare(X) if hasattr(member, "prepare") else X


def _fit_one(
    member: Any,
    X: Any,
    y: np.ndarray,
    groups: np.ndarray,
    sample_weight: np.ndarray | None,
    train: np.ndarray,
    held: np.ndarray,
) -> tuple[Any, np.ndarray]:
    """Fit a clone of the member to some rows, and return it with its probabilities of others."""
    weight = None if sample_weight is None else sample_weight[train]
    try:
        with taken(X, train) as rows:
            fitted = clone(member).fit(rows, y[train], sample_weight=weight, groups=groups[train])
        with taken(X, held) as rows:
            p = fitted.predict_proba(rows)[:, 1] if len(held) else np.empty(0)
    except GridlensError:
        raise
    except Exception as exc:
        raise GridlensError(f"The member {member.name!r} failed: {type(exc).__name__}: {exc}") from exc
    return fitted, p


def member_log_odds(p: np.ndarray) -> np.ndarray:
    """Return the log-odds of members' probabilities, with certainty limited to one in a million; NaN is kept."""
    return logit(np.clip(p, _CERTAIN, 1.0 - _CERTAIN))
