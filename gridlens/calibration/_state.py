"""Validation of the state of a saved calibrator."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gridlens.calibration._beta import BetaCurve
from gridlens.calibration._checks import checked_column, checked_whole

__all__ = ["State", "checked_state"]

_KEYS = ("strictly_increasing", "thresholds_x", "thresholds_y", "n_positive", "n_negative")
_METHODS = ("isotonic", "beta")


class State(NamedTuple):
    """State of a fitted calibrator."""

    strictly_increasing: bool
    min_positives: int
    method: str
    thresholds_x: np.ndarray
    thresholds_y: np.ndarray
    n_positive: int
    n_negative: int
    limits: tuple[np.ndarray, np.ndarray, np.ndarray] | None
    curve: BetaCurve | None


def checked_state(state: Any) -> State:
    """Return `state` as a `State`; without ``method``, it is isotonic, from a version with only that method."""
    if not isinstance(state, dict):
        raise ValueError(f"The 'state' parameter must be a dict from to_dict. Got {type(state).__name__} instead.")
    missing = [key for key in _KEYS if key not in state]
    if missing:
        raise ValueError(
            f"The 'state' parameter must be a dict from to_dict, with {', '.join(_KEYS)}. "
            f"Got one without {', '.join(missing)} instead."
        )
    for key, kind in (("strictly_increasing", bool), ("n_positive", int), ("n_negative", int)):
        if type(state[key]) is not kind:
            raise ValueError(f"The 'state' parameter must have {key} of {kind.__name__}. Got {state[key]!r} instead.")
    method = state.get("method", "isotonic")
    if method not in _METHODS:
        raise ValueError(f"The 'state' parameter must have method of {' or '.join(_METHODS)}. Got {method!r} instead.")
    x = checked_column("thresholds_x", state["thresholds_x"])
    y = checked_column("thresholds_y", state["thresholds_y"])
    if not _rising(x) or len(x) != len(y) or not ((y > 0.0) & (y < 1.0)).all() or (np.diff(y) < 0.0).any():
        raise ValueError(
            "The 'state' parameter must have increasing thresholds_x, and as many non-decreasing thresholds_y between "
            f"0 and 1. Got {_shown(x)} and {_shown(y)} instead."
        )
    return State(
        state["strictly_increasing"],
        checked_whole("min_positives", state.get("min_positives", 0), 0),
        method,
        x,
        y,
        state["n_positive"],
        state["n_negative"],
        _checked_limits(state.get("limits")),
        _checked_curve(state.get("curve")) if method == "beta" else None,
    )


def _checked_limits(limits: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    if limits is None:
        return None
    if not isinstance(limits, list | tuple) or len(limits) != 3:
        raise ValueError(f"The 'state' parameter must have limits of three lists, or None. Got {limits!r} instead.")
    x, low, high = (checked_column("limits", column) for column in limits)
    fitting = _rising(x) and len(x) == len(low) == len(high)
    if not fitting or not ((low >= 0.0) & (low <= high) & (high <= 1.0)).all():
        raise ValueError(
            "The 'state' parameter must have limits of increasing scores and as many ends of intervals from 0 to 1. "
            f"Got {_shown(x)}, {_shown(low)} and {_shown(high)} instead."
        )
    return x, low, high


def _checked_curve(curve: Any) -> BetaCurve:
    numbers = checked_column("curve", () if curve is None else curve)
    # The slopes of the score and of both sides must not be negative.
    if len(numbers) != len(BetaCurve._fields) or not np.isfinite(numbers).all() or (numbers[[0, 2, 3]] < 0.0).any():
        raise ValueError(
            f"The 'state' parameter must have a curve of {len(BetaCurve._fields)} finite numbers, "
            f"{', '.join(BetaCurve._fields)}, with non-negative slopes. Got {_shown(numbers)} instead."
        )
    return BetaCurve(*numbers.tolist())


def _rising(x: np.ndarray) -> bool:
    return bool(len(x) > 0 and np.isfinite(x).all() and (np.diff(x) > 0.0).all())


def _shown(values: np.ndarray) -> str:
    """Return `values` as text, shortened for a message."""
    return np.array2string(values, threshold=6, edgeitems=3, precision=6)
