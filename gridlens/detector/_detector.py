"""`LensDetector`: ranking of cutouts by the probability of a strong lens."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from gridlens._groups import group_of_each
from gridlens._progress import progress_bar
from gridlens._table_columns import described_attrs
from gridlens.calibration import IsotonicCalibrator, shift_prior
from gridlens.cutouts import CutoutSet
from gridlens.detector._inputs import (
    as_inputs,
    as_measured,
    check_consumed,
    checked_labels,
    checked_weights,
    selected,
)
from gridlens.detector._members import member_table
from gridlens.detector._novelty import flag_unusual, learn_novelty, novelty_of
from gridlens.detector._recalibrate import RecalibratedDetector, Recalibration, learn_class_scores
from gridlens.detector._saved import SavedDetector
from gridlens.detector._scoring import score_measured, telling
from gridlens.detector._screen import Branch, checked_cascade, fit_screen
from gridlens.detector._table import rank_table
from gridlens.detector._trained import flag_trained, known_rows
from gridlens.errors import GridlensError
from gridlens.features import Measured
from gridlens.stacking import MemberStack, build_member
from gridlens.stacking._stack import member_log_odds

__all__ = ["LensDetector"]


class LensDetector(SavedDetector, RecalibratedDetector, ClassifierMixin, BaseEstimator):
    """Classifier that ranks cutouts of galaxy clusters by the probability of a strong lens.

    Features are extracted, members are fitted to them, a stack combines the members, and an isotonic regression on
    clean labels turns the score of the stack into a probability. The prevalence is not learned; it is given when
    scoring.

    Parameters
    ----------
    members : sequence of str or of Member, default=("lightgbm", "patch")
        Names as listed by `gridlens.stacking.known_members`, optionally with parameters, such as
        "patch(n_estimators=300)"; or unfitted members.
    metadata : {"image", "survey", "all"}, default="image"
        Metadata that members on features may use, see `GridPatchExtractor`.
    meta : {"auto", "logistic", "convex"}, default="auto"
        Method that combines the members, see `gridlens.stacking.MemberStack`.
    final : {"refit", "average"}, default="refit"
        "refit" fits the members again to all rows; "average" averages the members of the folds.
    cv : int, default=5
        Number of folds for the weights of the stack and for a calibration on the training labels.
    n_jobs : int, default=1
        Number of threads of the extraction and of processes of the fits; -1 uses all processors.
    random_state : int, default=None
        Random seed of the members and folds. If None, each member uses its own.
    verbose : int, default=0
        If 1, show the progress of the fits on a terminal, or as one line per minute in a log; 0 is silent.

    Attributes
    ----------
    stack_ : MemberStack
    members_ : DataFrame
        One row for each member: `name`, `consumes`, `weight` in the stack, out-of-fold `auroc` and `average_precision`
        (with respect to the training labels), and `auroc_in_sample` on the rows of the fit: a value far above `auroc`
        indicates overfitting. NaN if a single member was not fitted on folds.
    calibrator_ : IsotonicCalibrator
    training_prevalence_ : float
        Prevalence of labelled lenses among the training rows.
    calibration_prevalence_ : float
        Prevalence of lenses in the calibration set.
    training_rows_ : ndarray of shape (n_rows,), uint64
        Sorted hashes of the training and calibration rows, with which `score_cutouts` recognises them; empty for a
        model that was saved without them.
    novelty_ : Novelty or None
        Sample of the training rows for comparison with new cutouts in `score_cutouts`; None for fewer than 40 rows.
    member_names_ : list of str
    screen_ : Screen or None
        Calibration rows for a `screen` below 1; None if the model cannot screen.
    class_scores_ : ClassScores or None
        Scores of the calibration rows by class, for `recalibrated`; None if the model cannot be recalibrated.
    recalibration_ : Recalibration or None
        Description of the pool that the probabilities were recalibrated on; None for a model that was not recalibrated.

    Examples
    --------
    >>> from gridlens import CutoutSet, LensDetector
    >>> cutouts = CutoutSet.read("cutouts/")  # doctest: +SKIP
    >>> detector = LensDetector(random_state=0).fit(cutouts, labels, groups=cluster)  # doctest: +SKIP
    >>> detector.score_cutouts(cutouts, prevalence=1e-3).head()  # doctest: +SKIP
    """

    def __init__(
        self,
        members: Sequence[Any] = ("lightgbm", "patch"),
        metadata: str = "image",
        meta: Literal["auto", "logistic", "convex"] = "auto",
        final: Literal["refit", "average"] = "refit",
        cv: int = 5,
        n_jobs: int | None = 1,
        random_state: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.members = members
        self.metadata = metadata
        self.meta = meta
        self.final = final
        self.cv = cv
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self,
        X: CutoutSet | Measured | np.ndarray,
        y: Any,
        *,
        groups: Any = None,
        sample_weight: Any = None,
        meta_weight: Any = None,
        calibration: tuple[Any, ...] | None = None,
        calibration_weight: Any = None,
        out_of_fold: Mapping[str, Any] | None = None,
    ) -> Self:
        """Fit the members, the stack and the calibration to labelled cutouts.

        Parameters
        ----------
        X : CutoutSet or Measured of n, or ndarray of shape (n, 315)
            Cutouts, measured cutouts, or features computed by `GridPatchExtractor`. Rejected cutouts are left out.
        y : array-like of shape (n,)
            Labels: 1 for a labelled lens, 0 for all others.
        groups : array-like of shape (n,), default=None
            Group labels. Rows with the same value are views of one cluster and stay in one fold. Rows without a value
            are independent.
        sample_weight : array-like of shape (n,), default=None
            Weights for the members only; in the calibration they would bias the probabilities.
        meta_weight : array-like of shape (n,), default=None
            Weights for the combination of the members in the stack. Rows of weight 0 are left out. If None, all rows
            have equal weight.
        calibration : tuple of (X, y) or (X, y, groups), default=None
            Cutouts (or features) that are not in the training set, with clean labels, 1 for a lens and 0 for a
            confirmed non-lens, and optionally the clusters that they are views of. If None, `y` is assumed to be clean,
            and the out-of-fold scores of the training rows are used.
        calibration_weight : array-like, default=None
            Weights of the calibration rows (those of `X` if `calibration` is None): the inverse probabilities of
            selection, where a model selected the rows. Rows of weight 0 are left out. A detector with such weights
            cannot screen and cannot be recalibrated.
        out_of_fold : dict, default=None
            Out-of-fold probabilities (n,) of members by name that were computed elsewhere, such as on a machine with a
            GPU. These members must already be fitted.

        Returns
        -------
        LensDetector

        Raises
        ------
        GridlensError
            If a member needs cutouts and features were given, the name of a member is unknown, or a member fails.
        ValueError
            If labels have the wrong length or values other than 0 and 1, or there are fewer positives, or clusters with
            some, than folds.
        """
        inputs, usable = as_inputs(X, self.metadata, self.n_jobs)
        labels = checked_labels("y", y, len(usable))[usable]
        kept_groups = None if groups is None else group_of_each(groups)[usable]
        weight = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)[usable]
        of_members = checked_weights("meta_weight", meta_weight, usable)
        members = [self._build(member) for member in self.members]
        if not members:
            raise GridlensError("The 'members' parameter must name at least one member. Got none instead.")
        self.member_names_ = [member.name for member in members]
        stack = MemberStack(
            members, self.meta, self.final, cv=self.cv, n_jobs=self.n_jobs, random_state=self.random_state
        )
        kept = selected(inputs, usable)
        check_consumed(members, kept)
        elsewhere = {name: np.asarray(p)[usable] for name, p in (out_of_fold or {}).items()}
        with progress_bar("Fitting", stack.n_fits, visible=self.verbose > 0) as advance:
            stack.fit(
                kept,
                labels,
                kept_groups,
                weight,
                meta_weight=of_members,
                out_of_fold=elsewhere,
                progress=advance,
            )
        self.stack_ = stack
        if calibration is None and np.isnan(stack.out_of_fold_).any():
            with progress_bar("Fitting", self.cv, visible=self.verbose > 0) as advance:
                stack.out_of_fold_ = stack.out_of_fold(kept, labels, kept_groups, weight, progress=advance)
        self.members_ = member_table(stack, kept, labels)
        with progress_bar("Calibrating", None, visible=self.verbose > 0):
            learned = [kept["features"]]
            if calibration is None:
                held_usable, clean, calibration_groups = usable, labels, kept_groups
                log_odds = stack.out_of_fold_
            else:
                held, held_usable = as_inputs(calibration[0], self.metadata, self.n_jobs)
                clean = checked_labels("calibration", calibration[1], len(held_usable))[held_usable]
                calibration_groups = group_of_each(calibration[2])[held_usable] if len(calibration) > 2 else None
                held = selected(held, held_usable)
                check_consumed(stack.members_, held)
                log_odds = member_log_odds(stack.member_probabilities(held))
                learned.append(held["features"])
            of_rows = checked_weights("calibration_weight", calibration_weight, held_usable)
            scores = stack.combine(log_odds)
            self.calibrator_ = IsotonicCalibrator().fit(scores, clean, calibration_groups, of_rows)
            self.recalibration_: Recalibration | None = None
            self.class_scores_, self.screen_ = None, None
            if of_rows is None:
                self.class_scores_ = learn_class_scores(scores, clean)
                classic = stack.classic(labels, kept_groups, of_members)
                self.screen_ = fit_screen(stack, classic, log_odds, clean, calibration_groups)
        self.calibration_prevalence_ = float(np.average(clean, weights=of_rows))
        self.training_prevalence_ = float(np.mean(labels))
        self.training_rows_ = known_rows(learned, stack.members_)
        self.novelty_ = learn_novelty(kept["features"])
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, X: CutoutSet | Measured | np.ndarray, prevalence: float | None = None) -> np.ndarray:
        """Return calibrated probabilities of a non-lens and of a lens.

        Parameters
        ----------
        X : CutoutSet or Measured of n, or ndarray of shape (n, 315)
        prevalence : float, default=None
            Fraction of lenses among the cutouts, between 0 and 1. If None, that of the calibration set.

        Returns
        -------
        ndarray of shape (n, 2), float64
            NaN for a rejected cutout.
        """
        p = self.calibrated(self.member_probabilities(X), prevalence)
        return np.column_stack([1.0 - p, p])

    def predict(self, X: CutoutSet | Measured | np.ndarray, prevalence: float | None = None) -> np.ndarray:
        """Return 1 for cutouts with a probability of a lens above one half, else 0.

        At the prevalence of a survey hardly any cutout exceeds it: rank with `predict_proba` or `score_cutouts` there.

        Parameters
        ----------
        X : CutoutSet or Measured of n, or ndarray of shape (n, 315)
        prevalence : float, default=None
            As in `predict_proba`.

        Returns
        -------
        ndarray of shape (n,), int64
            0 for a rejected cutout; a warning gives the number of these.
        """
        p = self.predict_proba(X, prevalence)[:, 1]
        unknown = int(np.isnan(p).sum())
        if unknown:
            warnings.warn(
                f"{unknown} of {len(p)} cutouts were rejected and are predicted as 0. `score_cutouts` tells why.",
                UserWarning,
                stacklevel=2,
            )
        return (p > 0.5).astype(np.int64)

    def decision_function(self, X: CutoutSet | Measured | np.ndarray) -> np.ndarray:
        """Return the log-odds of a lens from the stack, before the calibration.

        Parameters
        ----------
        X : CutoutSet or Measured of n, or ndarray of shape (n, 315)

        Returns
        -------
        ndarray of shape (n,), float64
            NaN for a rejected cutout.
        """
        members = self.member_probabilities(X)
        return self.stack_.decision_function(members)

    def member_probabilities(self, X: CutoutSet | Measured | np.ndarray) -> np.ndarray:
        """Return the uncalibrated probabilities of a lens by each member, at the prevalence of its training set.

        Parameters
        ----------
        X : CutoutSet or Measured of n, or ndarray of shape (n, 315)

        Returns
        -------
        ndarray of shape (n, n_members), float64
            In the order of `member_names_`; NaN for a rejected cutout.
        """
        check_is_fitted(self, "calibrator_")
        inputs, usable = as_inputs(X, self.metadata, self.n_jobs)
        p = np.full((len(usable), len(self.member_names_)), np.nan)
        if usable.any():
            kept = selected(inputs, usable)
            check_consumed(self.stack_.members_, kept)
            p[usable] = self.stack_.member_probabilities(kept)
        return p

    def calibrated(self, members: np.ndarray, prevalence: float | None = None) -> np.ndarray:
        """Return calibrated probabilities (n,) of a lens from those of the members, (n, n_members).

        A row with a NaN gives NaN; `prevalence` is as in `predict_proba`.
        """
        p = self.calibrator_.predict(self.stack_.decision_function(members))
        return p if prevalence is None else shift_prior(p, self.calibration_prevalence_, prevalence)

    def score_cutouts(
        self,
        cutouts: CutoutSet | Measured,
        prevalence: float | Literal["estimate"] = 1e-3,
        *,
        screen: float = 1.0,
        novelty: bool = False,
    ) -> pd.DataFrame:
        """Score cutouts and rank them.

        Parameters
        ----------
        cutouts : CutoutSet or Measured of n
            As in `score_rows`.
        prevalence : float or "estimate", default=1e-3
            Prevalence of lenses among such clusters, between 0 and 1. It changes `p_lens` but no rank. "estimate"
            estimates it from the scores with `gridlens.calibration.estimate_shift`, whose documentation describes its
            low reliability for rare lenses.
        screen : float, default=1.0
            Slow members, such as networks, only score cutouts that the stack of the other members ranks as high as this
            fraction of the calibration non-lenses. The threshold is part of the model, so a score does not depend on
            other cutouts; a different fraction of your cutouts may pass. Each branch is calibrated on its own rows, so
            that their scores are comparable. With 1, all members score all cutouts.
        novelty : bool, default=False
            Whether to compare the light and the arc candidates of the cutouts with a sample of the training rows.
            Scores are not affected.

        Returns
        -------
        DataFrame of n rows, best first, rejected ones last
            Columns `id`; `ra` and `dec` (of the cluster, degrees, ICRS; NaN where unknown); `path`; `rank` (1 is best;
            0 where rejected); `score` (calibrated, at even prevalence: the probability of a lens if half of the cutouts
            contained one); `p_lens` (calibrated, at `prevalence`: where lenses are rare, it is small even for a
            textbook arc); `p_low` and `p_high` (95 % interval of the calibration curve there; NaN if the calibration of
            the model has no intervals); `prevalence` (the same in every row); `status` ("ok" or "rejected"); `message`
            (the reason for a rejection, or a warning); `flags` (the same as bits of `gridlens.cutouts.CutoutFlag`);
            `valid_fraction` (fraction of the pixels that are finite in all bands; NaN for a cutout that could not be
            read); for the arc candidate on which the score depends most `arc_x` and `arc_y` (its centroid, px of the
            cutout, 0-based), `arc_ra` and `arc_dec` (degrees, ICRS; NaN where the orientation of the cutout is
            unknown), `arc_patch` (0 to 8, -1 where there is none), `arc_distance` (arcsec), `arcness`, `arc_color_gr`
            (mag relative to the BCG) and `arc_snr` (its signal-to-noise ratio, of which the feature is the arcsinh);
            `members_in_favour` (number of members above even odds at even prevalence); `disagreement` (standard
            deviation of the members' log-odds); with `screen` below 1 `branch` ("full" where all members scored,
            "classic" where the slow ones did not: their columns are NaN, and the two preceding columns are those of the
            other members; "" where rejected); with `novelty` the p-value `novelty`, near 0 for a cutout unlike the
            training rows (up to 0.02 it has `CutoutFlag.UNUSUAL`; NaN where rejected); for a recalibrated model
            `recalibrated_on` (number of cutouts in the pool; more in ``attrs["recalibration"]``); one uncalibrated
            probability per member; and a column such as `resnet_spread` for each member that estimates its uncertainty,
            a standard deviation of its own log-odds: over folds with ``final="average"``, over dropout for networks.
            The prevalence is also in ``attrs["prevalence"]``, and if it was estimated, the estimate with its interval
            as text in ``attrs["prevalence_estimate"]``. If the estimate is not distinguishable from zero, the upper end
            of the interval is used: `p_lens` is then an upper limit. Units and descriptions of the columns of the
            members are in ``attrs["columns"]``.

        Raises
        ------
        ValueError
            If `prevalence` is not between 0 and 1, or `screen` is not above 0 and at most 1.
        GridlensError
            If the prevalence cannot be estimated from these scores; with `screen` below 1, if the members of the model
            are all fast or all slow, the model was saved without a screen, or it cannot be calibrated at this fraction;
            or if the model has no sample for `novelty`.
        """
        table = rank_table(self.score_rows(cutouts, screen=screen, novelty=novelty), prevalence)
        table.attrs.update(self.column_attrs())
        return table

    def column_attrs(self) -> dict[str, Any]:
        """Return attributes of score tables: `attrs["columns"]`, and `attrs["recalibration"]` if the model has one."""
        check_is_fitted(self, "calibrator_")
        attrs = described_attrs(self.member_names_, telling(self.stack_.members_))
        return attrs if self.recalibration_ is None else attrs | {"recalibration": str(self.recalibration_)}

    def score_rows(self, X: CutoutSet | Measured, *, screen: float = 1.0, novelty: bool = False) -> pd.DataFrame:
        """Score cutouts without the columns that depend on the whole table: `p_lens` and `rank`.

        Parameters
        ----------
        X : CutoutSet or Measured of n
            Measured cutouts are not measured again; they need their `cutouts` if a member uses pixels.
        screen, novelty
            As in `score_cutouts`.

        Returns
        -------
        DataFrame of n rows
            In the order of `X`, with the columns of `score_cutouts` except `p_lens`, its interval, `prevalence` and
            `rank`, and with `score_low` and `score_high`.

        Raises
        ------
        ValueError
            If `screen` is not above 0 and at most 1.
        GridlensError
            If a member needs cutouts and `X` has none, or the model cannot screen or has no sample for `novelty`, as in
            `score_cutouts`.
        """
        check_is_fitted(self, "calibrator_")
        cascade = checked_cascade(self.screen_, self.stack_, screen)
        measured = flag_trained(as_measured(X, self.metadata, self.n_jobs), self.training_rows_)
        full = Branch(self.stack_, self.calibrator_)
        if novelty:
            p = novelty_of(self.novelty_, measured.features)
            measured = flag_unusual(measured, p)
        rows = score_measured(measured, full, cascade, self.calibration_prevalence_, self.training_prevalence_)
        if novelty:
            rows["novelty"] = np.where(rows["status"] == "ok", p, np.nan)
        return rows if self.recalibration_ is None else rows.assign(recalibrated_on=self.recalibration_.n_pool)

    def _build(self, member: Any) -> Any:
        return build_member(member, self.random_state) if isinstance(member, str) else member
