"""Learning from known lenses among unlabelled cutouts: label frequency, calibration and ranking."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit
from scipy.stats import rankdata

from gridlens._constants import Z_95
from gridlens._progress import progress_bar
from gridlens.calibration import IsotonicCalibrator, shift_prior, wilson
from gridlens.detector import LensDetector
from gridlens.detector._inputs import inputs_of
from gridlens.pu._propensity import calibrated_scores, estimate_propensity
from gridlens.stacking import MemberStack
from gridlens.training._examples import Examples, TrainingSet

__all__ = ["KnownLenses", "LabelFrequency", "calibrate_unlabelled", "learn_from_known_lenses"]

_EVEN = 0.5
_TOP_FRACTIONS = (0.01, 0.05)
_GRID = 256
# Largest prevalence implied by an estimate.
_MOST = 0.99


class LabelFrequency(NamedTuple):
    """The fraction of the lenses that are known, estimated from known lenses and unlabelled cutouts.

    Attributes
    ----------
    value : float
        The label frequency c = P(known | lens).
    low, high : float
        95 % interval if some lenses can be distinguished from all other cutouts; otherwise c is larger.
    known : int
        Number of known lenses.
    n : int
        Number of cutouts, including the known lenses.
    """

    value: float
    low: float
    high: float
    known: int
    n: int

    def prevalence(self, c: float) -> float:
        """Return the prevalence of lenses at a label frequency, at most 0.99."""
        return min(self.known / self.n / c, _MOST)

    def words(self) -> str:
        """Return a paragraph for the model card: the estimate and its assumptions."""
        prevalence = [self.prevalence(c) for c in (self.value, self.high, self.low)]
        return f"""\
{self.known:,} of {self.n:,} cutouts are known lenses; the others are unlabelled. The estimated label frequency, the
fraction of all lenses in these cutouts that are known, is {self.value:.2g} [{self.low:.2g}, {self.high:.2g}], which
implies a prevalence of {prevalence[0]:.2g} [{prevalence[1]:.2g}, {prevalence[2]:.2g}] (Elkan & Noto 2008). The
probability of being a lens is the probability of being a known lens divided by the label frequency; its interval
includes the uncertainty of the label frequency. The probabilities are correct under two assumptions that these data
cannot test:

- The known lenses are a random sample of the lenses. If bright lenses were found first, faint lenses count as
  non-lenses, and their probabilities are too low.
- Some lenses are distinct from all other cutouts. If lenses and other cutouts overlap everywhere, the label frequency
  is larger than estimated (up to 1), the prevalence is smaller (down to {self.known / self.n:.2g}), and the
  probabilities of the best candidates are too high.

