"""Conversion of features given by callers: tables with named columns, or arrays in the order of the contract."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gridlens.features._contract import (
    FEATURE_GROUPS,
    FEATURE_NAMES,
    METADATA_CHOICES,
    METADATA_NAMES,
    N_IMAGE_FEATURES,
)

__all__ = ["check_features", "dropped_hint", "in_contract_order", "informative_columns"]

_NAMED = 3


def in_contract_order(X: Any) -> Any:
    """Return features with their named columns in the order of the contract.

    Parameters
    ----------
    X : array-like or table of shape (n, 315)
        Data without column names, or with integer names, are returned unchanged.

    Raises
    ------
    ValueError
        The columns have names other than the 315 of the contract.
    """
    # Arrow tables store their column names in another attribute, and numpy stacks their columns in any order.
    names = list(getattr(X, "column_names", getattr(X, "columns", ())))
    if not any(isinstance(name, str) for name in names) or tuple(names) == FEATURE_NAMES:
        return X
    if len(names) == len(FEATURE_NAMES) and set(names) == set(FEATURE_NAMES):
        return X.select(list(FEATURE_NAMES)) if hasattr(X, "select") else X[list(FEATURE_NAMES)]
    missing = [name for name in FEATURE_NAMES if name not in names]
    unknown = [str(name) for name in names if name not in FEATURE_NAMES]
    found = [f"lacks {_some(missing)}"] if missing else []
    found += [f"has {_some(unknown)}, which is not in the contract"] if unknown else []
    raise ValueError(
        f"The columns of the 'X' parameter must be the {len(FEATURE_NAMES)} of FEATURE_NAMES, in any order. Got a "
        f"table that {' and '.join(found) or 'repeats some of them'} instead.{dropped_hint(len(names))} An array of "
        "the same values in the order of FEATURE_NAMES is also accepted."
    )


def check_features(X: Any) -> np.ndarray:
    """Return features as an array of shape (n, 315), in the order of the contract.

    Raises
    ------
    ValueError
        The features have another shape, or columns with other names.
    """
    X = np.asarray(in_contract_order(X))
    if X.ndim != 2 or X.shape[1] != len(FEATURE_NAMES):
        raise ValueError(
            f"The 'X' parameter must be features of shape (n, {len(FEATURE_NAMES)}). Got shape {X.shape} instead."
            f"{dropped_hint(X.shape[-1] if X.ndim else 0)} GridPatchExtractor().transform(cutouts) computes them."
        )
    return X


def informative_columns(metadata: str) -> np.ndarray:
    """Return the columns that vary between cutouts: all except position flags and metadata that are not selected."""
    constant = {FEATURE_NAMES.index(name) for name in FEATURE_GROUPS["position"]}
    image = [k for k in range(N_IMAGE_FEATURES) if k not in constant]
    return np.array(
        image + [N_IMAGE_FEATURES + METADATA_NAMES.index(name) for name in METADATA_CHOICES[metadata]], dtype=np.intp
    )


def dropped_hint(width: int) -> str:
    """Return a hint if the number of columns is that of `GridPatchExtractor` with `drop_constant`, else ""."""
    if width not in {len(informative_columns(choice)) for choice in METADATA_CHOICES}:
        return ""
    return " Rows without constant columns (drop_constant=True) are for other estimators: use drop_constant=False."


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
