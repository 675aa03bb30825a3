"""`LensDetector`: from cutouts to a ranked table."""

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
    """Rank cutouts of galaxy clusters by the probability that they hold a strong lens.

    Features are extracted, members learn from them, a stack joins the members, and an isotonic regression on clean
    labels turns the stack's score into a probability. At what prevalence is declared, not learned.

    Parameters
    ----------
    members : sequence of str or of Member, default=("lightgbm", "patch")
        Names as `gridlens.stacking.known_members` lists them, with parameters where they are not the usual ones, such
        as "patch(n_estimators=300)"; or unfitted members.
    metadata : {"image", "survey", "all"}, default="image"
        Metadata that members on features may see, see `GridPatchExtractor`.
    meta : {"auto", "logistic", "convex"}, default="auto"
        How members are weighed, see `gridlens.stacking.MemberStack`.
    final : {"refit", "average"}, default="refit"
        Members fitted on all rows once more, or those of the folds, averaged.
    cv : int, default=5
        Folds for the stack's weights and for a calibration on the training labels.
    n_jobs : int, default=1
        Threads of the extraction and processes of the fits; -1 for all processors.
    random_state : int, default=None
        None leaves each member's own.
    verbose : int, default=0
        1 shows the progress of the fits on a terminal, or as a line a minute in a log; 0 is silent.

    Attributes
    ----------
    stack_ : MemberStack
    members_ : DataFrame
        A row for each member: `name`, `consumes`, `weight` in the stack, `auroc` and `average_precision` out of fold
        (against the labels of the training), and `auroc_in_sample` on the rows of the fit: what is far above `auroc`
        was learned by heart. NaN where a single member was never fitted on folds.
    calibrator_ : IsotonicCalibrator
    training_prevalence_ : float
        Prevalence of labelled lenses among the rows of the fit.
    calibration_prevalence_ : float
        Prevalence of lenses in the set that the probabilities were calibrated on.
    training_rows_ : ndarray of shape (n_rows,), uint64
        Sorted hashes of the rows of the fit and of the calibration, by which `score_cutouts` finds them again; empty
        for a model that was saved without them.
    novelty_ : Novelty or None
        Sample of the rows of the fit, which `score_cutouts` compares cutouts with on request; None of under 40 rows.
    member_names_ : list of str
    screen_ : Screen or None
        The calibration rows of `screen` below 1; None where the model cannot screen.
    class_scores_ : ClassScores or None
        Scores of the calibration rows by class, for `recalibrated`; None where the model cannot be recalibrated.
    recalibration_ : Recalibration or None
        Description of the pool that the probabilities were recalibrated on; None for a model as it was fitted.

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
        """Learn from labelled cutouts.

        Parameters
        ----------
        X : CutoutSet or Measured of n, or ndarray of shape (n, 315)
            Cutouts, measured cutouts, or features that `GridPatchExtractor` made of them. Rejected ones are left out.
        y : array-like of shape (n,)
            1 for a labelled lens, 0 for the rest.
        groups : array-like of shape (n,), default=None
            Rows with one value are views of one cluster and stay in one fold. Rows without a value stand alone.
        sample_weight : array-like of shape (n,), default=None
            For the members, and for nothing else: such weights would destroy the calibration.
        meta_weight : array-like of shape (n,), default=None
            For the weights of the members in the stack. Rows with 0 are left out; None weighs all rows alike.
        calibration : tuple of (X, y) or (X, y, groups), default=None
            Cutouts (or features) that took no part in the training, with clean labels: 1 a lens, 0 surely none; and
            the clusters that they are views of.
            None takes `y` for clean labels and calibrates on out-of-fold scores of the training rows.
        calibration_weight : array-like, default=None
            For the rows of the calibration, which are those of `X` without `calibration`: inverse probabilities of
            inclusion, where a model chose the rows. Rows with 0 are left out. A detector with such weights has no
            screen and cannot be recalibrated.
        out_of_fold : dict, default=None
            Probabilities (n,) of members by name that were made elsewhere, out of fold, such as on a machine with a
            GPU. These members must come fitted.

        Returns
        -------
        LensDetector

        Raises
        ------
        GridlensError
            A member needs cutouts and features were given, a member's name is unknown, or a member fails.
        ValueError
            Labels of the wrong length, or other than 0 and 1; fewer positives, or clusters with some, than folds.
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
        """Return calibrated probabilities of no lens and of a lens.

        Parameters
        ----------
        X : CutoutSet or Measured of n, or ndarray of shape (n, 315)
        prevalence : float, default=None
            Fraction of lenses among the cutouts, between 0 and 1. None takes that of the calibration set.

        Returns
        -------
        ndarray of shape (n, 2), float64
            NaN for a rejected cutout.
        """
        p = self.calibrated(self.member_probabilities(X), prevalence)
        return np.column_stack([1.0 - p, p])

    def predict(self, X: CutoutSet | Measured | np.ndarray, prevalence: float | None = None) -> np.ndarray:
        """Return 1 where a lens is more probable than not, else 0.

        At the prevalence of a survey hardly any cutout is: rank by `predict_proba` or `score_cutouts` there.

        Parameters
        ----------
        X : CutoutSet or Measured of n, or ndarray of shape (n, 315)
        prevalence : float, default=None
            As in `predict_proba`.

        Returns
        -------
        ndarray of shape (n,), int64
            0 for a rejected cutout, of which a warning tells the number.
        """
        p = self.predict_proba(X, prevalence)[:, 1]
        unknown = int(np.isnan(p).sum())
        if unknown:
            warnings.warn(
                f"{unknown} of {len(p)} cutouts were rejected and are predicted as 0. `score_cutouts` says why.",
                UserWarning,
                stacklevel=2,
            )
        return (p > 0.5).astype(np.int64)

    def decision_function(self, X: CutoutSet | Measured | np.ndarray) -> np.ndarray:
        """Return the stack's log-odds of a lens, before the calibration.

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
        """Return the probabilities of a lens by each member, uncalibrated, at the prevalence of its training set.

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
        """Calibrated probabilities (n,) of a lens from those of the members, (n, n_members); NaN where one is NaN.

        `prevalence` is that of `predict_proba`.
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
            Prevalence of lenses among such clusters, between 0 and 1. It moves `p_lens` and changes no rank. "estimate"
            estimates it from the scores with `gridlens.calibration.estimate_shift`, whose notes say how little to trust
            it where lenses are rare.
        screen : float, default=1.0
            Slow members, such as networks, score only the cutouts that the stack of the other members ranks as high as
            this fraction of the non-lenses of the calibration. The threshold belongs to the model, so that no score
            depends on the other cutouts; among your cutouts another fraction may pass. Each branch is calibrated on its
            own rows, which makes their scores comparable. 1 lets all members score all cutouts.
        novelty : bool, default=False
            Compare the cutouts with a sample of those that the model learned from, by their light and arc candidates:
            it changes no score.

        Returns
        -------
        DataFrame of n rows, best first, rejected ones last
            Columns `id`; `ra` and `dec` (of the cluster, degrees, ICRS; NaN where unknown); `path`; `rank` (1 is best;
            0 where rejected); `score` (calibrated, at even prevalence: the probability of a lens if half of the cutouts
            held one); `p_lens` (calibrated, at `prevalence`: where lenses are rare, it is small for a textbook arc
            too); `p_low` and `p_high` (95 % interval of the calibration curve there; NaN where the model was calibrated
            without one); `prevalence` (the same in every row); `status` ("ok" or "rejected"); `message` (why rejected,
            or a warning); `flags` (the same as bits of `gridlens.cutouts.CutoutFlag`); `valid_fraction` (fraction of
            the pixels that are finite in all bands; NaN for a cutout that could not be read); of the arc candidate on
            which the score depends most `arc_x` and `arc_y` (its centroid, px of the cutout, 0-based), `arc_ra` and
            `arc_dec` (degrees, ICRS; NaN where the orientation of the cutout is unknown), `arc_patch` (0 to 8, -1 where
            there is none), `arc_distance` (arcsec), `arcness`, `arc_color_gr` (mag against the BCG) and `arc_snr` (its
            signal-to-noise ratio, of which the feature is the arcsinh); `members_in_favour` (members that put it above
            even odds at even prevalence); `disagreement` (standard deviation of the members' log-odds); with `screen`
            below 1 `branch` ("full" where all members scored, "classic" where the slow ones did not: their columns are
            NaN, and the two columns before are of the other members; "" where rejected); with `novelty` the p-value
            `novelty`, near 0 for a cutout that is unlike those that the model learned from (up to 0.02 it has
            `CutoutFlag.UNUSUAL`; NaN where rejected); of a recalibrated model `recalibrated_on` (number of cutouts of
            the pool; more in ``attrs["recalibration"]``); a probability per member, uncalibrated; and a column such as
            `resnet_spread` for each member that tells how unsure it is, a standard deviation of its own log-odds: over
            folds with ``final="average"``, over dropout for networks. The prevalence is in ``attrs["prevalence"]`` too,
            and where it was estimated, the estimate with its interval as text in ``attrs["prevalence_estimate"]``.
            Where that is not distinguishable from none, the upper end of the interval is taken: `p_lens` is then the
            most that the scores allow. Units and descriptions of the columns of the members are in
            ``attrs["columns"]``.

        Raises
        ------
        ValueError
            `prevalence` is not between 0 and 1, or `screen` is not above 0 and at most 1.
        GridlensError
            The prevalence cannot be estimated from these scores; with `screen` below 1, the members of the model are
            all fast or all slow, it was saved without a screen, or it cannot be calibrated at this fraction; or the
            model has no sample for `novelty`.
        """
        table = rank_table(self.score_rows(cutouts, screen=screen, novelty=novelty), prevalence)
        table.attrs.update(self.column_attrs())
        return table

    def column_attrs(self) -> dict[str, Any]:
        """Return attributes of tables of scores: `attrs["columns"]`, and `attrs["recalibration"]` if there was one."""
        check_is_fitted(self, "calibrator_")
        attrs = described_attrs(self.member_names_, telling(self.stack_.members_))
        return attrs if self.recalibration_ is None else attrs | {"recalibration": str(self.recalibration_)}

    def score_rows(self, X: CutoutSet | Measured, *, screen: float = 1.0, novelty: bool = False) -> pd.DataFrame:
        """Score cutouts, and leave out what needs the whole table: `p_lens` and `rank`.

        Parameters
        ----------
        X : CutoutSet or Measured of n
            What was measured before is not measured again; it needs its `cutouts` where a member looks at pixels.
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
            `screen` is not above 0 and at most 1.
        GridlensError
            A member looks at cutouts, and `X` has none; or the model cannot screen, or has no sample for `novelty`, as
            for `score_cutouts`.
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
