"""`Explainer`: contributions of each feature and member to the log-odds of the stack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import logit
from sklearn.utils.validation import check_is_fitted

from gridlens.cutouts import CutoutSet
from gridlens.detector import LensDetector
from gridlens.detector._arcs import decisive_arcs
from gridlens.detector._table import EVEN
from gridlens.errors import GridlensError
from gridlens.explain._shap import shap_explanation
from gridlens.features import Measured, measure
from gridlens.features._measured import keep_metadata
from gridlens.features._named import in_contract_order
from gridlens.stacking._contributions import bounded_contributions
from gridlens.stacking._stack import CERTAIN_LOG_ODDS, member_log_odds

if TYPE_CHECKING:
    import shap

__all__ = ["TOLERANCE", "Explainer", "Explanation"]

TOLERANCE = 1e-4
"""largest difference between base plus contributions and the stack's log-odds that `Explainer` accepts"""


@dataclass(frozen=True)
class Explanation:
    """Contributions to the scores of n cutouts, in log-odds of the stack, before calibration.

    ``base + values.sum(axis=1) + sum(bars.values())`` is `log_odds`.

    Attributes
    ----------
    features : ndarray of shape (n, 315), float32
        The explained features; a row of NaN for a rejected cutout.
    by_member : dict of str to ndarray of shape (n, 315), float64
        Contribution of each feature through each member that provides contributions, times the member's weight.
    bars : dict of str to ndarray of shape (n,), float64
        Contribution of each other member as a whole: its weight times its log-odds, relative to the log-odds of the
        prevalence of lenses in the training rows.
    base : float
        Log-odds before the contributions.
    log_odds : ndarray of shape (n,), float64
        Log-odds of the stack; NaN for a rejected cutout.
    table : DataFrame of n rows
        The rows of `LensDetector.score_rows`; for features without cutouts, only `id`, the members' probabilities and
        `arc_patch`.
    """

    features: np.ndarray
    by_member: dict[str, np.ndarray]
    bars: dict[str, np.ndarray]
    base: float
    log_odds: np.ndarray
    table: pd.DataFrame

    def __len__(self) -> int:
        return len(self.features)

    @property
    def values(self) -> np.ndarray:
        """Sum of the contributions of each feature over all members, (n, 315)."""
        return sum(self.by_member.values(), np.zeros(self.features.shape))

    def take(self, rows: Any) -> Explanation:
        """Return the explanation of rows selected by indices or a mask."""
        return Explanation(
            self.features[rows],
            {name: values[rows] for name, values in self.by_member.items()},
            {name: values[rows] for name, values in self.bars.items()},
            self.base,
            self.log_odds[rows],
            self.table.iloc[np.arange(len(self))[rows]].reset_index(drop=True),
        )

    @staticmethod
    def concatenate(parts: Sequence[Explanation]) -> Explanation:
        """Concatenate one or more explanations of the same `Explainer`."""
        first = parts[0]
        return Explanation(
            np.concatenate([part.features for part in parts]),
            {name: np.concatenate([part.by_member[name] for part in parts]) for name in first.by_member},
            {name: np.concatenate([part.bars[name] for part in parts]) for name in first.bars},
            first.base,
            np.concatenate([part.log_odds for part in parts]),
            pd.concat([part.table for part in parts], ignore_index=True),
        )

    def to_shap(self) -> shap.Explanation:
        """Return the contributions as a `shap.Explanation`, for ``shap.plots.beeswarm``, ``waterfall`` and ``scatter``.

        Rejected cutouts are omitted. A member without feature contributions is an additional feature, "member NAME":
        its value is the member's probability, and its contribution is the weighted log-odds in `bars`.

        Returns
        -------
        shap.Explanation of shape (m, 315 + b)
            For m cutouts that are not rejected and b members in `bars`: `values` and `base_values` in log-odds, whose
            sum is `log_odds`; `data`, the features, with the S/N of arcs instead of its arcsinh, NaN if unknown;
            `feature_names` such as "arc elongation [top left]", which are unique; `instance_names`, the ids.

        Raises
        ------
        GridlensError
            The package shap is missing; it is in the extra ``explain``.

        Examples
        --------
        >>> import shap  # doctest: +SKIP
        >>> from gridlens import CutoutSet, load_model
        >>> from gridlens.explain import Explainer
        >>> cutouts = CutoutSet.read("cutouts/")  # doctest: +SKIP
        >>> found = Explainer(load_model()).explain(cutouts).to_shap()  # doctest: +SKIP
        >>> shap.plots.waterfall(found[0])  # doctest: +SKIP
        >>> shap.plots.scatter(found[:, "arc elongation [top left]"])  # doctest: +SKIP
        """
        fine = self.take(np.isfinite(self.log_odds))
        members = {name: (fine.table[name].to_numpy(dtype=np.float64), bar) for name, bar in fine.bars.items()}
        return shap_explanation(fine.table["id"].astype(str), fine.features, fine.values, self.base, members)


