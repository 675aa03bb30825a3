"""Speed and memory of feature extraction: compared with the reference, by threads, size and stage, from a cold start.

python benchmarks/extraction.py

The cutouts are the simulated examples, flipped and turned. A time is the best of several, because other load on the
machine can only add to it. A ratio is the median over rounds in which both ran one after the other.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numba
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import naive  # noqa: E402

from gridlens import CutoutSet, GridPatchExtractor  # noqa: E402
from gridlens._turns import N_TURNS, turned  # noqa: E402
from gridlens.features import _components as components  # noqa: E402
from gridlens.features import _geometry as geometry  # noqa: E402
from gridlens.features import (  # noqa: E402
    _kernels,
    dihedral,
)
from gridlens.features import _maps as maps  # noqa: E402
from gridlens.features import _mesh as mesh  # noqa: E402
from gridlens.features import _patches as patches  # noqa: E402
from gridlens.features._contract import PATCH_FEATURE_NAMES  # noqa: E402

EXAMPLES = ROOT / "examples" / "cutouts" / "simulated.npz"
SIZES = (48, 64, 96, 128, 200, 301)
N_NAIVE = 4

FIRST = """
import sys, time
begin = time.perf_counter()
import numpy as np
from gridlens import CutoutSet, GridPatchExtractor
cutouts = CutoutSet(np.random.default_rng(0).normal(size=(1, 128, 128, 3)).astype(np.float32))
GridPatchExtractor().transform(cutouts)
print(time.perf_counter() - begin)
"""
PEAK = """
import resource, sys
import numpy as np
from gridlens import CutoutSet, GridPatchExtractor
n = int(sys.argv[1])
pixels = np.random.default_rng(0).standard_normal((n, 128, 128, 3), np.float32)
cutouts = CutoutSet(pixels)
GridPatchExtractor().transform(cutouts[:1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
features = GridPatchExtractor(n_jobs=2).transform(cutouts)
print(before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, features.nbytes)
"""


def best_of(action: Callable[[], Any], repeats: int = 7) -> float:
    """Return the time of the fastest of several runs, s."""
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        action()
        times.append(time.perf_counter() - begin)
    return min(times)


def times_as_long(slow: Callable[[], Any], fast: Callable[[], Any], rounds: int = 7) -> tuple[float, float]:
    """Return the median ratio of two times over rounds in which both run in turn, and the shortest time of `slow`, s.

    The speed of a machine changes from second to second, but alike for both.
    """
    pairs = [(best_of(slow, 1), best_of(fast, 1)) for _ in range(rounds)]
    return float(np.median([a / b for a, b in pairs])), min(a for a, _ in pairs)


def all_turned(pixels: np.ndarray) -> np.ndarray:
    """Return the cutouts in their eight flips and quarter turns (8, n, H, W, 3), in the order of `dihedral`."""
    return np.stack([[turned(image, version) for image in pixels] for version in range(N_TURNS)])


def resized(pixels: np.ndarray, size: int) -> np.ndarray:
    """Return the cutouts in another size about the same centre, cropped or padded with their mirror image."""
    before = (size - pixels.shape[1]) // 2
    if before < 0:
        return pixels[:, -before : size - before, -before : size - before]
    after = size - pixels.shape[1] - before
    return np.pad(pixels, ((0, 0), (before, after), (before, after), (0, 0)), mode="symmetric")


def speed(cutouts: CutoutSet) -> float:
    """Print the time per cutout and that of the reference implementation; return the first, s."""
    extractor = GridPatchExtractor()
    few = cutouts[:N_NAIVE]
    extractor.transform(few)
    ratio, slow = times_as_long(
        lambda: [naive.features(few.pixels[i], few.bcg_xy[i], few.pixel_scale[i]) for i in range(N_NAIVE)],
        lambda: [extractor.transform(few) for _ in range(64)],
    )
    one = best_of(lambda: extractor.transform(cutouts)) / len(cutouts)
    print(f"{len(cutouts)} cutouts of {cutouts.pixels.shape[1]} px, one thread: {1e3 * one:.2f} ms per cutout.")
    print(f"The reference takes {1e3 * slow / N_NAIVE:.0f} ms on {N_NAIVE} of them, {64 * ratio:.0f} times as long.")
    rng = np.random.default_rng(0)
    places = rng.uniform(50, 77, (len(cutouts), 2))
    moved = CutoutSet(cutouts.pixels, bcg_xy=places, pixel_scale=cutouts.pixel_scale)
    away = best_of(lambda: extractor.transform(moved)) / len(cutouts)
    print(f"With the BCG at a different position in each cutout: {1e3 * away:.2f} ms.")
    return one


def threads(cutouts: CutoutSet, one: float) -> None:
    """Print the gain from threads."""
    print("\n| threads | ms per cutout | speed over one thread |\n|---|---|---|")
    print(f"| 1 | {1e3 * one:.2f} | 1 |")
    many = CutoutSet.concatenate([cutouts] * 4)
    n = 2
    while n <= (os.cpu_count() or 1):
        shared = partial(GridPatchExtractor(n_jobs=n).transform, many)
        gain, _ = times_as_long(partial(GridPatchExtractor().transform, many), shared, 9)
        print(f"| {n} | {1e3 * best_of(shared, 5) / len(many):.2f} | {gain:.2f} |", flush=True)
        n *= 2


def sizes(pixels: np.ndarray) -> None:
    """Print the time by the size of the cutout."""
    print("\n| side, px | ms per cutout | ns per pixel and band |\n|---|---|---|")
    for size in SIZES:
        cutouts = CutoutSet(np.ascontiguousarray(resized(pixels, size)), pixel_scale=0.5)
        GridPatchExtractor().transform(cutouts[:1])
        each = best_of(lambda c=cutouts: GridPatchExtractor().transform(c)) / len(cutouts)
        print(f"| {size} | {1e3 * each:.2f} | {1e9 * each / (3 * size * size):.1f} |", flush=True)


def repeated(function: Any) -> Callable[..., None]:
    """Return a compiled loop over a kernel, because most kernels can only be called from compiled code."""

    @numba.njit(nogil=True)
    def loop(n, *arguments):
        for _ in range(n):
            function(*arguments)

    return loop


def stages(pixels: np.ndarray) -> None:
    """Print the time of each stage of the kernel, on the same cutouts."""
    size = pixels.shape[1]
    work = _kernels.make_workspace(size)
    xy, scale, centre = np.full((1, 2), (size - 1) / 2), np.full(1, 0.5), (size - 1) / 2
    row, status, bad = np.empty((1, 315), np.float32), np.empty(1, np.int64), np.empty(1, np.int64)
    arcs = np.empty((1, 9, 2), np.float32)
    cell = _kernels.SMALLEST_CELL * 2
    room = (work.keys, work.cell_edges, work.cell_index, work.cell_weight, work.mesh, work.mesh_lines)

    @numba.njit(nogil=True)
    def find(n, work):
        for _ in range(n):
            for k in range(4):
                runs = work.runs[k]
                count = components.find_runs(
                    work.maps[1 + k // 2], work.good, _kernels.THRESHOLDS[k], work.flags, work.words, runs
                )
                components.find_components(
                    runs, count, work.parent, work.sizes, work.areas, work.members[k], work.bounds[k]
                )

    # `repeated` does not work here, because this function is a part of another kernel.
    @numba.njit(nogil=True)
    def choose(n, x, y, scale, work):
        for _ in range(n):
            _kernels.choose_candidates(x, y, scale, work)

    loops = {
        name: repeated(function)
        for name, function in [
            ("prepare", maps.prepare),
            ("rings", geometry.fill_rings),
            ("shares", geometry.fill_shares),
            ("profile", maps.fill_profile),
            ("raw", maps.raw_maps),
            ("smooth", maps.smooth),
            ("mesh", mesh.subtract_mesh),
            ("light", patches.light),
        ]
    }
    n, total = 20, {}

    def take(stage: str, loop: Callable[..., None], *arguments: Any) -> None:
        loop(1, *arguments)
        total[stage] = total.get(stage, 0.0) + best_of(lambda: loop(n, *arguments), 5) / n / len(pixels)

    for cutout in pixels:
        one = np.ascontiguousarray(cutout)[None]
        one.flags.writeable = False
        _kernels.extract_rows(one, xy, scale, work, row, status, bad, arcs)
        total["all"] = total.get("all", 0.0) + best_of(
            lambda one=one: [_kernels.extract_rows(one, xy, scale, work, row, status, bad, arcs) for _ in range(n)], 5
        ) / n / len(pixels)
        n_rings = np.int64(work.place[2])
        rings = (work.order, work.start, work.lower, work.weight)
        take("BCG's rings, once per position", loops["rings"], size, centre, centre, work.keys, *rings)
        take("BCG's rings, once per position", loops["shares"], size, n_rings, work.lower, work.weight, work.shares)
        prepared = (work.planes, work.good, work.sigma, work.keys, work.values, work.sample)
        take("bad pixels, noise, sky, S/N", loops["prepare"], one[0], *prepared)
        for b in range(3):
            light = (work.flat[b], work.order, work.start, n_rings, work.keys, work.profile[b])
            take("light profile of the BCG", loops["profile"], *light)
        raw = np.empty_like(work.raw)
        weights = (np.float32(0.7), np.float32(0.7), raw)
        take("white and blue map", loops["raw"], work.planes, work.table, work.lower, work.weight, *weights)
        for k in range(2):
            smoothed, flat = np.empty_like(raw[k]), np.empty_like(raw[k])
            take("smoothing", loops["smooth"], raw[k], smoothed, work.lines[0])
            take("mesh backgrounds", loops["mesh"], smoothed, cell * (1 + k), *room, flat)
        take("components", find, work)
        take("components and arc candidates", choose, centre, centre, 0.5, work)
        image = (work.maps[0], work.maps[1], work.sigma, work.fluxes, work.profile, work.shares, n_rings)
        take("patches", loops["light"], work.planes, *image, work.lines, work.columns, work.sums, row[0])
    total["arc candidates"] = total.pop("components and arc candidates") - total["components"]
    whole, once = total.pop("all"), total.pop("BCG's rings, once per position")
    print("\n| stage | microseconds | fraction |\n|---|---|---|")
    for stage, seconds in total.items():
        print(f"| {stage} | {1e6 * seconds:.0f} | {seconds / whole:.0%} |")
    print(f"| the whole kernel | {1e6 * whole:.0f} | 100% |")
    print(f"\nThe rings around the BCG, computed once per position: {1e6 * once:.0f} microseconds.", flush=True)


def child(code: str, *arguments: str, **changes: str) -> list[float]:
    """Return the numbers that `code` prints in a new interpreter."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), **changes}
    done = subprocess.run([sys.executable, "-c", code, *arguments], env=env, capture_output=True, text=True, check=True)
    return [float(word) for word in done.stdout.split()]


def start_and_memory() -> None:
    """Print the time of the first cutout, and the extra memory of long runs."""
    with tempfile.TemporaryDirectory() as folder:
        cold, warm = (child(FIRST, NUMBA_CACHE_DIR=folder)[0] for _ in range(2))
    print(f"\nFirst cutout on a new machine: {cold:.1f} s, of which {cold - warm:.1f} compile; ", end="")
    print(f"from the cache: {warm:.1f} s.")
    unit = 1024 if sys.platform != "darwin" else 1
    for n in (200, 2000):
        before, after, output = child(PEAK, str(n))
        extra = ((after - before) * unit - output) / 2**20
        print(f"Memory for {n} cutouts on two threads, beyond input and output: {max(extra, 0.0):.0f} MB.")


def symmetry(pixels: np.ndarray) -> None:
    """Print how well `dihedral` predicts the features of turned cutouts."""
    versions = all_turned(pixels)
    flat = CutoutSet(np.ascontiguousarray(versions.reshape(-1, *pixels.shape[1:])), pixel_scale=0.5)
    again = GridPatchExtractor().transform(flat)[:, :306].reshape(8, len(pixels), 9, 34)[1:]
    first = GridPatchExtractor().transform(CutoutSet(pixels, pixel_scale=0.5))
    foretold = dihedral(first)[1:, :, :306].reshape(again.shape)
    off = np.abs(foretold - again)
    agree = (off <= 0.03) | (off <= 0.03 * np.abs(again))
    arc = [PATCH_FEATURE_NAMES.index(name) for name in ("arcness", "arc_snr")]
    light = np.delete(agree, np.r_[arc[0] : arc[1] + 1, 25:34], axis=3)
    print(
        f"\n`dihedral` against {7 * len(pixels)} turned cutouts: features without arc candidates within 3 %: ", end=""
    )
    print(f"{light.mean():.2%}.\n\n| arc feature | patches within 3 % | median offset of the others |\n|---|---|---|")
    shown = (foretold[..., arc[0] + 2] > 0) & (again[..., arc[0] + 2] > 0)
    for k in range(arc[0], arc[1] + 1):
        missed = off[..., k][shown & ~agree[..., k]]
        share = agree[..., k][shown].mean()
        print(f"| {PATCH_FEATURE_NAMES[k]} | {share:.0%} | {np.median(missed) if missed.size else 0:.2g} |")
    both = shown.sum() / ((foretold[..., arc[0] + 2] > 0) | (again[..., arc[0] + 2] > 0)).sum()
    print(f"\nOf the patches that show a candidate in either, {both:.1%} show one in both.")


def main() -> None:
    """Print all results."""
    begin = time.perf_counter()
    examples = CutoutSet.read(EXAMPLES).pixels
    pixels = np.ascontiguousarray(all_turned(examples).reshape(-1, *examples.shape[1:]))
    cutouts = CutoutSet(pixels, pixel_scale=0.5)
    threads(cutouts, speed(cutouts))
    sizes(examples)
    stages(examples)
    start_and_memory()
    symmetry(examples)
    print(f"\n{time.perf_counter() - begin:.0f} s in all.")


if __name__ == "__main__":
    main()
