"""Speed of loose FITS triplets, NAME_g.fits, NAME_r.fits and NAME_i.fits, and of npz shards of the same cutouts.

Run ``python benchmarks/loose_files.py``. It prints the time of the command ``gridlens score`` on both, the processor
time of listing, reading and measuring the triplets, and the cost of listing the names of many empty files. The files
have just been written, so they are read from memory and not from disk.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from astropy.io import fits

from gridlens import CutoutSet
from gridlens.cutouts import write_npz
from gridlens.features import measure
from gridlens.simulate import SceneSettings, simulate_scene
from gridlens.sources import FileSource

_DISTINCT = 64
_SHARD = 500
# Number of header cards from a survey's pipeline, beside those of the image, the WCS and the photometry.
_OTHER_CARDS = 60
_LISTING = """
import pathlib, sys, time
from gridlens.sources import FileSource
def memory(name):
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))
FileSource(sys.argv[2])
pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak from here on
before, start = memory("VmRSS"), time.perf_counter()
source = FileSource(sys.argv[1])
seconds, peak, held = time.perf_counter() - start, memory("VmHWM"), memory("VmRSS")
start = time.perf_counter()
n = len(source.partitions())
print(seconds, peak - before, held - before, time.perf_counter() - start, n)
"""


def _scenes() -> list[np.ndarray]:
    settings = SceneSettings(varied_fraction=0.0)
    return [simulate_scene(1, k, settings).pixels for k in range(_DISTINCT)]


def _name(k: int) -> str:
    return f"cluster{k:07d}"


def _header(side: int, k: int, band: str) -> fits.Header:
    """Return the header of one band as a survey's cutout service writes it, with a different position for each `k`."""
    cards: list[tuple[str, object, str]] = [
        ("SIMPLE", True, "conforms to FITS standard"),
        ("BITPIX", -32, "array data type"),
        ("NAXIS", 2, "number of array dimensions"),
        ("NAXIS1", side, ""),
        ("NAXIS2", side, ""),
        ("CTYPE1", "RA---TAN", "gnomonic projection"),
        ("CTYPE2", "DEC--TAN", "gnomonic projection"),
        ("CUNIT1", "deg", ""),
        ("CUNIT2", "deg", ""),
        ("CRVAL1", 10.0 + 1e-3 * k, "right ascension"),
        ("CRVAL2", -30.0 + 1e-4 * k, "declination"),
        ("CRPIX1", (side + 1) / 2, ""),
        ("CRPIX2", (side + 1) / 2, ""),
        ("CD1_1", -0.5 / 3600, ""),
        ("CD1_2", 0.0, ""),
        ("CD2_1", 0.0, ""),
        ("CD2_2", 0.5 / 3600, ""),
        ("RADESYS", "ICRS", ""),
        ("BUNIT", "nJy", "unit of the pixels"),
        ("FILTER", band, ""),
        ("EXPTIME", 3600.0, "s"),
        ("SEEING", 0.8, "FWHM (arcsec)"),
        ("MAGZERO", 31.4, "AB zero point"),
    ]
    others = [(f"PIPE{j:04d}", f"step {j} of the pipeline", "one of many") for j in range(_OTHER_CARDS)]
    return fits.Header([*cards, *others])


def write_triplets(folder: Path, scenes: list[np.ndarray], n: int) -> None:
    """Write `n` triplets, each at a different position on the sky."""
    folder.mkdir()
    for k in range(n):
        pixels = scenes[k % len(scenes)]
        for place, band in enumerate("gri"):
            data = np.ascontiguousarray(pixels[..., place], dtype=">f4").tobytes()
            head = _header(len(pixels), k, band).tostring().encode()
            (folder / f"{_name(k)}_{band}.fits").write_bytes(head + data + bytes(-len(data) % 2880))


def write_shards(folder: Path, scenes: list[np.ndarray], n: int) -> None:
    """Write the same cutouts as npz shards."""
    folder.mkdir()
    for start in range(0, n, _SHARD):
        rows = range(start, min(start + _SHARD, n))
        pixels = np.stack([scenes[k % len(scenes)] for k in rows])
        write_npz(folder / f"shard{start:07d}.npz", CutoutSet(pixels, pixel_scale=0.5, ids=[str(k) for k in rows]))


