"""Catalogue context: cost of matching and of Einstein radii, and the radii compared with reference values and SDSS.

python benchmarks/context.py [--rows 1000000] [--lenses 33000]
"""

import argparse
import resource
import time

import numpy as np
import pandas as pd

from gridlens.context import known_lenses, match_known_lenses
from gridlens.lensing import (
    draw_einstein_radius,
    einstein_radius_distribution,
    lensing_efficiency,
    nfw_einstein_radius,
    sis_einstein_radius,
)

# Mass in solar masses, concentration, redshift, dispersion of the BCG in km/s, Einstein radius in arcsec for sources at
# z = 2.
GOLDENS = [
    (5e14, 4.0, 0.3, 0.0, 3.9),
    (5e14, 6.0, 0.3, 0.0, 10.0),
    (5e14, 8.0, 0.3, 0.0, 15.3),
    (5e14, 4.0, 0.3, 300.0, 8.5),
    (5e14, 6.0, 0.3, 300.0, 13.6),
    (1e15, 4.0, 0.6, 0.0, 12.7),
    (1e15, 6.0, 0.6, 0.0, 20.1),
    (1e15, 8.0, 0.6, 0.0, 25.0),
]
SDSS_MEAN, SDSS_WIDTH = 0.73, 0.316  # dex, Zitrin et al. 2012


def sky(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw positions uniformly on the sky, in degrees."""
    return rng.uniform(0.0, 360.0, n), np.degrees(np.arcsin(rng.uniform(-1.0, 1.0, n)))


def print_matching(rows: int, n_lenses: int) -> None:
    """Print the time and the memory of matching, with random lenses and with the bundled list."""
    rng = np.random.default_rng(0)
    ra, dec = sky(rng, n_lenses)
    kinds = rng.choice(["galaxy", "group", "cluster"], n_lenses, p=[0.9, 0.02, 0.08])
    drawn = pd.DataFrame({"name": "x", "ra": ra, "dec": dec, "type": kinds, "grade": "probable", "z": 0.4, "ref": ""})
    ra, dec = sky(rng, rows)
    print("| lenses | positions | seconds | matched | more memory, MB |\n|---|---|---|---|---|")
    for name, lenses in (("random", drawn), ("bundled", known_lenses())):
        # Half of the positions are at a lens.
        near = rng.integers(len(lenses), size=rows // 2)
        ra[: rows // 2] = lenses["ra"].to_numpy()[near]
        dec[: rows // 2] = lenses["dec"].to_numpy()[near]
        before = peak()
        start = time.perf_counter()
        found = match_known_lenses(ra, dec, lenses)
        seconds = time.perf_counter() - start
        matched = int((found["n_known"] > 0).sum())
        print(f"| {len(lenses)} {name} | {rows} | {seconds:.1f} | {matched} | {peak() - before:.0f} |")
    print(f"peak memory of the process: {peak():.0f} MB")


def peak() -> float:
    """Return the peak memory of this process, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


def print_radii(rows: int) -> None:
    """Print the time of a million distributions, including the table that the first call builds."""
    rng = np.random.default_rng(1)
    redshift, richness = rng.uniform(0.1, 0.9, rows), rng.uniform(10.0, 200.0, rows)
    start = time.perf_counter()
    einstein_radius_distribution(redshift, richness=richness)
    print(f"Einstein radii of {rows} clusters: {time.perf_counter() - start:.1f} s")


def print_goldens() -> None:
    """Print the reference values beside those of the solver, then limiting cases."""
    print("| M200c | c | z | BCG, km/s | reference, arcsec | solver | difference |\n|---|---|---|---|---|---|---|")
    for mass, c, z, bcg, golden in GOLDENS:
        found = float(nfw_einstein_radius(mass, c, z, 2.0, bcg_dispersion=bcg))
        print(f"| {mass:.0e} | {c:g} | {z} | {bcg:g} | {golden} | {found:.2f} | {found / golden - 1:+.1%} |")
    for source, golden in ((2.0, 20.2), (1.2, 17.0)):
        found = float(sis_einstein_radius(1000.0, 0.4, source))
        print(f"SIS of 1000 km/s at z = 0.4, sources at {source}: {found:.2f} arcsec (reference {golden})")
    print(f"efficiency for sources in front of the lens: {float(lensing_efficiency(0.5, 0.3))}")


def print_sdss() -> None:
    """Print the distribution of a sample like that of Zitrin et al. 2012, and theirs.

    The richness follows a power law above 20, as in redMaPPer, and the redshifts fill the volume from 0.1 to 0.55.
    """
    rng = np.random.default_rng(4)
    n = 10_000
    redshift = rng.uniform(0.1**3, 0.55**3, n) ** (1.0 / 3.0)
    richness = 20.0 * rng.uniform(size=n) ** (-1.0 / 2.2)
    logs = np.log10(draw_einstein_radius(rng, redshift, richness=richness))
    mean, width = float(np.nanmean(logs)), float(np.nanstd(logs))
    print(f"SDSS clusters (Zitrin et al. 2012): mean {SDSS_MEAN} and width {SDSS_WIDTH} dex")
    print(
        f"this model: mean {mean:.3f} ({mean - SDSS_MEAN:+.3f}) and width {width:.3f} ({width - SDSS_WIDTH:+.3f}) dex"
    )


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--lenses", type=int, default=33_000)
    arguments = parser.parse_args()
    print_matching(arguments.rows, arguments.lenses)
    print_radii(arguments.rows)
    print_goldens()
    print_sdss()


if __name__ == "__main__":
    main()
