"""What labels and priors must be."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["checked_prior", "checked_s"]


def checked_s(s: Any, n: int) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Labels as 0 and 1, and the two values that stand for unlabelled and positive: 0 or -1, and 1.

    Raises
    ------
    ValueError
        The length is another, a value is none of these, or one kind is missing.
    """
    labels = np.asarray(s)
    if labels.shape != (n,):
        raise ValueError(
            f"The 'y' parameter must hold one label for each of the {n} rows. Got shape {labels.shape} instead."
        )
    try:
        numbers = labels.astype(np.float64)
    except (TypeError, ValueError):
        numbers = np.full(n, 2.0)
    values = np.unique(numbers)
    if np.isnan(numbers).any() or not set(values) <= {-1.0, 0.0, 1.0} or {-1.0, 0.0} <= set(values):
        shown = ", ".join(map(str, np.unique(labels.astype(str))[:5]))
        raise ValueError(
            "The 'y' parameter must hold 1 for a labelled positive and 0 (or -1) for an unlabelled row. "
            f"Got {shown} instead."
        )
    positive = (numbers == 1.0).astype(np.int64)
    if positive.sum() in (0, n):
        kind, other = ("unlabelled", "positive") if positive.all() else ("positive", "unlabelled")
        raise ValueError(
            f"The 'y' parameter must hold positives and unlabelled rows, and not one class alone. Got {other} ones "
            f"only; add {kind} ones."
        )
    classes = np.array([values[0], 1.0])
    return positive, classes.astype(labels.dtype if labels.dtype.kind in "biu" else np.float64)


def checked_prior(prior: Any) -> float:
    """Class prior, once it is known to lie between 0 and 1; raise ValueError otherwise."""
    if isinstance(prior, bool) or not isinstance(prior, int | float | np.number) or not 0.0 < prior < 1.0:
        raise ValueError(
            f"The 'prior' parameter must be the share of positives in the population, between 0 and 1. Got {prior!r} "
            "instead; estimate_class_prior estimates it."
        )
    return float(prior)
