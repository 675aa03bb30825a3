"""Plausible ranges of metadata. Values outside are missing-value marks such as -99, or errors."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["PAIRS", "implausible", "known_metadata", "limits"]

# The smallest and the largest value of each name, in the units of `CutoutSet`. The limits include every known cluster
# and, where possible, exclude the marks that catalogues use for missing values (-99, -1, 99, 999, 9999, 1e20).
_LIMITS = {
    "ra": (-360.0, 360.0),
    "dec": (-90.0, 90.0),
    "bcg_ra": (-360.0, 360.0),
    "bcg_dec": (-90.0, 90.0),
    # This limit excludes marks such as 9999. Whether the position is on the cutout is checked with the cutout. See
    # _PIXELS.
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
    # from truth tables
    "bcg_mag_r": (5.0, 35.0),
    "theta_e": (0.0, 300.0),
    "arc_snr": (0.0, np.inf),
}
# Negative integer pixel positions are missing-value marks (-1, -99). Other negative positions lie outside the cutout,
# which is then rejected.
_PIXELS = ("bcg_x", "bcg_y")
PAIRS = (("ra", "dec"), ("bcg_ra", "bcg_dec"), ("bcg_x", "bcg_y"))
"""pairs of names whose values are meaningless without each other"""


def limits(name: str) -> tuple[float, float]:
    """Return the smallest and the largest plausible value of `name`, infinite for names without limits."""
    return _LIMITS.get(name, (-np.inf, np.inf))


def implausible(name: str, values: Any) -> NDArray[np.bool_]:
    """Return a mask of the known values that are implausible; all False for names without limits.

    Parameters
    ----------
    name : str
        One of `METADATA_NAMES`, or a position of the BCG.
    values : array-like of float
        In the units of `CutoutSet`; NaN means unknown.
    """
    values = np.asarray(values, dtype=np.float64)
    low, high = limits(name)
    wrong = (values < low) | (values > high)  # both False for NaN
    if name in _PIXELS:
        wrong |= (values < 0.0) & (values == np.round(values))
    return np.asarray(wrong)


def known_metadata(metadata: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Replace implausible values of metadata, such as a redshift of -99, with NaN.

    Parameters
    ----------
    metadata : mapping of str to array-like
        Values by name, in the units of `CutoutSet`. Values that are not numbers and names without limits are not
        changed.

    Returns
    -------
    known : dict of str to array-like
        The metadata. Both coordinates of a position are NaN if either is implausible.
    words : str
        How many values of each name were replaced, with an example of each; "" if there are none.

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
