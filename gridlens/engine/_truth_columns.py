"""Strata, controls and matched columns of lens finding that are available in the joined tables."""

from __future__ import annotations

from typing import Any, NamedTuple

import pandas as pd

from gridlens.evaluation import Strata

__all__ = ["by_columns"]

_INFINITE = float("inf")


class _Stratum(NamedTuple):
    title: str
    edges: tuple[float, ...] | None
    lenses_only: bool
    """whether only lenses have such values, so that each stratum is compared with all negatives"""


# Strata by column of the truth table.
_STRATA = {
    "theta_e": _Stratum("Einstein radius [arcsec]", (10.0, 15.0, 25.0, 30.0), True),
    "arc_snr": _Stratum("S/N of the arcs", (0.0, 100.0, 300.0, _INFINITE), True),
    "seeing": _Stratum("seeing [arcsec]", (0.0, 0.7, 0.9, 1.1, _INFINITE), False),
    "richness": _Stratum("richness", (0.0, 20.0, 40.0, 80.0, _INFINITE), False),
    "survey": _Stratum("survey", None, False),
}
_SIMPLE = "brightness and richness"
_CONTROLS = {
    _SIMPLE: ("bcg_mag_r", "richness"),
    "metadata": ("bcg_mag_r", "richness", "redshift", "seeing", "depth", "log_xray_luminosity", "velocity_dispersion"),
    "catalogue context": ("context_theta_e_p50", "context_p_theta_e_gt_10", "context_n_known"),
}
_MATCHED = ("richness", "bcg_mag_r")


def by_columns(rows: pd.DataFrame, notes: list[str]) -> dict[str, Any]:
    """Return the arguments `strata`, `controls` and `match_on` of `evaluate`, and add notes on missing columns."""
    strata = {}
    for name, (title, edges, lenses_only) in _STRATA.items():
        if name in rows:
            values = rows[name].where(rows["label"] == 1) if lenses_only else rows[name]
            strata[title] = Strata(values.to_numpy(), edges)
    controls = {}
    for name, columns in _CONTROLS.items():
        known = _known(rows, columns)
        if known:
            controls[name] = rows[known]
            notes.append(f"The control of {name} uses {', '.join(known)}.")
    missing = [name for name in _STRATA if name not in rows]
    if missing:
        notes.append(f"Not stratified by {', '.join(missing)}: the truth table has no such column.")
    matched = _known(rows, _MATCHED)
    absent = [name for name in _CONTROLS[_SIMPLE] if name not in matched]
    if absent:
        notes.append(f"The control of {_SIMPLE} lacks {' and '.join(absent)}.")
    return {"strata": strata, "controls": controls, "match_on": rows[matched] if matched else None}


def _known(rows: pd.DataFrame, columns: tuple[str, ...]) -> list[str]:
    return [name for name in columns if name in rows and rows[name].notna().any()]
