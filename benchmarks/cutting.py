"""Time and memory of cutting clusters out of survey images, and cost of the resampling methods.

python benchmarks/cutting.py [--size 10000] [--n 1000]

Three images of noise, 10,000 px on a side, are written to a temporary folder (1.2 GB). `gridlens cutouts` runs in a
separate process, whose peak memory is printed.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from astropy.io import fits
from astropy.wcs import WCS
from reproject import reproject_adaptive, reproject_exact

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from gridlens.cutouts.images._resample import axis_fit, correspond, resample_along_axes, resample_drizzle  # noqa: E402

SCALE = 0.2
RUN = """
import resource, sys
from gridlens.cli import main
try:
    main(sys.argv[1:])
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def gnomonic(size: int, scale: float, turn: float = 0.0, place: tuple[float, float] = (150.0, 2.0)) -> WCS:
    """Return the WCS of a square image that is rotated by `turn` degrees."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = place
    wcs.wcs.crpix = [(size + 1) / 2] * 2
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    wcs.wcs.cd = np.array([[-c, s], [s, c]]) * scale / 3600
    wcs.wcs.set()
    return wcs


def write_survey(folder: Path, size: int, n: int) -> None:
    """Write a tile in each band and a catalogue of clusters on it."""
    rng = np.random.default_rng(0)
    wcs = gnomonic(size, SCALE)
    for band in "gri":
        header = wcs.to_header()
        header["MAGZERO"] = 27.0
        data = np.empty((size, size), np.float32)
        for row in range(0, size, 500):
            data[row : row + 500] = rng.standard_normal((min(500, size - row), size), np.float32)
        fits.PrimaryHDU(data, header).writeto(folder / f"tile_{band}.fits")
    sky = wcs.pixel_to_world(*rng.uniform(0.02 * size, 0.98 * size, (2, n)))
    ids = [f"cluster-{k:04d}" for k in range(n)]
    pd.DataFrame({"id": ids, "ra": sky.ra.deg, "dec": sky.dec.deg}).to_csv(folder / "clusters.csv", index=False)


def command(folder: Path, n: int) -> None:
    """Print the time and the memory of the command."""
    arguments = [
        "cutouts",
        "--catalog",
        "clusters.csv",
        "--size",
        "64arcsec",
        "--npix",
        "128",
        "--out",
        "out",
        "--jobs",
        "1",
    ]
    for band in "gri":
        arguments += ["--image", f"{band}=tile_{band}.fits"]
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", RUN, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - begin
    if not done.stdout.strip():
        raise SystemExit(done.stderr)
    unit = 1024 if sys.platform != "darwin" else 1
    peak = float(done.stdout.split()[-1]) * unit / 2**20
    print(done.stderr.strip().splitlines()[-1])
    print(
        f"{1e3 * seconds / n:.1f} ms per cutout of 128 px in three bands, one process, from start to end; "
        f"peak memory {peak:.0f} MB."
    )


def resampling() -> None:
    """Print the cost of the methods that resample 64 arcsec of one band to 128 px."""
    rng = np.random.default_rng(0)
    size = 332
    image = rng.normal(size=(size, size)).astype(np.float32)
    target = gnomonic(128, 0.5, place=(150.0001, 2.0001))
    print("\n| one band, 332 to 128 px | ms | largest difference to `reproject_exact` |\n|---|---|---|")
    along, turned = gnomonic(size, SCALE), gnomonic(size, SCALE, turn=0.3)
    factor = (0.5 / SCALE) ** 2
    exact = reproject_exact((image, along), target, shape_out=(128, 128), return_footprint=False) * factor
    exact_turned = reproject_exact((image, turned), target, shape_out=(128, 128), return_footprint=False) * factor

    def axes() -> np.ndarray:
        found = correspond(target, along, 128)
        fit = None if found is None else axis_fit(found)
        assert fit is not None
        return resample_along_axes(image, fit, 128)

    def adaptive() -> np.ndarray:
        new = reproject_adaptive(
            (image, along), target, shape_out=(128, 128), return_footprint=False, conserve_flux=True
        )
        return np.asarray(new)

    rows: list[tuple[str, Callable[[], Any], np.ndarray]] = [
        ("products of overlaps along the axes", axes, exact),
        (
            "drizzle, square drops, rotated by 0.3 degrees",
            lambda: resample_drizzle(image, turned, target, 128),
            exact_turned,
        ),
        ("`reproject_adaptive`, Gaussian kernel", adaptive, exact),
        (
            "`reproject_exact`",
            lambda: reproject_exact((image, along), target, shape_out=(128, 128), return_footprint=False) * factor,
            exact,
        ),
    ]
    for name, action, reference in rows:
        result, times = action(), []
        for _ in range(5):
            begin = time.perf_counter()
            action()
            times.append(time.perf_counter() - begin)
        print(f"| {name} | {1e3 * min(times):.1f} | {np.nanmax(np.abs(result - reference)):.2g} |")
    print()
    for name, result in (("exact overlap", exact), ("adaptive resampling", adaptive())):
        pair = np.corrcoef(result[:, 1:].ravel(), result[:, :-1].ravel())[0, 1]
        print(
            f"After {name}, the noise of a pixel is {np.std(result):.2f}; its correlation with a neighbour, {pair:.2f}."
        )


def main() -> None:
    """Print all results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=10_000)
    parser.add_argument("--n", type=int, default=1_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        write_survey(Path(name), arguments.size, arguments.n)
        command(Path(name), arguments.n)
    resampling()


if __name__ == "__main__":
    main()
