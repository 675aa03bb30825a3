"""Feature values in the units used for display."""

import re
from typing import Any

import numpy as np

__all__ = ["shown_value"]

# The contract stores the arcsinh of the signal-to-noise ratio, but readers expect the ratio itself.
_ARCSINH = re.compile(r"(patch\d_)?arc_snr")


def shown_value(name: str, value: Any) -> Any:
    """Return a feature in its display unit: `arc_snr` as a signal-to-noise ratio, others unchanged.

    Parameters
    ----------
    name : str
        A feature of a patch, such as ``"arc_snr"``, or a column of the contract, such as ``"patch3_arc_snr"``.
    value : float or array-like of any shape
        Values of the feature contract. NaN stays NaN.

    Returns
    -------
    float or ndarray
        Same shape as `value`; float64 if converted.

    Examples
    --------
    >>> import math
    >>> from gridlens.features._shown import shown_value
    >>> round(float(shown_value("patch3_arc_snr", math.asinh(85.0))), 6), shown_value("arcness", 2.5)
    (85.0, 2.5)
    """
    return np.sinh(np.asarray(value, dtype=np.float64)) if _ARCSINH.fullmatch(name) else value
