"""Maximum a posteriori estimate of the error rates of graders, by EM over integer codes."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit

from gridlens.grading._labels import LABELS

__all__ = ["DECLARED", "Fit", "fit_shift", "fit_tables"]

DECLARED = np.array([[0.45, 0.30, 0.15, 0.10], [0.01, 0.04, 0.10, 0.85]])
"""declared P(grade in A, B, C, X | class) of lenses and of other objects: the starting point of EM, and a weak prior of
the pooled table"""
# Weak prior of the prevalence: this fraction of lenses, with the weight of this number of objects.
_LIKELY, _ALIKE = 0.2, 20.0
# P(lens | label) at this prevalence: A 0.92, B 0.65, C 0.27, X 0.03.
_START = _LIKELY * DECLARED[0] / (_LIKELY * DECLARED[0] + (1.0 - _LIKELY) * DECLARED[1])
# Weight of the prior of the pooled table: one count per grade.
_PRIOR = float(len(LABELS))
_LEAST = 1e-10
_TOLERANCE = 1e-8
_MOST_STEPS = 500
# The odds of the model are shifted by at most this factor.
_MOST_SHIFT = math.log(1e3)


class Fit(NamedTuple):
    """Tables and posteriors.

    Attributes
    ----------
    tables : ndarray of shape (n_graders, 2, n_labels), float64
        P(label | class), of lenses first.
    prevalence : float
    q : ndarray of shape (n_objects,), float64
        Posterior of the lens class if labels are independent; the truth of gold objects.
    evidence : ndarray of shape (n_objects,), float64
        Sum of the logarithms of the likelihood ratios of an object's labels.
    history : list of float
        Logarithm of the posterior of tables and prevalence before each step, up to a constant.
    """

    tables: np.ndarray
    prevalence: float
    q: np.ndarray
    evidence: np.ndarray
    history: list[float]


def fit_tables(
    object_of: np.ndarray,
    grader_of: np.ndarray,
    label_of: np.ndarray,
    truth: np.ndarray,
    *,
    n_graders: int,
    prevalence: float | None,
    shrinkage: float,
) -> Fit:
    """Fit the tables of all graders and the prevalence.

    One table for all graders is fitted first. Then one is fitted for each grader, with `shrinkage` additional counts
    for each class in proportion to the common table. Each fit maximises its own posterior, which no step lowers.
    Objects that have only one label and are not gold are not used in either fit, since they carry no information on
    error rates. The prevalence is that of all objects, given the tables.

    Parameters
    ----------
    object_of, grader_of, label_of : ndarray of shape (n_labels,), int64
    truth : ndarray of shape (n_objects,), float64
        1 or 0 for gold objects, NaN for others.
    n_graders : int
    prevalence : float or None
        If None, it is estimated.
    shrinkage : float
        If 0, there is no prior at all.

    Returns
    -------
    Fit
        With the history of the second fit.
    """
    patterns = _patterns(object_of, grader_of * len(LABELS) + label_of, truth, n_graders)
    n_labels = np.bincount(patterns.object_of, minlength=len(patterns.truth))
    label = patterns.cell % len(LABELS)
    start = np.bincount(patterns.object_of, _START[label], len(n_labels)) / np.maximum(n_labels, 1)
    q = np.where(np.isnan(patterns.truth), start, patterns.truth)
    prior = np.zeros_like(DECLARED)
    fitted = patterns
    if shrinkage > 0.0:
        # Any table explains objects with one label that are not gold, at some prevalence, so they are not used here.
        fitted = patterns._replace(times=np.where((n_labels > 1) | ~np.isnan(patterns.truth), patterns.times, 0.0))
        common = _climb(fitted._replace(cell=label), q, 1, prevalence, _PRIOR * DECLARED)
        q, prior = common.q, shrinkage * common.tables[0]
    found = _climb(fitted, q, n_graders, prevalence, prior)
    if shrinkage > 0.0 and prevalence is None:
        found = _with_prevalence(found, patterns)
    return found._replace(q=found.q[patterns.pattern_of], evidence=found.evidence[patterns.pattern_of])


def _with_prevalence(found: Fit, patterns: _Patterns) -> Fit:
    """Return a fit with the prevalence and the posteriors of all objects, including those with one label."""
    fixed = ~np.isnan(patterns.truth)
    counted = np.bincount(patterns.object_of, minlength=len(fixed)) > 0
    free = np.where(counted & ~fixed, patterns.times, 0.0)
    if not free.any():
        return found
    share = found.prevalence
    for _ in range(_MOST_STEPS):
        q = expit(logit(_clipped(share)) + found.evidence)
        before, share = share, float(((free * q).sum() + _LIKELY * _ALIKE) / (free.sum() + _ALIKE))
        if abs(share - before) < _TOLERANCE:
            break
    q = np.where(fixed, patterns.truth, expit(logit(_clipped(share)) + found.evidence))
    return found._replace(q=q, prevalence=share)


class _Patterns(NamedTuple):
    """Counts of objects with the same labels by the same graders: a few hundred patterns for a million grades.

    Attributes
    ----------
    object_of, cell : ndarray of shape (n_labels,), int64
        Pattern of each label that is kept, and the number of its grader and label.
    truth, times : ndarray of shape (n_patterns,), float64
    pattern_of : ndarray of shape (n_objects,), int64
    """

    object_of: np.ndarray
    cell: np.ndarray
    truth: np.ndarray
    times: np.ndarray
    pattern_of: np.ndarray


def _patterns(object_of: np.ndarray, cell: np.ndarray, truth: np.ndarray, n_graders: int) -> _Patterns:
    # The key of a pattern is a sum of random words. The chance that any two of 10^6 patterns share one is below 10^-7.
    words = np.random.default_rng(0).integers(2**64, size=n_graders * len(LABELS) + 3, dtype=np.uint64)
    key = words[np.where(np.isnan(truth), 2, truth).astype(np.int64)]
    np.add.at(key, object_of, words[3:][cell])
    _, first, pattern_of, times = np.unique(key, return_index=True, return_inverse=True, return_counts=True)
    number = np.full(len(truth), -1)
    number[first] = np.arange(len(first))
    kept = number[object_of] >= 0
    return _Patterns(number[object_of[kept]], cell[kept], truth[first], times.astype(np.float64), pattern_of.ravel())


def _climb(patterns: _Patterns, q: np.ndarray, n_graders: int, prevalence: float | None, prior: np.ndarray) -> Fit:
    """Run EM from the posteriors `q`; `prior` has shape (2, n_labels) and contains counts."""
    object_of, cell, truth, times, _ = patterns
    n_objects, n_cells = len(truth), n_graders * len(LABELS)
    counted = np.bincount(object_of, minlength=n_objects) > 0
    fixed = ~np.isnan(truth)
    free = np.where(counted & ~fixed, times, 0.0)
    n_free, known = free.sum(), np.where(fixed, times, 0.0)
    total = np.bincount(cell, times[object_of], n_cells).reshape(n_graders, len(LABELS))
    history: list[float] = []
    for _ in range(_MOST_STEPS):
        lens = np.bincount(cell, (times * q)[object_of], n_cells).reshape(n_graders, len(LABELS))
        counts = np.stack([lens, total - lens], axis=1) + prior
        tables = np.maximum(counts, _LEAST)
        tables /= tables.sum(axis=2, keepdims=True)
        share = _clipped((free * q).sum() / n_free if n_free else 0.5) if prevalence is None else prevalence
        logs = np.log(tables)
        per_class = [np.bincount(object_of, logs[:, c].ravel()[cell], n_objects) for c in (0, 1)]
        evidence = per_class[0] - per_class[1]
        new = np.where(fixed, truth, expit(logit(share) + evidence))
        mixed = np.logaddexp(np.log(share) + per_class[0], np.log1p(-share) + per_class[1])
        own = np.where(truth == 1.0, per_class[0], per_class[1])
        history.append(float((free * mixed).sum() + (known * own).sum() + (prior * logs).sum()))
        change = np.abs(new - q)[counted].max(initial=0.0)
        q = new
        if change < _TOLERANCE:
            break
    return Fit(tables, share, q, evidence, history)


def fit_shift(log_odds: np.ndarray, evidence: np.ndarray) -> float:
    """Return the shift of the log-odds of a model that maximizes the likelihood of the labels.

    The prevalence for which a model was calibrated is rarely that of the graded objects. Objects are graded because of
    their scores, on which the model's probability is conditional already, so one shift fits all of them. It is at most
    a factor of 1000 of the odds; 0 without objects.
    """
    if not len(log_odds):
        return 0.0

    def slope(shift: float) -> float:
        # The derivative of the log-likelihood: expected lenses with the labels minus expected lenses without them.
        return float((expit(log_odds + shift + evidence) - expit(log_odds + shift)).sum())

    if slope(-_MOST_SHIFT) <= 0.0:
        return -_MOST_SHIFT
    if slope(_MOST_SHIFT) >= 0.0:
        return _MOST_SHIFT
    return float(brentq(slope, -_MOST_SHIFT, _MOST_SHIFT))


def _clipped(share: float) -> float:
    return float(min(max(share, _LEAST), 1.0 - _LEAST))