At a declared prevalence, `p_lens` depends on the label frequency only for the best candidates. Clean labels for some
cutouts (`calibration`) make both assumptions unnecessary."""


def calibrate_unlabelled(detector: LensDetector, learn: Examples) -> LabelFrequency:
    """Calibrate a fitted detector on its out-of-fold scores of known lenses and unlabelled rows.

    The calibrator returns P(known | score) / c, see `LabelFrequency`. Vetted non-lenses are used for the calibration,
    but not for the estimate of c.

    Parameters
    ----------
    detector : LensDetector
        Detector fitted on `learn`. Its calibrator and its calibration prevalence are replaced. It can then neither
        screen nor be recalibrated, because both need clean labels.
    learn : Examples
        Rows with a label of 1 for known lenses and 0 for the others.
    """
    stack = detector.stack_
    frequency = _label_frequency(stack, learn)
    score = stack.combine(stack.out_of_fold_)
    known = IsotonicCalibrator().fit(score, learn.label, learn.group)
    detector.calibrator_ = _divided(known, score, frequency)
    detector.screen_ = detector.class_scores_ = None
    detector.calibration_prevalence_ = frequency.prevalence(frequency.value)
    return frequency


def _label_frequency(stack: MemberStack, learn: Examples) -> LabelFrequency:
    free = np.ones(len(learn.label), dtype=bool) if learn.vetted is None else ~learn.vetted
    label, folds = learn.label[free], stack.folds_[free]
    group = None if learn.group is None else learn.group[free]
    p = expit(stack.out_of_fold_score(learn.label))[free]
    found = estimate_propensity(calibrated_scores(p, label, folds), label, folds, "top", groups=group)
    # There are at least as many lenses as known lenses, and at most as many as rows.
    least = float(label.mean()) / _MOST
    value = max(found.value, least)
    low, high = max(value - Z_95 * found.error, least), min(value + Z_95 * found.error, 1.0)
    return LabelFrequency(value, low, high, int(learn.label.sum()), len(learn.label))


def _divided(known: IsotonicCalibrator, score: np.ndarray, frequency: LabelFrequency) -> IsotonicCalibrator:
    """Return the calibrator of P(lens | score) from that of P(known | score)."""
    x = known.thresholds_x_
    if known.method_ == "beta":
        x = np.unique(np.quantile(score, np.linspace(0.0, 1.0, _GRID)))
    p = known.predict(x) / frequency.value
    # Laplace's rule with half counts: the number of rows that reach the label frequency limits the certainty.
    sure = known.predict(score) >= frequency.value
    slack = 0.5 / (int(sure.sum()) + 1)
    capped = p > 1.0 - 2.0 * slack
    p[capped] = 1.0 - slack * (2.0 - np.arange(1, capped.sum() + 1) / capped.sum())
    assert known.limits_ is not None
    at, low, high = known.limits_
    limits = [at.tolist(), *(ends.tolist() for ends in _lens_limits(low, high, frequency))]
    return IsotonicCalibrator.from_dict(
        known.to_dict()
        | {"method": "isotonic", "thresholds_x": x.tolist(), "thresholds_y": p.tolist(), "limits": limits}
    )


def _lens_limits(low: np.ndarray, high: np.ndarray, frequency: LabelFrequency) -> tuple[np.ndarray, np.ndarray]:
    """Return limits of P(lens) from those of P(known), over the interval of the label frequency.

    The limits are combined in the odds at even prevalence, on which scores are based, and shifted to the estimated
    prevalence. Depending on the score, these odds rise or fall with c, so both ends are evaluated.
    """
    own = frequency.prevalence(frequency.value)

    def at(values: np.ndarray, c: float) -> np.ndarray:
        even = shift_prior(np.minimum(values / c, 1.0), frequency.prevalence(c), _EVEN)
        return shift_prior(even, _EVEN, own)

    ends = (frequency.low, frequency.high)
    return np.min([at(low, c) for c in ends], axis=0), np.max([at(high, c) for c in ends], axis=0)


class KnownLenses(NamedTuple):
    """Results of a training on known lenses."""

    sections: list[tuple[str, str]]
    """headings and texts of the model card"""
    ranking: pd.DataFrame
    """see `out_of_fold_ranking`"""
    record: dict[str, Any]
    """for the manifest"""


def learn_from_known_lenses(detector: LensDetector, taught: TrainingSet, learn: Examples) -> KnownLenses:
    """Calibrate a detector if no row has a clean label, and rank the known lenses out of fold.

    Parameters
    ----------
    detector : LensDetector
        Fitted on `learn`.
    taught : TrainingSet
        Training set of positive-unlabelled learning.
    learn : Examples
        Training rows, which may be followed by mined negatives.
    """
    stack = detector.stack_
    if np.isnan(stack.out_of_fold_).any():
        inputs, _ = inputs_of(learn.store.measured())
        with progress_bar("Fitting", detector.cv, visible=detector.verbose > 0) as advance:
            stack.out_of_fold_ = stack.out_of_fold(inputs, learn.label, learn.group, learn.weight, progress=advance)
    sections, record = [], {}
    if taught.calibrate is None:
        frequency = calibrate_unlabelled(detector, learn)
        sections.append(("Label frequency", frequency.words()))
        record["label_frequency"] = frequency._asdict()
    ranking = out_of_fold_ranking(detector, taught.learn, learn.label)
    sections.append(("Known lenses, out of fold", known_lens_words(ranking)))
    return KnownLenses(sections, ranking, record)


def out_of_fold_ranking(detector: LensDetector, learn: Examples, label: np.ndarray) -> pd.DataFrame:
    """Rank the training rows by out-of-fold scores, from members and weights fitted on the other folds.

    Parameters
    ----------
    detector : LensDetector
        Fitted.
    learn : Examples of n
        Training rows, with a label of 1 for known lenses.
    label : ndarray
        Labels of all rows of the fit, beginning with those of `learn`.

    Returns
    -------
    DataFrame of n rows
        Best first, with the columns `id`, `known_lens` (1 or 0), `score` (as in the table of scores, at even
        prevalence), `rank`, where 1 is the best and ties share the better rank, `top_fraction` (rank over n) and
        `fold`.
    """
    stack, n = detector.stack_, len(learn.label)
    log_odds = stack.out_of_fold_score(label)[:n]
    rank = rankdata(-log_odds, method="min").astype(np.int64)
    even = shift_prior(detector.calibrator_.predict(log_odds), detector.calibration_prevalence_, _EVEN)
    table = pd.DataFrame(
        {
            "id": learn.store.measured().ids,
            "known_lens": (learn.label == 1).astype(np.int64),
            "score": even,
            "rank": rank,
            "top_fraction": rank / n,
            "fold": stack.folds_[:n],
        }
    )
    return table.sort_values("rank", kind="stable", ignore_index=True)


def known_lens_words(ranking: pd.DataFrame) -> str:
    """Return a paragraph for the card on the number of known lenses among the top of a ranking."""
    n, found = len(ranking), []
    table = ranking[ranking["known_lens"] == 1]
    for fraction in _TOP_FRACTIONS:
        inside = int((table["top_fraction"] <= fraction).sum())
        low, high = wilson(inside, len(table))
        found.append(
            f"{inside} of {len(table)} ({inside / len(table):.0%} [{low:.0%}, {high:.0%}]) are in the top "
            f"{fraction:.0%} ({int(fraction * n):,} cutouts)"
        )
    last = table.iloc[-1]
    return (
        f"Each known lens was scored out of fold and ranked among all {n:,} cutouts:\n"
        f"{found[0]},\n{found[1]}.\nTheir median rank is {table['rank'].median():,.0f}; the lowest-ranked one is "
        f"{last['id']}, at rank {last['rank']:,}. The ranking beside the model lists all of them."
    )
