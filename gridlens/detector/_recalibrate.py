"""Recalibration of a detector to the false positive rates of a pool of unlabelled cutouts."""

from __future__ import annotations

import copy
import math
from typing import Any, NamedTuple, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from gridlens.calibration import IsotonicCalibrator
from gridlens.calibration._recalibrate import ClassScores, even_log_odds, match_false_alarms, recalibrated_calibrator
from gridlens.cutouts import CutoutSet
from gridlens.detector._inputs import as_inputs, as_measured
from gridlens.detector._trained import is_trained
from gridlens.errors import GridlensError
from gridlens.features import Measured

__all__ = [
    "LARGEST_PREVALENCE",
    "Recalibrated",
    "RecalibratedDetector",
    "Recalibration",
    "check_recalibration",
    "learn_class_scores",
    "recalibrate",
]

_FEWEST_POOL = 200
_FEWEST_NON_LENSES = 100
LARGEST_PREVALENCE = 0.1
"""largest prevalence of a pool whose cutouts count as non-lenses"""


class Recalibration(NamedTuple):
    """Pool that the probabilities of a detector were recalibrated on."""

    n_pool: int
    """number of usable cutouts in the pool"""
    prevalence: float
    """prevalence of lenses in the pool"""
    ratio: float
    """false positives at even odds, before, relative to the calibration non-lenses; NaN where unknown"""
    pool: str = ""
    """origin of the pool; "" for one in memory"""

    def __str__(self) -> str:
        counted = (
            "the calibration of the model has no false positive at even odds"
            if math.isnan(self.ratio)
            else f"at even odds it has {self.ratio:.2g} times the false positives of the model's own calibration"
        )
        of = f" of {self.pool}" if self.pool else ""
        return f"recalibrated on {self.n_pool:,} cutouts{of}, presumed lens-free up to {self.prevalence:.2g}: {counted}"


class Recalibrated(NamedTuple):
    """Calibrator from the recalibration of a detector to a pool; it can be sent to other processes."""

    calibrator: IsotonicCalibrator
    recalibration: Recalibration

    def applied_to(self, detector: Any) -> Any:
        """Return a copy of the detector with the new calibrator."""
        changed = copy.copy(detector)
        changed.calibrator_, changed.recalibration_ = self
        # The branches of a screen have their own calibrations, which would not be consistent with the new one.
        changed.screen_ = None
        return changed


class RecalibratedDetector:
    """Mixin with the method `recalibrated` of a detector."""

    def recalibrated(self, pool: CutoutSet | Measured | np.ndarray, prevalence: float = 1e-3) -> Self:
        """Return a detector whose probabilities follow the false positive rates of a pool of unlabelled cutouts.

        The scores of the pool show how often cutouts without a lens reach a given score on its sky. The comparison with
        the calibration non-lenses of the model gives a map of the odds that increases with the score, so that no rank
        changes. No member is fitted again.

        Parameters
        ----------
        pool : CutoutSet or Measured of n, or ndarray of shape (n, 315)
            At least 200 usable cutouts of the sky that is to be scored, selected in the same way; they may be the same
            cutouts. Rejected cutouts and training cutouts of the model are left out.
        prevalence : float, default=1e-3
            Fraction of lenses in the pool, from 0 to 0.1. They are assumed to score as in the calibration set, and do
            not count as false positives.

        Returns
        -------
        LensDetector
            A copy with other probabilities and intervals and the same members. `recalibration_` describes the pool. The
            copy can be saved, but cannot screen.

        Raises
        ------
        GridlensError
            If there are fewer than 200 usable cutouts; the model contains no calibration scores, or was already
            recalibrated; or a member needs cutouts and features were given.
        ValueError
            If `prevalence` is outside 0 to 0.1.

        Notes
        -----
        A pool carries no information on the scores of lenses on its sky. The odds are the geometric mean of those under
        two assumptions: that the odds of a score are unchanged, and that scores with the same false positive rate have
        the same odds. On labelled sets of other skies, the gain is largest where the probabilities are worst, and there
        is a small loss where the scores of lenses shift as much as those of other cutouts (``python
        benchmarks/recalibration.py``). Rates that agree with those of the calibration within their standard error leave
        the odds unchanged. Above the score that ten cutouts of the pool reach, the odds are multiplied by a constant.

        Examples
        --------
        >>> import numpy as np
        >>> from gridlens import load_model
        >>> pool = np.random.default_rng(0).normal(size=(300, 315)).astype(np.float32)
        >>> load_model().recalibrated(pool).recalibration_.n_pool
        300
        """
        detector: Any = self
        check_is_fitted(detector, "calibrator_")
        check_recalibration(detector, prevalence)
        if isinstance(pool, CutoutSet):
            pool = as_measured(pool, detector.metadata, detector.n_jobs)
        inputs, usable = as_inputs(pool, detector.metadata, detector.n_jobs)
        usable &= ~is_trained(inputs["features"], detector.training_rows_)
        p = detector.calibrated(detector.member_probabilities(pool))[usable]
        return recalibrate(detector, "pool", p, len(usable), prevalence).applied_to(self)