def command_seconds(folder: Path, jobs: int) -> float:
    """Return the wall time of the command ``gridlens score``."""
    out = folder.with_suffix(".csv")
    arguments = ["score", str(folder), "--out", str(out), "--jobs", str(jobs), "--overwrite"]
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "gridlens", *arguments], check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def print_commands(folder: Path, n: int, jobs: int, rounds: int) -> None:
    """Print the time of the command on triplets and on shards, and the ratio of their rates."""
    names = ("triplets", "shards")
    seconds = {name: min(command_seconds(folder / name, jobs) for _ in range(rounds)) for name in names}
    print(f"| `gridlens score`, {n:,} cutouts, --jobs {jobs} | s in all | cutouts per s, in all |")
    print("|---|---|---|")
    for name, label in zip(names, ("FITS triplets", "npz shards"), strict=True):
        print(f"| {label} | {seconds[name]:.1f} | {n / seconds[name]:.0f} |")
    print(f"\nThe rate of triplets is {seconds['shards'] / seconds['triplets']:.2f} times that of shards.\n")


def print_stages(folder: Path, n: int) -> None:
    """Print the processor time of each stage per cutout, which hardly depends on other load."""
    # Loading the libraries takes the same time for any number of triplets, so it is not timed.
    warm = FileSource(folder / "triplets" / "cluster0000000_*.fits")
    measure(next(iter(warm.read(warm.partitions()[0]))).cutouts, "all", 1)
    start = time.process_time()
    source = FileSource(folder / "triplets")
    partitions = list(source.partitions())
    times = {"listing": time.process_time() - start, "reading": 0.0, "measuring": 0.0}
    for partition in partitions:
        start = time.process_time()
        sets = [batch.cutouts for batch in source.read(partition) if batch.cutouts is not None]
        times["reading"] += time.process_time() - start
        start = time.process_time()
        for cutouts in sets:
            measure(cutouts, "all", 1)
        times["measuring"] += time.process_time() - start
    joined = FileSource(
        folder / "triplets", catalog=pd.DataFrame({"id": [_name(k) for k in range(n)], "redshift": 0.3})
    )
    start = time.process_time()
    for partition in partitions:
        for _ in joined.read(partition):
            pass
    rows = {**times, "listing, reading and measuring": sum(times.values())}
    rows["reading with a catalogue"] = time.process_time() - start
    print("| stage | processor time per triplet, ms | triplets per s of processor time |")
    print("|---|---|---|")
    for stage, taken in rows.items():
        print(f"| {stage} | {1e3 * taken / n:.3f} | {n / taken:.0f} |")
    print()


def print_listing(folder: Path, n: int) -> None:
    """Print the time and the memory of listing `n` names, measured in a separate process."""
    many, few = folder / "many", folder / "few"
    for place, count in ((many, n), (few, 3)):
        place.mkdir()
        for k in range(count):
            os.close(os.open(place / f"{_name(k // 3)}_{'gri'[k % 3]}.fits", os.O_CREAT | os.O_WRONLY))
    found = subprocess.run([sys.executable, "-c", _LISTING, many, few], check=True, capture_output=True, text=True)
    seconds, peak, held, splitting, partitions = map(float, found.stdout.split())
    print(f"| {n:,} names of {n // 3:,} triplets | |")
    print("|---|---|")
    print(f"| s to list and group them | {seconds:.1f} |")
    print(f"| s to split them into {partitions:.0f} partitions | {splitting:.1f} |")
    print(f"| bytes of memory per name, at the peak | {peak / n:.0f} |")
    print(f"| bytes of memory per name, afterwards | {held / n:.0f} |")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=4000, help="triplets")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2, help="rounds of the commands; the fastest is printed")
    parser.add_argument("--names", type=int, default=1_000_000, help="files to list; 0 for none")
    arguments = parser.parse_args()
    print(f"Load of the machine before: {os.getloadavg()[0]:.1f}\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scenes = _scenes()
        write_triplets(folder / "triplets", scenes, arguments.n)
        write_shards(folder / "shards", scenes, arguments.n)
        print_commands(folder, arguments.n, arguments.jobs, arguments.rounds)
        print_stages(folder, arguments.n)
        if arguments.names:
            print_listing(folder, arguments.names)
    print(f"\nLoad of the machine after: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
