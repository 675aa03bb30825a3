"""Consensus of graders: the probability of a lens from grades alone, and combined with that of a model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from gridlens.calibration._checks import checked_share
from gridlens.errors import GridlensError
from gridlens.grading._em import Fit, fit_shift, fit_tables
from gridlens.grading._labels import LABELS, CodedLabels, checked_gold, checked_grades, coded_labels

__all__ = ["Consensus", "consensus"]

_TEMPERING = 0.3
# Smallest number of gold objects of each class, with two labels or more, to estimate an intraclass correlation.
_LEAST_GOLD = 30
# A calibration on few rows gives probabilities of 0 and 1, which no grade could change.
_LEAST_P = 1e-6


@dataclass(frozen=True)
class Consensus:
    """Posteriors of graded objects and error rates of graders; see `consensus`.

    Attributes
    ----------
    objects : DataFrame
        A row for each graded object, in the order of the grades: `object_id`; `n_grades`, the number of grades
        including U and repeats; `n_graders`, the number of graders who labelled it; `q_grades`, the probability of a
        lens from grades alone, or the truth of a gold object; `q_all`, the same with the model's probability. Both are
        NaN for objects with only U grades, and `q_all` also if the model's probability is missing.
    graders : DataFrame
        A row for each grader: `grader`; `n_labels`, the number of labelled objects; `n_gold`, the number of gold
        objects among them; `lens_A` to `lens_X` and `other_A` to `other_X`, P(grade | class).
    prevalence : float
        Fraction of lenses among the objects with a label that are not gold; NaN without such objects.
    tempering : float
        The value used.
    shift : float
        Logarithm of the factor by which the odds of the model were multiplied; 0 if they were not.
    """

    objects: pd.DataFrame
    graders: pd.DataFrame
    prevalence: float
    tempering: float
    shift: float


def consensus(
    grades: pd.DataFrame,
    *,
    gold: pd.DataFrame | None = None,
    p: pd.Series[float] | None = None,
    prevalence: float | None = None,
    shrinkage: float = 20.0,
    tempering: float | Literal["gold"] = 0.3,
    shift: bool = True,
) -> Consensus:
    """Compute the consensus of graders by the model of Dawid and Skene.

    Each object is a lens or not, and each grader has a table of P(grade in A, B, C, X | class) [1]_. Tables and
    prevalence are fitted by EM. One table that all graders share is fitted first, and the table of each grader is
    shrunk towards it. EM starts from a declared table in which A favours the lens class, so that the two classes do
    not swap.

    Graders err on the same objects, so k grades are less evidence than k independent ones. Their likelihood ratios are
    raised to the power of ``1 / (1 + tempering * (k - 1))``, as for the design effect of clustered samples [2]_. This
    is done after the fit, because within it the prevalence would be biased if errors are independent.

    There are two separate posteriors. `q_grades` has the prevalence as its prior, does not use a model, and is used for
    training labels. `q_all` has the model's probability as its prior, ranks objects for follow-up, and is never used
    for labels.

    Parameters
    ----------
    grades : DataFrame
        The columns `object_id`, `grader` and `grade`; U is a missing label. If a grader labelled an object several
        times, the label with the latest `t_graded` counts, or the last row in a table without times.
    gold : DataFrame, default=None
        Objects with a known class: `object_id`, and `truth`, 1 for a lens and 0 otherwise.
    p : Series of float, default=None
        The model's out-of-fold probability, from 0 to 1, by object id; NaN is missing. Values are clipped to 1e-6 from
        0 and 1.
    prevalence : float, default=None
        Fraction of lenses among the objects, between 0 and 1. If None, it is estimated.
    shrinkage : float, default=20.0
        Number of grades of each class as which the shared table counts in the table of a grader. 0 is the plain
        model, without any prior.
    tempering : float or "gold", default=0.3
        Correlation of the errors of graders, from 0 (independent) to 1 (k graders are no more evidence than one).
        "gold" estimates the intraclass correlation of the log-likelihood ratios of labels on gold objects, or falls
        back to 0.3 if fewer than 30 of either class have two labels. Gold objects are often easier than others, and the
        estimate is then too low.
    shift : bool, default=True
        Shift the log-odds of `p` by the constant that fits the grades best, because the prevalence it was calibrated
        for is rarely that of the graded objects. If False, `p` is used unchanged.

    Returns
    -------
    Consensus
        Without grades, empty tables and a prevalence of NaN.

    Raises
    ------
    GridlensError
        A table lacks a column, a grade is unknown, a truth is neither 0 nor 1, or an object has two.
    TypeError
        A table is not a DataFrame, or `p` is not a Series.
    ValueError
        `p`, `prevalence`, `shrinkage` or `tempering` is out of range.

    Notes
    -----
    An object with one label that is not gold carries no information on error rates, since any table explains it at some
    prevalence. Such objects are not used for the tables. A single grader without gold objects gets the declared table;
    the prevalence of all objects is then estimated with a weak prior of 0.2, worth 20 objects.

    References
    ----------
    .. [1] Dawid & Skene 1979, "Maximum likelihood estimation of observer error-rates using the EM algorithm",
       Applied Statistics 28, 20.
    .. [2] Kish 1965, Survey Sampling, section 5.4.

    Examples
    --------
    >>> import pandas as pd
    >>> from gridlens.grading import consensus
    >>> grades = pd.DataFrame(
    ...     {
    ...         "object_id": ["1", "1", "2", "2", "3", "3", "4"],
    ...         "grader": ["ada", "ben", "ada", "ben", "ada", "ben", "ada"],
    ...         "grade": ["A", "B", "X", "X", "X", "C", "U"],
    ...     }
    ... )
    >>> consensus(grades).objects["q_grades"].round(1).tolist()
    [1.0, 0.0, 0.0, nan]
    """
    frame = checked_grades(grades)
    truths = checked_gold(gold)
    share = None if prevalence is None else checked_share("prevalence", prevalence)
    _check_settings(shrinkage, tempering)
    coded = coded_labels(frame)
    truth = truths.reindex(coded.objects).to_numpy(dtype=np.float64)
    model = None if p is None else _log_odds(p, coded.objects)

    found = fit_tables(
        coded.object_of,
        coded.grader_of,
        coded.label_of,
        truth,
        n_graders=len(coded.graders),
        prevalence=share,
        shrinkage=float(shrinkage),
    )
    correlation = _gold_correlation(coded, truth, found.tables) if tempering == "gold" else float(tempering)
    return _assembled(coded, truth, found, _TEMPERING if correlation is None else correlation, model, shift)


def _check_settings(shrinkage: Any, tempering: Any) -> None:
    if not (isinstance(shrinkage, int | float) and 0.0 <= shrinkage < math.inf):
        raise ValueError(f"The 'shrinkage' parameter must be a non-negative number. Got {shrinkage!r} instead.")
    if tempering != "gold" and not (isinstance(tempering, int | float) and 0.0 <= tempering <= 1.0):
        raise ValueError(
            f"The 'tempering' parameter must be a number between 0 and 1, or 'gold'. Got {tempering!r} instead."
        )


def _log_odds(p: Any, objects: list[str]) -> np.ndarray:
    """Return the log-odds of a model by object number, NaN if missing."""
    if not isinstance(p, pd.Series):
        raise TypeError(f"The 'p' parameter must be a Series by object id. Got {type(p).__name__} instead.")
    if p.index.has_duplicates:
        raise GridlensError(
            "The 'p' parameter must have one probability for each object. Got two for "
            f"{p.index[p.index.duplicated()][0]!r}; remove one."
        )
    values = p.reindex(objects).to_numpy(dtype=np.float64)
    strange = values[(values < 0.0) | (values > 1.0)]
    if len(strange):
        raise ValueError(f"The 'p' parameter must be probabilities from 0 to 1. Got {strange[0]:g} instead.")
    return np.asarray(logit(np.clip(values, _LEAST_P, 1.0 - _LEAST_P)))


def _gold_correlation(coded: CodedLabels, truth: np.ndarray, tables: np.ndarray) -> float | None:
    """Return the intraclass correlation of labels' log-likelihood ratios on gold, from 0 to 1; None with too few.

    The estimator is that of the analysis of variance for groups of unequal sizes (Donner 1986, International
    Statistical Review 54, 67), with the variances of both classes pooled.
    """
    n_labels = np.bincount(coded.object_of, minlength=len(coded.objects))
    usable = n_labels >= 2
    if min((usable & (truth == 1.0)).sum(), (usable & (truth == 0.0)).sum()) < _LEAST_GOLD:
        return None
    ratio = np.log(tables[coded.grader_of, 0, coded.label_of] / tables[coded.grader_of, 1, coded.label_of])
    between = within = 0.0
    degrees_between = degrees_within = 0
    sizes: list[np.ndarray] = []
    for value in (0.0, 1.0):
        chosen = usable & (truth == value)
        rows = chosen[coded.object_of]
        total = np.bincount(coded.object_of[rows], ratio[rows], len(truth))[chosen]
        size = n_labels[chosen]
        mean = total / size
        squares = np.bincount(coded.object_of[rows], ratio[rows] ** 2, len(truth))[chosen]
        within += float((squares - size * mean**2).sum())
        between += float((size * (mean - total.sum() / size.sum()) ** 2).sum())
        degrees_between += len(size) - 1
        degrees_within += int((size - 1).sum())
        sizes.append(size)
    size = np.concatenate(sizes)
    typical = (size.sum() - (size**2).sum() / size.sum()) / (len(size) - 1)
    mean_between, mean_within = between / degrees_between, within / degrees_within
    spread = mean_between + (typical - 1.0) * mean_within
    return 0.0 if spread <= 0.0 else float(np.clip((mean_between - mean_within) / spread, 0.0, 1.0))


def _assembled(
    coded: CodedLabels, truth: np.ndarray, found: Fit, tempering: float, model: np.ndarray | None, shift: bool
) -> Consensus:
    n_labels = np.bincount(coded.object_of, minlength=len(coded.objects))
    labelled, is_gold = n_labels > 0, ~np.isnan(truth)
    evidence = found.evidence / (1.0 + tempering * np.maximum(n_labels - 1, 0))
    q_grades = np.where(is_gold, truth, expit(logit(found.prevalence) + evidence))
    q_all, moved = np.full(len(truth), np.nan), 0.0
    if model is not None:
        known = labelled & ~is_gold & ~np.isnan(model)
        moved = fit_shift(model[known], evidence[known]) if shift else 0.0
        # A gold object without a probability of the model stays NaN.
        q_all = np.where(is_gold, truth + 0.0 * model, expit(model + moved + evidence))
    objects = pd.DataFrame(
        {
            "object_id": pd.Series(coded.objects, dtype=object),
            "n_grades": coded.n_grades,
            "n_graders": n_labels,
            "q_grades": np.where(labelled, q_grades, np.nan),
            "q_all": np.where(labelled, q_all, np.nan),
        }
    )
    columns = [f"{kind}_{label}" for kind in ("lens", "other") for label in LABELS]
    on_gold = np.bincount(coded.grader_of, is_gold[coded.object_of], len(coded.graders))
    graders = pd.DataFrame(
        {
            "grader": pd.Series(coded.graders, dtype=object),
            "n_labels": np.bincount(coded.grader_of, minlength=len(coded.graders)),
            "n_gold": on_gold.astype(np.int64),
        }
    )
    graders[columns] = found.tables.reshape(len(coded.graders), len(columns))
    prevalence = found.prevalence if (labelled & ~is_gold).any() else math.nan
    return Consensus(objects, graders, prevalence, tempering, moved)