class Explainer:
    """Explainer of a detector's scores by contributions of the features through the stack.

    The `contributions` of a member that provides them (built-in members on features do, as exact Shapley values) are
    multiplied by its weight; any other member is one bar. If the stack clips a member's log-odds, its contributions are
    reduced by a common factor. The base and the contributions add up to the stack's log-odds, which the calibration
    converts to a probability; this is checked for every row.

    Parameters
    ----------
    detector : LensDetector
        Fitted detector.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        The detector is not fitted.

    Notes
    -----
    Shapley values describe how the model uses the features, not what is true on the sky. Between features with the same
    information, such as arc features of patches that share one arc, a contribution is divided according to the splits
    that the trees happen to use; sums over groups are more stable. See `permutation_importance` for the loss of the
    model without a group.

    References
    ----------
    .. [1] Lundberg et al. 2020, "From local explanations to global understanding with explainable AI for trees", Nature
       Machine Intelligence 2, 56.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens import load_model
    >>> from gridlens.explain import Explainer
    >>> X = np.random.default_rng(0).normal(size=(5, 315)).astype(np.float32)
    >>> found = Explainer(load_model()).explain(X)
    >>> bool(np.allclose(found.base + found.values.sum(axis=1), found.log_odds))
    True
    """

    def __init__(self, detector: LensDetector) -> None:
        check_is_fitted(detector, "calibrator_")
        self.detector = detector

    def explain(self, X: CutoutSet | Measured | np.ndarray) -> Explanation:
        """Explain the score of each cutout.

        Parameters
        ----------
        X : CutoutSet or Measured of n, or ndarray of shape (n, 315)
            Cutouts, measured cutouts, or features from `GridPatchExtractor`; members that use pixels need the cutouts.

        Returns
        -------
        Explanation
            Rejected cutouts have rows of NaN.

        Raises
        ------
        GridlensError
            The features have another shape, a member needs cutouts, or the contributions of a member do not add up to
            its log-odds within 1e-4.
        """
        detector = self.detector
        names = detector.member_names_
        if isinstance(X, CutoutSet):
            X = measure(X, detector.metadata, detector.n_jobs)
        if isinstance(X, Measured):
            features = X.with_metadata(detector.metadata).features
            table = detector.score_rows(X)
        else:
            features = np.asarray(in_contract_order(X), dtype=np.float32)
            members = detector.member_probabilities(features)
            table = pd.DataFrame(members, columns=names)
            table.insert(0, "id", [str(k) for k in range(len(features))])
            features = keep_metadata(features, detector.metadata)
            table["arc_patch"] = decisive_arcs(detector.stack_, features, detector.calibrated(members, EVEN))
        log_odds = member_log_odds(table[names].to_numpy(dtype=np.float64))
        usable = np.isfinite(log_odds).all(axis=1)
        stack = detector.stack_
        even = float(logit(detector.training_prevalence_))
        base, by_member, bars = float(stack.intercept_), {}, {}
        for k, (member, weight) in enumerate(zip(stack.members_, stack.weights_, strict=True)):
            if member.consumes == "features" and hasattr(member, "contributions"):
                values, own = member.contributions(features[usable])
                by_member[member.name] = np.full(features.shape, np.nan)
                by_member[member.name][usable] = weight * _checked(member.name, values, own, log_odds[usable, k])
                base += float(weight) * own
            else:
                bars[member.name] = weight * (log_odds[:, k] - even)
                bars[member.name][~usable] = np.nan
                base += float(weight) * even
        combined = stack.combine(log_odds)
        combined[~usable] = np.nan
        return Explanation(features, by_member, bars, base, combined, table)

    def maps(self, cutouts: CutoutSet) -> dict[str, np.ndarray]:
        """Return the attribution maps of members on cutouts that provide them.

        Parameters
        ----------
        cutouts : CutoutSet of n

        Returns
        -------
        dict of str to ndarray of shape (n, H, W)
            Maps by member name, in the member's log-odds, positive where the image indicates a lens.
        """
        members = self.detector.stack_.members_
        return {
            member.name: np.asarray(member.attribution(cutouts))
            for member in members
            if member.consumes == "cutouts" and hasattr(member, "attribution")
        }


def _checked(name: str, values: np.ndarray, base: float, log_odds: np.ndarray) -> np.ndarray:
    """Return the contributions of a member, checked to add up to its log-odds and scaled as the stack clips them."""
    values = bounded_contributions(values, base, CERTAIN_LOG_ODDS)
    off = np.abs(base + values.sum(axis=1) - log_odds).max(initial=0.0)
    if not off <= TOLERANCE:
        raise GridlensError(
            f"The contributions of the member {name!r} must add up to its log-odds within {TOLERANCE:g}. They differ "
            f"by {off:.2g}. A member without the method 'contributions' is shown as one bar."
        )
    return values
