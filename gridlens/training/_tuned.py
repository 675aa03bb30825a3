"""Choices made out of fold: hard negatives, their weight, and the weight of simulated scenes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from joblib import Parallel, delayed
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold

from gridlens._progress import progress_bar
from gridlens.evaluation import auroc, tpr_at_fpr
from gridlens.members import LightGBMMember, NNPUMember
from gridlens.stacking._stack import member_log_odds

__all__ = ["Choice", "Tuned", "tune"]

# The first weight, the pool alone, is the reference for the non-negative risk.
_SCENE_WEIGHTS = (0.0, 0.25, 1.0)
_HARD_WEIGHTS = (3.0,)
_FOLDS = 3
_TREES = 300
# Smallest leaf of trees that are fitted without the eight turned versions of each row, to save time.
_LEAF = 15
# Fraction of the cutouts without an arc that count as hard.
_HARD = 1.0 / 16.0


class Choice(NamedTuple):
    """A training choice and its out-of-fold metrics on the rows of the pool."""

    name: str
    log_loss: float
    auroc: float
    tpr: float
    """at a false-positive rate of 0.01"""


class Tuned(NamedTuple):
    """The selected choices.

    Attributes
    ----------
    scene_weight : float
        Weight of simulated scenes; 0 if they do not help.
    hard : ndarray of shape (n,), bool
        Hard negatives among the rows of the pool.
    hard_weight : float
        Weight of the hard negatives.
    choices : list of Choice
        All choices that were compared.
    unlabelled_is_better : bool
        Whether the non-negative risk has a lower log loss.
    """

    scene_weight: float
    hard: np.ndarray
    hard_weight: float
    choices: list[Choice]
    unlabelled_is_better: bool


class _Rows(NamedTuple):
    features: np.ndarray
    label: np.ndarray
    group: np.ndarray
    weight: np.ndarray


def tune(
    features: np.ndarray,
    label: np.ndarray,
    group: np.ndarray,
    weight: np.ndarray,
    scenes: tuple[np.ndarray, np.ndarray, np.ndarray] | None,
    *,
    scene_weights: tuple[float, ...] = _SCENE_WEIGHTS,
    names: tuple[str, str] = ("the pool", "simulated scenes"),
    prevalence: float | None = None,
    n_jobs: int,
    verbose: int,
) -> Tuned:
    """Select training weights by the out-of-fold log loss of trees on rows of the pool.

    Parameters
    ----------
    features : ndarray of shape (n, 315)
    label, group, weight : ndarray of shape (n,)
    scenes : tuple of features (m, 315), label (m,) and weight (m,), or None
        Simulated scenes, or other rows that may be added to the rows of the pool.
    scene_weights : tuple of float
        Weights of `scenes` to compare.
    names : tuple of str
        Names of the rows of the pool and of `scenes`.
    prevalence : float, default=None
        Prevalence of lenses among the unchanged cutouts of the pool, for the non-negative risk; None skips it.
    n_jobs : int
        Number of processes.
    verbose : int
        1 shows the progress.
    """
    rows = _Rows(features, label, group, weight)
    weights = scene_weights if scenes is not None else (0.0,)
    compared: list[Choice] = []
    n = len(weights) + len(_HARD_WEIGHTS) + (prevalence is not None)
    with progress_bar("Comparing", n, visible=verbose > 0) as advance:

        def named(scene_weight: float) -> str:
            pool, others = names
            return f"{pool}, {others} with a weight of {scene_weight:g}" if scene_weight else f"{pool} alone"

        def judge(name: str, learned: _Rows, scene_weight: float, lenses: float | None = None) -> np.ndarray:
            advance(0, name)
            score = _out_of_fold(learned, scenes if scene_weight else None, scene_weight, n_jobs, lenses)
            compared.append(_judged(name, rows, score))
            advance(1)
            return score

        scores = [judge(named(one), rows, one) for one in weights]
        best = int(np.argmin([choice.log_loss for choice in compared]))
        chosen, hard = weights[best], _hard(rows, scores[best])
        factors = (1.0, *_HARD_WEIGHTS)
        for factor in _HARD_WEIGHTS:
            harder = rows._replace(weight=np.where(hard, factor, 1.0) * weight)
            judge(f"{named(chosen)}, hard negatives with a weight of {factor:g}", harder, chosen)
        losses = [compared[best].log_loss, *(choice.log_loss for choice in compared[len(weights) :])]
        better = False
        if prevalence is not None:
            judge(f"{names[0]} alone, unlabelled at a prevalence of {prevalence:g} (nnPU)", rows, 0.0, prevalence)
            better = compared[-1].log_loss < compared[0].log_loss
    return Tuned(chosen, hard, factors[int(np.argmin(losses))], compared, better)


def _out_of_fold(
    rows: _Rows,
    scenes: tuple[np.ndarray, np.ndarray, np.ndarray] | None,
    scene_weight: float,
    n_jobs: int,
    lenses: float | None,
) -> np.ndarray:
    """Return out-of-fold log-odds (n,) of the rows from trees.

    If `lenses`, the fraction of lenses among the rows without an arc, is given, these rows are unlabelled.
    """
    score = np.full(len(rows.label), np.nan)
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=0)
    splits = list(folds.split(rows.label, rows.label, rows.group))
    # One process per fold, because threads of LightGBM wait for each other on busy processors.
    found = Parallel(n_jobs=min(n_jobs, _FOLDS))(
        delayed(_fold)(rows, scenes, scene_weight, lenses, train, held) for train, held in splits
    )
    for (_, held), log_odds in zip(splits, found, strict=True):
        score[held] = log_odds
    return score


def _fold(
    rows: _Rows,
    scenes: tuple[np.ndarray, np.ndarray, np.ndarray] | None,
    scene_weight: float,
    lenses: float | None,
    train: np.ndarray,
    held: np.ndarray,
) -> np.ndarray:
    X, y, weight = rows.features[train], rows.label[train], rows.weight[train]
    if scenes is not None:
        X, y = np.concatenate([X, scenes[0]]), np.concatenate([y, scenes[1]])
        weight = np.concatenate([weight, scene_weight * scenes[2]])
    positive = float(np.mean(y))
    member = (
        LightGBMMember(n_estimators=_TREES, min_child_samples=_LEAF, turns=False)
        if lenses is None
        else NNPUMember(class_prior=positive + (1.0 - positive) * lenses, min_child_samples=_LEAF, turns=False)
    )
    member.fit(X, y, sample_weight=weight)
    return member_log_odds(member.predict_proba(rows.features[held])[:, 1])


def _judged(name: str, rows: _Rows, score: np.ndarray) -> Choice:
    """Return the metrics of scores; the log loss is computed after a logistic calibration."""
    calibrated = LogisticRegression(C=1e6).fit(score[:, None], rows.label)
    p = np.clip(expit(calibrated.decision_function(score[:, None])), 1e-9, 1.0 - 1e-9)
    loss = float(-np.mean(rows.label * np.log(p) + (1 - rows.label) * np.log1p(-p)))
    found = auroc(rows.label, score, n_boot=1).value, tpr_at_fpr(rows.label, score, 0.01, n_boot=1).value
    return Choice(name, loss, *(float(value) for value in found))


def _hard(rows: _Rows, score: np.ndarray) -> np.ndarray:
    """Return a mask of the cutouts without an arc that score highest."""
    negative = np.flatnonzero(rows.label == 0)
    count = max(1, round(_HARD * len(negative)))
    hard = np.zeros(len(score), dtype=bool)
    hard[negative[np.argsort(-score[negative], kind="stable")[:count]]] = True
    return hard
