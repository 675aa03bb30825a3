"""`recalibrated`: a detector whose probabilities follow the false-alarm rates of a pool."""

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
"""of a pool whose cutouts count as non-lenses"""


class Recalibration(NamedTuple):
    """The pool that the probabilities of a detector were recalibrated on."""

    n_pool: int
    """usable cutouts of the pool"""
    prevalence: float
    """of lenses in the pool"""
    ratio: float
    """false alarms at even odds, before, over those among the non-lenses of the calibration; NaN where unknown"""
    pool: str = ""
    """where the pool came from; "" for one in memory"""

    def __str__(self) -> str:
        counted = (
            "the calibration of the model has no false alarm at even odds"
            if math.isnan(self.ratio)
            else f"at even odds it has {self.ratio:.2g} times the false alarms of the model's own calibration"
        )
        of = f" of {self.pool}" if self.pool else ""
        return f"recalibrated on {self.n_pool:,} cutouts{of}, presumed lens-free up to {self.prevalence:.2g}: {counted}"


class Recalibrated(NamedTuple):
    """A calibrator that a pool gave a detector; it can be sent to other processes."""

    calibrator: IsotonicCalibrator
    recalibration: Recalibration

    def applied_to(self, detector: Any) -> Any:
        """Return a copy of the detector that was recalibrated, with the new calibrator."""
        changed = copy.copy(detector)
        changed.calibrator_, changed.recalibration_ = self
        # The branches of a screen have calibrations of their own.
        changed.screen_ = None
        return changed


class RecalibratedDetector:
    """The method `recalibrated` of a detector."""

    def recalibrated(self, pool: CutoutSet | Measured | np.ndarray, prevalence: float = 1e-3) -> Self:
        """Return a detector whose probabilities follow the false-alarm rates of a pool of unlabelled cutouts.

        The scores of the pool show how often cutouts without a lens score as high as some value on its sky. Compared
        with the non-lenses that the model was calibrated on, they move the odds of all scores by a map that rises with
        the score, so that no rank changes. Nothing is trained.

        Parameters
        ----------
        pool : CutoutSet or Measured of n, or ndarray of shape (n, 315)
            At least 200 usable cutouts of the sky that is to be scored, chosen as those are; they may be the same.
            Rejected cutouts and those that the model has learned from are left out.
        prevalence : float, default=1e-3
            Fraction of lenses in the pool, from 0 to 0.1. They are taken to score as those of the calibration, and are
            not counted as false alarms.

        Returns
        -------
        LensDetector
            A copy with other probabilities and intervals and the same members. `recalibration_` says what it was
            recalibrated on. It can be saved, and cannot screen.

        Raises
        ------
        GridlensError
            There are fewer than 200 usable cutouts; the model holds no scores of its calibration, or was recalibrated
            before; or a member needs cutouts and features were given.
        ValueError
            `prevalence` is not from 0 to 0.1.

        Notes
        -----
        A pool tells nothing of how lenses score on its sky. The odds are the geometric mean of those of two
        assumptions: that the odds of a score stay, and that scores of the same false-alarm rate have the same odds. On
        labelled sets of other skies it gains most where the probabilities are worst, and costs a little where lenses
        score as differently as other cutouts do (``python benchmarks/recalibration.py``). Rates that agree with those
        of the calibration within their standard error move nothing. Beyond the scores that ten cutouts of the pool
        reach, the odds are multiplied by a constant.

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
    """Return the scores of calibration rows by class; None with too few non-lenses to count false alarms."""
    return ClassScores.of(scores, label) if np.count_nonzero(label == 0) >= _FEWEST_NON_LENSES else None


def check_recalibration(detector: Any, prevalence: Any) -> None:
    """Raise an error where a detector cannot be recalibrated, or not at a prevalence."""
    number = isinstance(prevalence, int | float | np.number) and not isinstance(prevalence, bool)
    if not number or not 0.0 <= prevalence <= LARGEST_PREVALENCE:
        raise ValueError(
            f"The 'prevalence' parameter must be a number from 0 to {LARGEST_PREVALENCE:g} for a recalibration, which "
            f"takes nearly all cutouts of the pool for non-lenses. Got {prevalence!r} instead."
        )
    if detector.recalibration_ is not None:
        raise GridlensError(
            "The model was recalibrated before, and its calibration does not fit its own non-lenses any more. "
            "Recalibrate the model that it was made from."
        )
    if detector.class_scores_ is None:
        raise GridlensError(
            "The model cannot be recalibrated: it holds no scores of the rows that it was calibrated on. An earlier "
            "version of gridlens wrote it, it was calibrated without clean labels, or on fewer than "
            f"{_FEWEST_NON_LENSES} non-lenses. Train the model again, with at least as many, to get them."
        )


def recalibrate(detector: Any, name: str, p: np.ndarray, n: int, prevalence: float, *, pool: str = "") -> Recalibrated:
    """Return the calibrator that the parameter `name`, a pool of `n` cutouts, gives a detector.

    Parameters
    ----------
    p : ndarray of shape (n_usable,)
        Calibrated probabilities of the pool's usable cutouts, at the prevalence of the calibration; NaN are left out.
    pool : str, default=""
        Where the pool came from.
    """
    p = p[np.isfinite(p)]
    if len(p) < _FEWEST_POOL:
        raise GridlensError(
            f"The '{name}' parameter must hold at least {_FEWEST_POOL} usable cutouts, without those that the model "
            "learned from: about one non-lens in fifteen is a false alarm at even odds, and fewer cutouts show too few "
            f"of them to count a rate. Got {len(p)} (of {n}) instead."
        )
    trained = detector.calibration_prevalence_
    home = detector.class_scores_.moved(detector.calibrator_, trained)
    odds = match_false_alarms(home, even_log_odds(p, trained), prevalence)
    calibrator = recalibrated_calibrator(detector.calibrator_, trained, odds)
    return Recalibrated(calibrator, Recalibration(len(p), float(prevalence), odds.ratio, pool))
