"""Default estimator of P(s=1 | x), and folds for its out-of-fold scores."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

__all__ = ["default_estimator", "splits"]


def default_estimator(seed: int) -> Any:
    """Return boosted trees with reliable out-of-fold probabilities: small, slowly grown and limited in number."""
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
    """Split rows into folds with about equal fractions of labelled rows; each group is in one fold."""
    rows = np.zeros(len(labels))
    if groups is None:
        return StratifiedKFold(n, shuffle=True, random_state=seed).split(rows, labels)
    return StratifiedGroupKFold(n, shuffle=True, random_state=seed).split(rows, labels, groups)
