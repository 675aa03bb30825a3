"""Rows of the table of scores: what is said of each cutout beside the members' probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gridlens.cutouts import CutoutFlag
from gridlens.detector._table import ARC_COLUMNS
from gridlens.features import FEATURE_NAMES, Measured, best_arc
from gridlens.features._contract import N_PATCHES
from gridlens.features._shown import shown_value

__all__ = ["described", "reject_unscored"]


def described(measured: Measured, score: np.ndarray, low: np.ndarray, high: np.ndarray) -> dict[str, Any]:
    """Return the columns from `id` to the best arc candidate, each of shape (n,)."""
    patch = best_arc(measured.features)
    columns: dict[str, Any] = {
        "id": measured.ids,
        "path": measured.paths,
        "score": score,
        "score_low": low,
        "score_high": high,
        "status": np.where(measured.rejected, "rejected", "ok").astype(object),
        "message": measured.messages,
        "flags": measured.flags,
        "valid_fraction": measured.valid_fraction,
        "arc_patch": patch,
    }
    for name in ARC_COLUMNS:
        index = [FEATURE_NAMES.index(f"patch{k}_{name}") for k in range(N_PATCHES)]
        values = np.take_along_axis(measured.features[:, index], np.maximum(patch, 0)[:, None], axis=1)[:, 0]
        columns[name] = np.where(patch < 0, np.nan, shown_value(name, values.astype(np.float64)))
    return columns


def reject_unscored(measured: Measured, score: np.ndarray, members: np.ndarray, names: Sequence[str]) -> Measured:
    """Reject the rows for which a member or the stack gave no finite number: an accepted row has a probability."""
    unscored = np.flatnonzero(~measured.rejected & ~np.isfinite(score))
    if not len(unscored):
        return measured
    rejected, flags, messages = measured.rejected.copy(), measured.flags.copy(), measured.messages.copy()
    rejected[unscored] = True
    flags[unscored] |= int(CutoutFlag.FAILED)
    for k in unscored:
        silent = [name for name, p in zip(names, members[k], strict=True) if not np.isfinite(p)]
        culprit = f"member {silent[0]!r}" if silent else "model"
        messages[k] = f"The {culprit} gave no finite probability for this cutout. {messages[k]}".strip()
    return replace(measured, rejected=rejected, flags=flags, messages=messages)
