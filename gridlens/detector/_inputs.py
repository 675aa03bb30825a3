"""Inputs of the members of a detector, from cutouts, measured cutouts or features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gridlens.cutouts import CutoutSet
from gridlens.errors import GridlensError
from gridlens.features import FEATURE_NAMES, Measured, measure
from gridlens.features._measured import keep_metadata
from gridlens.features._named import dropped_hint, in_contract_order

__all__ = [
    "Inputs",
    "as_inputs",
    "as_measured",
    "check_consumed",
    "checked_labels",
    "checked_weights",
    "inputs_of",
    "selected",
]

Inputs = dict[str, Any]
"""inputs of members by name: "features" (n, 315), and "cutouts" where available"""


def as_measured(X: CutoutSet | Measured, metadata: str, n_jobs: int | None) -> Measured:
    """Return measured cutouts with the metadata that a detector may use; cutouts are measured first."""
    return measure(X, metadata, n_jobs) if isinstance(X, CutoutSet) else X.with_metadata(metadata)


def inputs_of(measured: Measured) -> tuple[Inputs, np.ndarray]:
    """Return the inputs of members from measured cutouts, and a mask (n,) of the rows that are not rejected."""
    inputs: Inputs = {"features": measured.features}
    if measured.cutouts is not None:
        inputs["cutouts"] = measured.cutouts
    return inputs, np.logical_not(measured.rejected)


def as_inputs(X: CutoutSet | Measured | np.ndarray, metadata: str, n_jobs: int | None) -> tuple[Inputs, np.ndarray]:
    """Return the inputs of members, and a mask (n,) of the rows that are not rejected."""
    if isinstance(X, CutoutSet | Measured):
        return inputs_of(as_measured(X, metadata, n_jobs))
    features = np.asarray(in_contract_order(X), dtype=np.float32)
    if features.ndim != 2 or features.shape[1] != len(FEATURE_NAMES):
        raise GridlensError(
            f"The 'X' parameter must be a CutoutSet, a Measured or features of shape (n, {len(FEATURE_NAMES)}). "
            f"Got shape {features.shape} instead.{dropped_hint(features.shape[-1] if features.ndim else 0)} "
            "CutoutSet(pixels) wraps an array of cutouts."
        )
    return {"features": keep_metadata(features, metadata)}, np.asarray(np.isfinite(features).any(axis=1))


def checked_labels(name: str, labels: Any, n: int) -> np.ndarray:
    """Return n labels, 0 or 1, as int64; raise ValueError for other values."""
    labels = np.asarray(labels)
    if labels.shape != (n,) or not np.isin(labels, (0, 1)).all():
        raise ValueError(
            f"The '{name}' parameter must contain one label, 0 or 1, for each of the {n} cutouts. "
            f"Got shape {labels.shape} with the values {np.unique(labels)[:5].tolist()} instead."
        )
    return labels.astype(np.int64)


def selected(inputs: Inputs, rows: np.ndarray) -> Inputs:
    """Return the inputs of the rows in a mask; the same object if the mask selects all rows."""
    return inputs if rows.all() else {name: values[rows] for name, values in inputs.items()}


def check_consumed(members: Sequence[Any], inputs: Inputs) -> None:
    """Raise GridlensError if a member needs an input that is missing."""
    for member in members:
        if member.consumes not in inputs:
            raise GridlensError(
                f"The member {member.name!r} needs {member.consumes}, but the 'X' parameter contains only "
                f"{' and '.join(inputs)}. Pass a CutoutSet."
            )


def checked_weights(name: str, values: Any, usable: np.ndarray) -> np.ndarray | None:
    """Return the weights of the usable rows as float64; None is returned unchanged."""
    if values is None:
        return None
    weights = np.asarray(values, dtype=np.float64)
    if weights.shape != usable.shape or not (np.isfinite(weights) & (weights >= 0.0)).all():
        raise ValueError(
            f"The '{name}' parameter must contain a finite non-negative weight for each of the {len(usable)} rows. Got "
            f"shape {weights.shape} with values from {np.min(weights, initial=0.0)} instead."
        )
    return weights[usable]
