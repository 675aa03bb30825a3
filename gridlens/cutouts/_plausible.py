"""Ranges of metadata: values outside are marks such as -99, or belong to something else."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["PAIRS", "implausible", "known_metadata", "limits"]

# The least and the largest value of each name, in the units of `CutoutSet`. The limits keep every cluster that is known
# and leave out the marks that catalogues use for unknown values (-99, -1, 99, 999, 9999, 1e20) where they can.
_LIMITS = {
    "ra": (-360.0, 360.0),
    "dec": (-90.0, 90.0),
    "bcg_ra": (-360.0, 360.0),
    "bcg_dec": (-90.0, 90.0),
    # Marks such as 9999; whether the place is on the cutout is judged with the cutout. See _PIXELS.
    "bcg_x": (-np.inf, 9998.5),
    "bcg_y": (-np.inf, 9998.5),
    "seeing": (0.001, 10.0),
    "depth": (10.0, 35.0),
    "redshift": (-0.01, 15.0),
    "richness": (0.0, 5000.0),
    "velocity_dispersion": (1.0, 5000.0),
    "log_xray_luminosity": (38.0, 47.0),
    # 99 in units of 1e14 solar masses is 15.996
    "log_mass": (11.0, 15.9),
    # of tables of truth
    "bcg_mag_r": (5.0, 35.0),
    "theta_e": (0.0, 300.0),
    "arc_snr": (0.0, np.inf),
}
# Of pixels, whole negative numbers are marks (-1, -99). Others are places off the cutout, which is rejected for them.
_PIXELS = ("bcg_x", "bcg_y")
PAIRS = (("ra", "dec"), ("bcg_ra", "bcg_dec"), ("bcg_x", "bcg_y"))
"""names whose values mean nothing without each other"""


def limits(name: str) -> tuple[float, float]:
    """Return the least and the largest value that `name` can have, infinite for names without limits."""
    return _LIMITS.get(name, (-np.inf, np.inf))


def implausible(name: str, values: Any) -> NDArray[np.bool_]:
    """Return where a value is known and cannot be right; nowhere for names without limits.

    Parameters
    ----------
    name : str
        One of `METADATA_NAMES`, or a position of the BCG.
    values : array-like of float
        In the units of `CutoutSet`; NaN is unknown.
    """
    values = np.asarray(values, dtype=np.float64)
    low, high = limits(name)
    wrong = (values < low) | (values > high)  # neither for NaN
    if name in _PIXELS:
        wrong |= (values < 0.0) & (values == np.round(values))
    return np.asarray(wrong)


def known_metadata(metadata: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Return metadata with NaN for values that cannot be right, such as a redshift of -99.

    Parameters
    ----------
    metadata : mapping of str to array-like
        By name, in the units of `CutoutSet`. Values that are not numbers, and names without limits, stay as they are.

    Returns
    -------
    known : dict of str to array-like
        With NaN also for a position whose other half cannot be right.
    words : str
        How many values of which names are meant, and the first of each; "" for none.

    Examples
    --------
    >>> from gridlens.cutouts._plausible import known_metadata
    >>> known_metadata({"redshift": [0.3, -99.0]})
    ({'redshift': array([0.3, nan])}, "1 in 'redshift' (such as -99)")
    """
    known = dict(metadata)
    wrong: dict[str, NDArray[np.bool_]] = {}
    words = []
    for name, values in metadata.items():
        try:
            wrong[name] = implausible(name, values)
        except (TypeError, ValueError):
            continue
        if wrong[name].any():
            words.append(
                f"{wrong[name].sum()} in {name!r} (such as {float(np.asarray(values)[wrong[name]].flat[0]):g})"
            )
    for name in wrong if words else ():
        partner = next((other for pair in PAIRS if name in pair for other in pair if other != name), name)
        unknown = wrong[name] | wrong.get(partner, False)
        if np.any(unknown):
            known[name] = np.where(unknown, np.nan, np.asarray(metadata[name], dtype=np.float64))
    return known, "; ".join(words)
