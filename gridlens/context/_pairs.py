"""Clusters behind clusters."""

import numpy as np
import pandas as pd

from gridlens.context._match import on_sky
from gridlens.errors import GridlensError
from gridlens.lensing import einstein_radius_distribution, lensing_efficiency
from gridlens.lensing._mass_proxies import PROXIES, REDSHIFT_RANGE

__all__ = ["pair_prescreen"]


def pair_prescreen(foreground: pd.DataFrame, background: pd.DataFrame, *, k: float = 3.0) -> pd.DataFrame:
    """Return the pairs of clusters of which one could be lensed by the other.

    A pair is kept if the background cluster is behind the foreground one and within `k` times the upper limit (84th
    percentile) of its Einstein radius, for a source at the redshift of the background cluster.

    Parameters
    ----------
    foreground : DataFrame
        `ra` and `dec` (degrees), `redshift`, and any of `log_mass`, `log_xray_luminosity`, `richness` and
        `velocity_dispersion`, as `gridlens.cutouts.read_catalog` returns them.
    background : DataFrame
        `ra`, `dec` and `redshift`. It may be the same table.
    k : float, default=3.0
        Largest separation in Einstein radii. Strong lensing needs about 1; beyond 3 the distortion is weak.

    Returns
    -------
    DataFrame
        `foreground` and `background` : int64, positions in the tables; `sep` : float64, arcsec; `efficiency` : float64,
        D_LS / D_S; `theta_e_p50` and `theta_e_p84` : float64, arcsec. Pairs are sorted by the separation in units of
        `theta_e_p84`. Rows without a position, a redshift or a mass form no pair.

    Raises
    ------
    GridlensError
        A table lacks positions or redshifts.
    ValueError
        `k` is not positive.

    Examples
    --------
    >>> import pandas as pd
    >>> from gridlens.context import pair_prescreen
    >>> near = pd.DataFrame({"ra": [150.0], "dec": [2.0], "redshift": [0.3], "log_mass": [15.0]})
    >>> far = pd.DataFrame({"ra": [150.002, 150.002], "dec": [2.0, 2.0], "redshift": [0.9, 0.2]})
    >>> pair_prescreen(near, far)[["foreground", "background"]].values.tolist()
    [[0, 0]]
    """
    from astropy import units as u
    from astropy.coordinates import SkyCoord, search_around_sky

    if not k > 0.0:
        raise ValueError(f"The 'k' parameter must be positive. Got {k!r} instead.")
    near, far = _usable(foreground, "foreground"), _usable(background, "background")
    proxies = {name: near[name].to_numpy(dtype=float) for name in PROXIES if name in near}
    # No source gives a larger radius than one at the redshift limit.
    limit = einstein_radius_distribution(near["redshift"].to_numpy(), source_redshift=20.0, **proxies)["theta_e_p84"]
    near = near[limit.notna().to_numpy()]
    columns = ["foreground", "background", "sep", "efficiency", "theta_e_p50", "theta_e_p84"]
    if not len(near) or not len(far):
        return pd.DataFrame({name: np.empty(0, np.int64 if name in columns[:2] else float) for name in columns})
    lens = SkyCoord(near["ra"].to_numpy() * u.deg, near["dec"].to_numpy() * u.deg)
    source = SkyCoord(far["ra"].to_numpy() * u.deg, far["dec"].to_numpy() * u.deg)
    i, j, sep, _ = search_around_sky(lens, source, k * float(limit.max()) * u.arcsec)
    lens_z, source_z = near["redshift"].to_numpy()[i], far["redshift"].to_numpy()[j]
    efficiency = lensing_efficiency(lens_z, source_z)
    proxies = {name: near[name].to_numpy(dtype=float)[i] for name in PROXIES if name in near}
    radii = einstein_radius_distribution(lens_z, source_redshift=source_z, **proxies)
    pairs = pd.DataFrame(
        {
            "foreground": near.index.to_numpy()[i],
            "background": far.index.to_numpy()[j],
            "sep": sep.arcsec,
            "efficiency": efficiency,
            "theta_e_p50": radii["theta_e_p50"],
            "theta_e_p84": radii["theta_e_p84"],
        }
    )
    kept = pairs[(pairs["efficiency"] > 0.0) & (pairs["sep"] <= k * pairs["theta_e_p84"])]
    return kept.iloc[np.argsort((kept["sep"] / kept["theta_e_p84"]).to_numpy(), kind="stable")].reset_index(drop=True)


def _usable(table: pd.DataFrame, which: str) -> pd.DataFrame:
    """Return the rows with a position and a redshift; the index holds their places."""
    missing = [name for name in ("ra", "dec", "redshift") if name not in table]
    if missing:
        raise GridlensError(
            f"The {which} clusters must have the columns ra, dec and redshift. Got a table without "
            f"{', '.join(missing)} instead. Read it with gridlens.cutouts.read_catalog."
        )
    table = table.reset_index(drop=True)
    placed = on_sky(table["ra"].to_numpy(dtype=float), table["dec"].to_numpy(dtype=float))
    return table[placed & table["redshift"].between(*REDSHIFT_RANGE).to_numpy()]
