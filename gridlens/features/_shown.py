"""Values of features as tables, axes and sentences show them."""

import re
from typing import Any

import numpy as np

__all__ = ["shown_value"]

# The contract keeps the arcsinh of the signal-to-noise ratio; readers expect the ratio itself.
_ARCSINH = re.compile(r"(patch\d_)?arc_snr")


def shown_value(name: str, value: Any) -> Any:
    """Return a feature in the unit in which it is shown: `arc_snr` as a signal-to-noise ratio, others as they are.

    Parameters
    ----------
    name : str
        A feature of a patch, such as ``"arc_snr"``, or a column of the contract, such as ``"patch3_arc_snr"``.
    value : float or array-like of any shape
        Values of the feature contract. NaN stays NaN.

    Returns
    -------
    float or ndarray
        Of the shape of `value`; float64 where it was converted.

    Examples
    --------
    >>> import math
    >>> from gridlens.features._shown import shown_value
    >>> round(float(shown_value("patch3_arc_snr", math.asinh(85.0))), 6), shown_value("arcness", 2.5)
    (85.0, 2.5)
    """
    return np.sinh(np.asarray(value, dtype=np.float64)) if _ARCSINH.fullmatch(name) else value
