"""Sums of the contributions of 315 columns, by group, feature and patch."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gridlens.explain._explainer import Explanation
from gridlens.explain._words import ARC_FEATURES
from gridlens.features import FEATURE_GROUPS, FEATURE_NAMES
from gridlens.features._contract import (
    METADATA_NAMES,
    N_IMAGE_FEATURES,
    N_PATCHES,
    PATCH_FEATURE_GROUPS,
    PATCH_FEATURE_NAMES,
)
from gridlens.features._shown import shown_value

__all__ = ["POSITION", "by_feature", "by_group", "by_patch", "feature_columns", "feature_points", "group_columns"]

POSITION = "position"
"""name of the position flags, which are constant over cutouts: part of the sum, but not informative"""


def group_columns() -> dict[str, np.ndarray]:
    """Return the columns of each group of features, in the order of the contract."""
    index = {name: k for k, name in enumerate(FEATURE_NAMES)}
    return {group: np.array([index[name] for name in names]) for group, names in FEATURE_GROUPS.items()}


def feature_columns() -> dict[str, np.ndarray]:
    """Return the columns of each feature in all patches, then of metadata; the position flags are one feature."""
    width = len(PATCH_FEATURE_NAMES)
    columns: dict[str, list[int]] = {}
    for j, name in enumerate(PATCH_FEATURE_NAMES):
        group = PATCH_FEATURE_GROUPS[name]
        columns.setdefault(POSITION if group == POSITION else name, []).extend(range(j, N_IMAGE_FEATURES, width))
    columns |= {name: [N_IMAGE_FEATURES + k] for k, name in enumerate(METADATA_NAMES)}
    return {name: np.array(found) for name, found in columns.items()}


def by_group(explanation: Explanation) -> pd.DataFrame:
    """Sum contributions by feature group.

    The groups are intensity, colour, edges, geometry, arc shape, arc colour, position and metadata.

    Parameters
    ----------
    explanation : Explanation of n

    Returns
    -------
    DataFrame of n rows
        A column for each group, then one for each member in `bars`; the base and the sum of a row are its log-odds.
        A rejected cutout has a row of NaN.
    """
    return _with_bars(explanation, group_columns())


def by_feature(explanation: Explanation) -> pd.DataFrame:
    """Sum contributions by feature, over the nine patches.

    Parameters
    ----------
    explanation : Explanation of n

    Returns
    -------
    DataFrame of n rows
        A column for each of the 25 features of a patch, for position and for the nine metadata, then one for each
        member in `bars`; the base and the sum of a row are its log-odds. A rejected cutout has a row of NaN.
    """
    return _with_bars(explanation, feature_columns())


def by_patch(explanation: Explanation) -> pd.DataFrame:
    """Sum contributions by patch, excluding those of metadata and of members in `bars`.

    Parameters
    ----------
    explanation : Explanation of n

    Returns
    -------
    DataFrame of n rows
        The columns `patch0` to `patch8`, log-odds; a rejected cutout has a row of NaN. ``to_numpy().reshape(-1, 3, 3)``
        gives the grid of the cutout: row 0 is at y = 0, so draw it with ``origin="lower"``.

    Examples
    --------
    >>> from gridlens import CutoutSet, load_model
    >>> from gridlens.explain import Explainer, by_patch
    >>> cutouts = CutoutSet.read("cutouts/")  # doctest: +SKIP
    >>> by_patch(Explainer(load_model()).explain(cutouts)).idxmax(axis=1)  # doctest: +SKIP
    """
    width = len(PATCH_FEATURE_NAMES)
    columns = {f"patch{k}": np.arange(k * width, (k + 1) * width) for k in range(N_PATCHES)}
    return _sums(explanation, columns)


def feature_points(explanation: Explanation, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the contributions of one feature in each patch of each cutout, with its values.

    Parameters
    ----------
    explanation : Explanation of n
        The n - r cutouts that are not rejected are used.
    name : str
        A patch feature or a metadata feature.

    Returns
    -------
    contributions : ndarray of shape (m,), float64
        Log-odds; m is 9 (n - r) for a patch feature, n - r for metadata.
    values : ndarray of shape (m,), float64
        Values of the feature in display units: `arc_snr` as a signal-to-noise ratio; NaN if unknown.
    meaningful : ndarray of shape (m,), bool
        False if the value is unknown, and for arc features in patches without an arc candidate.

    Raises
    ------
    KeyError
        There is no such feature.

    Examples
    --------
    >>> from gridlens import CutoutSet, load_model
    >>> from gridlens.explain import Explainer
    >>> from gridlens.explain._aggregate import feature_points
    >>> cutouts = CutoutSet.read("cutouts/")  # doctest: +SKIP
    >>> added, value, _ = feature_points(Explainer(load_model()).explain(cutouts), "arcness")  # doctest: +SKIP
    """
    fine = np.isfinite(explanation.log_odds)
    columns = feature_columns()
    of = columns[name]
    features = explanation.features[fine]
    values = features[:, of].ravel().astype(np.float64)
    meaningful = np.isfinite(values)
    if name in ARC_FEATURES:
        meaningful &= features[:, columns["elongation"]].ravel() > 0.0
    return explanation.values[fine][:, of].ravel(), shown_value(name, values), meaningful


def _with_bars(explanation: Explanation, columns: dict[str, np.ndarray]) -> pd.DataFrame:
    return _sums(explanation, columns).assign(**explanation.bars)


def _sums(explanation: Explanation, columns: dict[str, np.ndarray]) -> pd.DataFrame:
    return pd.DataFrame({name: explanation.values[:, of].sum(axis=1) for name, of in columns.items()})
