"""Importance of features over many cutouts: mean absolute contributions, and the loss when columns are shuffled."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from gridlens.detector import LensDetector
from gridlens.detector._table import EVEN
from gridlens.errors import GridlensError
from gridlens.explain._aggregate import POSITION, by_feature, by_group, feature_columns, group_columns
from gridlens.explain._explainer import Explanation
from gridlens.features._named import in_contract_order

__all__ = ["importance", "permutation_importance"]

_TINY = 1e-12


def importance(
    explanation: Explanation,
    by: Literal["group", "feature", "member"] = "group",
    *,
    n_boot: int = 1000,
    random_state: int = 0,
) -> pd.DataFrame:
    """Return mean absolute contributions, with 95 % intervals from bootstrap draws of the cutouts.

    Parameters
    ----------
    explanation : Explanation of n
        Rejected cutouts are omitted.
    by : {"group", "feature", "member"}, default="group"
        Contributions of a group, of a feature over all patches, or of a member are summed in each cutout before the
        absolute value is taken. The position flags, which are constant over cutouts, and features without any
        contribution are omitted.
    n_boot : int, default=1000
    random_state : int, default=0

    Returns
    -------
    DataFrame, sorted by importance
        Columns `name`, `mean_abs`, `low`, `high` (log-odds) and the signed `mean`.

    Raises
    ------
    GridlensError
        There are no cutouts left, or `by` is invalid.
    """
    if by == "group":
        sums = by_group(explanation)
    elif by == "feature":
        sums = by_feature(explanation)
    elif by == "member":
        sums = pd.DataFrame(
            {name: values.sum(axis=1) for name, values in explanation.by_member.items()} | explanation.bars
        )
    else:
        raise GridlensError(f"The 'by' parameter must be 'group', 'feature' or 'member'. Got {by!r} instead.")
    values = sums.drop(columns=POSITION, errors="ignore")
    values = values[np.isfinite(explanation.log_odds)]
    if not len(values):
        raise GridlensError("The 'explanation' parameter must hold a cutout that was not rejected. Got none instead.")
    values = values.loc[:, (values.abs() > _TINY).any()]
    absolute = values.abs().to_numpy()
    rng = np.random.default_rng(random_state)
    counts = rng.multinomial(len(absolute), np.full(len(absolute), 1.0 / len(absolute)), size=n_boot)
    low, high = np.quantile(counts @ absolute / len(absolute), [0.025, 0.975], axis=0)
    table = pd.DataFrame(
        {"name": values.columns, "mean_abs": absolute.mean(axis=0), "low": low, "high": high, "mean": values.mean()}
    )
    return table.sort_values("mean_abs", ascending=False, ignore_index=True)


def permutation_importance(
    detector: LensDetector,
    X: np.ndarray,
    y: np.ndarray | None = None,
    *,
    by: Literal["group", "feature"] = "group",
    names: list[str] | None = None,
    n_repeats: int = 5,
    random_state: int = 0,
) -> pd.DataFrame:
    """Return the increase of a detector's log loss when the columns of a group are shuffled between cutouts.

    The columns of a group, or of a feature in all patches, are shuffled together, which keeps their correlations.

    Parameters
    ----------
    detector : LensDetector
        Fitted detector with members on features.
    X : ndarray of shape (n, 315)
        Features. Rows of NaN are omitted.
    y : ndarray of shape (n,), default=None
        1 for a lens and 0 for certainly not a lens. None means that the detector's own probabilities, at even
        prevalence, serve as the truth: the loss is then a Kullback-Leibler divergence from them, and does not depend on
        their quality.
    by : {"group", "feature"}, default="group"
    names : list of str, default=None
        Groups or features to shuffle; None means all except position.
    n_repeats : int, default=5
        Number of shuffles.
    random_state : int, default=0

    Returns
    -------
    DataFrame, sorted by loss
        Columns `name`, `loss` (nats per cutout, mean over the shuffles), `low` and `high` (minimum and maximum).

    Raises
    ------
    GridlensError
        A member needs cutouts, fewer than two rows are left, or a name is unknown.

    References
    ----------
    .. [1] Breiman 2001, "Random forests", Machine Learning 45, 5, section 10.
    """
    columns = group_columns() if by == "group" else feature_columns()
    chosen = [name for name in columns if name != POSITION] if names is None else names
    unknown = [name for name in chosen if name not in columns]
    if unknown:
        raise GridlensError(
            f"The 'names' parameter must be among {', '.join(columns)}. Got {', '.join(unknown)} instead."
        )
    X = np.asarray(in_contract_order(X), dtype=np.float32)
    known = np.isfinite(X).any(axis=1)
    X = X[known]
    if len(X) < 2:
        raise GridlensError(f"The 'X' parameter must have at least two rows that are not NaN. Got {len(X)} instead.")
    truth = None if y is None else np.asarray(y, dtype=np.float64)[known]
    prevalence = EVEN if truth is None else float(np.clip(truth.mean(), 1e-6, 1 - 1e-6))

    def probabilities(rows: np.ndarray) -> np.ndarray:
        return np.clip(detector.predict_proba(rows, prevalence=prevalence)[:, 1], _TINY, 1.0 - _TINY)

    before = probabilities(X)
    truth = before if truth is None else truth

    def loss(p: np.ndarray) -> float:
        return float(-np.mean(truth * np.log(p) + (1.0 - truth) * np.log1p(-p)))

    rng = np.random.default_rng(random_state)
    orders = [rng.permutation(len(X)) for _ in range(n_repeats)]
    rows = []
    for name in chosen:
        gains = []
        # Shuffling does not change columns that are constant or NaN.
        if not _constant(X[:, columns[name]]):
            for order in orders:
                shuffled = X.copy()
                shuffled[:, columns[name]] = X[order][:, columns[name]]
                gains.append(loss(probabilities(shuffled)) - loss(before))
        gains = gains or [0.0]
        rows.append((name, float(np.mean(gains)), min(gains), max(gains)))
    table = pd.DataFrame(rows, columns=["name", "loss", "low", "high"])
    return table.sort_values("loss", ascending=False, ignore_index=True)


def _constant(values: np.ndarray) -> bool:
    return np.array_equal(values, np.broadcast_to(values[:1], values.shape), equal_nan=True)
