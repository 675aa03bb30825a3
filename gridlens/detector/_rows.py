"""Rows of the score table: the columns that describe each cutout, besides the probabilities of the members."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gridlens.cutouts import CutoutFlag
from gridlens.cutouts._tangent import sky_at
from gridlens.detector._table import ARC_COLUMNS
from gridlens.features import FEATURE_NAMES, Measured
from gridlens.features._contract import N_PATCHES
from gridlens.features._shown import shown_value

__all__ = ["described", "reject_unscored"]


def described(
    measured: Measured, score: np.ndarray, low: np.ndarray, high: np.ndarray, patch: np.ndarray
) -> dict[str, Any]:
    """Return the columns from `id` to those of the arc candidate in each row's `patch`, each of shape (n,)."""
    arc_xy = np.take_along_axis(measured.arc_xy, np.maximum(patch, 0)[:, None, None], axis=1)[:, 0].astype(np.float64)
    arc_xy[patch < 0] = np.nan
    offset = np.einsum("nij,nj->ni", measured.sky_axes, arc_xy - measured.bcg_xy)
    arc_radec = sky_at(measured.bcg_radec, offset)
    columns: dict[str, Any] = {
        "id": measured.ids,
        "ra": measured.radec[:, 0],
        "dec": measured.radec[:, 1],
        "path": measured.paths,
        "score": score,
        "score_low": low,
        "score_high": high,
        "status": np.where(measured.rejected, "rejected", "ok").astype(object),
        "message": measured.messages,
        "flags": measured.flags,
        "valid_fraction": measured.valid_fraction,
        "arc_x": arc_xy[:, 0],
        "arc_y": arc_xy[:, 1],
        "arc_ra": arc_radec[:, 0],
        "arc_dec": arc_radec[:, 1],
        "arc_patch": patch,
    }
    for name in ARC_COLUMNS:
        index = [FEATURE_NAMES.index(f"patch{k}_{name}") for k in range(N_PATCHES)]
        values = np.take_along_axis(measured.features[:, index], np.maximum(patch, 0)[:, None], axis=1)[:, 0]
        columns[name] = np.where(patch < 0, np.nan, shown_value(name, values.astype(np.float64)))
    return columns


def reject_unscored(
    measured: Measured, score: np.ndarray, members: np.ndarray, asked: np.ndarray, names: Sequence[str]
) -> Measured:
    """Reject the rows without a finite number from a member or the stack, so that all accepted rows have a probability.

    `asked` (n, n_members) tells which members had to score each row.
    """
    unscored = np.flatnonzero(~measured.rejected & ~np.isfinite(score))
    if not len(unscored):
        return measured
    rejected, flags, messages = measured.rejected.copy(), measured.flags.copy(), measured.messages.copy()
    rejected[unscored] = True
    flags[unscored] |= int(CutoutFlag.FAILED)
    for k in unscored:
        silent = [name for name, mute in zip(names, asked[k] & ~np.isfinite(members[k]), strict=True) if mute]
        culprit = f"member {silent[0]!r}" if silent else "model"
        messages[k] = f"The {culprit} gave no finite probability for this cutout. {messages[k]}".strip()
    return replace(measured, rejected=rejected, flags=flags, messages=messages)
