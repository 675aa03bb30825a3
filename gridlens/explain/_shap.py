"""Conversion of contributions for the package shap, which is imported only here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from gridlens._extras import check_extra
from gridlens.explain._words import FEATURE_LABELS, PLACES
from gridlens.features._contract import FEATURE_NAMES, METADATA_NAMES, N_PATCHES, PATCH_FEATURE_NAMES
from gridlens.features._shown import shown_value

if TYPE_CHECKING:
    import shap

__all__ = ["column_labels", "shap_explanation"]

_POSITION = "position_"


def column_labels() -> list[str]:
    """Return readable names of the 315 columns, such as "arc elongation [top left]"."""
    patches = [f"{_label(name)} [{PLACES[k]}]" for k in range(N_PATCHES) for name in PATCH_FEATURE_NAMES]
    return patches + [FEATURE_LABELS[name] for name in METADATA_NAMES]


def shap_explanation(
    ids: Sequence[str],
    features: np.ndarray,
    values: np.ndarray,
    base: float,
    members: Mapping[str, tuple[np.ndarray, np.ndarray]],
) -> shap.Explanation:
    """Return a `shap.Explanation` of n cutouts.

    Parameters
    ----------
    ids : sequence of n str
    features, values : ndarray of shape (n, 315)
        Features and contributions. The explanation's data have the S/N of arcs instead of its arcsinh.
    base : float
        Log-odds before the contributions.
    members : mapping of str to (probability, contribution), ndarrays of shape (n,)
        Members that contribute as a whole.

    Raises
    ------
    GridlensError
        The package shap is missing.
    """
    check_extra("explain", ("shap",), "Plots of shap")
    import shap

    shown = np.stack([shown_value(name, features[:, k]) for k, name in enumerate(FEATURE_NAMES)], axis=1)
    data = [shown.astype(np.float64), *(probability[:, None] for probability, _ in members.values())]
    added = [values, *(contribution[:, None] for _, contribution in members.values())]
    return shap.Explanation(
        values=np.concatenate(added, axis=1),
        base_values=np.full(len(features), base),
        data=np.concatenate(data, axis=1),
        instance_names=list(ids),
        feature_names=column_labels() + [f"member {name}" for name in members],
    )


def _label(name: str) -> str:
    """Return the label of a patch feature; position flags are numbered."""
    return f"position flag {name.removeprefix(_POSITION)}" if name.startswith(_POSITION) else FEATURE_LABELS[name]
