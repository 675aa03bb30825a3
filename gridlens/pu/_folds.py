"""What learns P(s=1 | x) where nothing else is asked for, and the folds that it is scored on."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

__all__ = ["default_estimator", "splits"]


def default_estimator(seed: int) -> Any:
    """Boosted trees whose probabilities hold out of fold: few leaves, small steps, and an end to them."""
    from lightgbm import LGBMClassifier

    return LGBMClassifier(
        n_estimators=100,
        learning_rate=0.05,
        num_leaves=15,
        min_child_samples=20,
        reg_lambda=1.0,
        n_jobs=1,
        random_state=seed,
        deterministic=True,
        force_row_wise=True,
        verbosity=-1,
    )


def splits(
    n: int, labels: NDArray[np.int64], groups: NDArray[Any] | None, seed: int
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Folds of about equal fractions of labelled rows; no group in two."""
    rows = np.zeros(len(labels))
    if groups is None:
        return StratifiedKFold(n, shuffle=True, random_state=seed).split(rows, labels)
    return StratifiedGroupKFold(n, shuffle=True, random_state=seed).split(rows, labels, groups)
