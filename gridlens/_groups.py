"""Groups of rows by the names of their clusters."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlens._ids import as_ids

__all__ = ["group_of_each"]


def group_of_each(groups: Any) -> NDArray[Any]:
    """Return the group of each row as an array that `numpy.unique` can sort; a row without a group gets its own.

    Parameters
    ----------
    groups : array-like of shape (n,)
        Numbers or text; in a mixture, 7 and "7" are the same group. None, NaN, NaT, `pandas.NA` and "" are missing.

    Returns
    -------
    ndarray of shape (n,)
        The groups unchanged, or numbers if one is missing.
    """
    names = np.asarray(groups)
    if names.ndim != 1:
        return names
    # numpy converts NaN among text to the text "nan"
    values = names if hasattr(groups, "dtype") else np.fromiter(groups, dtype=object, count=len(names))
    missing = np.array([name is None or pd.isna(name) or name == "" for name in values.tolist()], dtype=bool)
    if not missing.any():
        return names if _is_sortable(names) else np.asarray(as_ids(values))
    known, codes = np.unique(np.asarray(as_ids(values[~missing])), return_inverse=True)
    numbered = np.empty(len(names), dtype=np.int64)
    numbered[~missing] = codes
    numbered[missing] = len(known) + np.arange(missing.sum())
    return numbered


def _is_sortable(names: NDArray[Any]) -> bool:
    try:
        np.unique(names)
    except TypeError:
        return False
    return True