def learn_class_scores(scores: np.ndarray, label: np.ndarray) -> ClassScores | None:
    """Return the scores of calibration rows by class; None if there are too few non-lenses to count false positives."""
    return ClassScores.of(scores, label) if np.count_nonzero(label == 0) >= _FEWEST_NON_LENSES else None


def check_recalibration(detector: Any, prevalence: Any) -> None:
    """Raise an error if a detector cannot be recalibrated, or not at the given prevalence."""
    number = isinstance(prevalence, int | float | np.number) and not isinstance(prevalence, bool)
    if not number or not 0.0 <= prevalence <= LARGEST_PREVALENCE:
        raise ValueError(
            f"The 'prevalence' parameter must be a number from 0 to {LARGEST_PREVALENCE:g} for a recalibration, which "
            f"treats nearly all cutouts of the pool as non-lenses. Got {prevalence!r} instead."
        )
    if detector.recalibration_ is not None:
        raise GridlensError(
            "The model was recalibrated before, and its calibration no longer matches its own non-lenses. "
            "Recalibrate the original model."
        )
    if detector.class_scores_ is None:
        raise GridlensError(
            "The model cannot be recalibrated, because it contains no scores of its calibration rows. It was saved by "
            "an earlier version of gridlens, or calibrated without clean labels or on fewer than "
            f"{_FEWEST_NON_LENSES} non-lenses. Train the model again with at least that many."
        )


def recalibrate(detector: Any, name: str, p: np.ndarray, n: int, prevalence: float, *, pool: str = "") -> Recalibrated:
    """Return the recalibrated calibrator of a detector from the parameter `name`, a pool of `n` cutouts.

    Parameters
    ----------
    p : ndarray of shape (n_usable,)
        Calibrated probabilities of the usable cutouts in the pool, at the prevalence of the calibration; NaN are left
        out.
    pool : str, default=""
        Origin of the pool.
    """
    p = p[np.isfinite(p)]
    if len(p) < _FEWEST_POOL:
        raise GridlensError(
            f"The '{name}' parameter must contain at least {_FEWEST_POOL} usable cutouts, without training cutouts of "
            "the model: about one non-lens in fifteen is a false positive at even odds, and fewer cutouts have too "
            f"few of them to estimate a rate. Got {len(p)} (of {n}) instead."
        )
    trained = detector.calibration_prevalence_
    home = detector.class_scores_.moved(detector.calibrator_, trained)
    odds = match_false_alarms(home, even_log_odds(p, trained), prevalence)
    calibrator = recalibrated_calibrator(detector.calibrator_, trained, odds)
    return Recalibrated(calibrator, Recalibration(len(p), float(prevalence), odds.ratio, pool))
