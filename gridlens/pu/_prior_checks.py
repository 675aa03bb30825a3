"""Validation of the parameters of `estimate_class_prior`."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import issparse

__all__ = ["checked_choice", "checked_x"]


def checked_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    """Raise ValueError unless the value is one of the choices."""
    if not isinstance(value, str) or value not in choices:
        listed = ", ".join(f'"{choice}"' for choice in choices[:-1])
        raise ValueError(f"The '{name}' parameter must be {listed} or \"{choices[-1]}\". Got {value!r} instead.")


def checked_x(X: Any) -> np.ndarray:
    """Return `X` as float64: scores of shape (n,), finite, or features of shape (n, d), NaN where unknown."""
    if issparse(X):
        raise ValueError("The 'X' parameter must be dense; convert it with toarray(). Got a sparse matrix instead.")
    try:
        values = np.asarray(X, dtype=np.float64)
    except (TypeError, ValueError) as exc:
        raise ValueError(
            "The 'X' parameter must be an array of numbers, scores of shape (n,) or features of shape (n, d). "
            f"Got a non-numeric {type(X).__name__} instead."
        ) from exc
    if values.ndim not in (1, 2) or (values.ndim == 2 and not values.shape[1]):
        raise ValueError(
            "The 'X' parameter must be scores of shape (n,) or features of shape (n, d). "
            f"Got shape {values.shape} instead."
        )
    bad = values[~np.isfinite(values)]
    if values.ndim == 1 and len(bad):
        raise ValueError(
            f"The 'X' parameter must be finite for scores; leave out the rows without a score. Got {bad[0]} instead."
        )
    infinite = values[np.isinf(values)]
    if len(infinite):
        raise ValueError(
            f"The 'X' parameter must contain finite features, or NaN where unknown. Got {infinite[0]} instead."
        )
    if values.ndim == 2 and np.isnan(values).all():
        raise ValueError("The 'X' parameter must contain a known feature. Got only NaN instead.")
    return values
