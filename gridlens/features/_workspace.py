"""Work arrays of one thread to measure cutouts of one size, allocated once."""

from typing import NamedTuple

import numpy as np

from gridlens.features._arcs import N_FIELDS
from gridlens.features._circle import N_GATES, N_TRIPLETS
from gridlens.features._components import most_components, most_runs
from gridlens.features._geometry import N_PATCHES
from gridlens.features._maps import SAMPLE
from gridlens.features._mesh import most_cells
from gridlens.features._patches import N_COLUMNS, N_SUMS

__all__ = ["N_SEGMENTATIONS", "Workspace", "make_workspace"]

N_BANDS = 3
N_SEGMENTATIONS = 4


class Workspace(NamedTuple):
    """Work arrays for square cutouts of one size. Their content does not affect the next cutout.

    The exception is the geometry (`place` to `shares`), which is reused while the BCG stays at `place`.
    """

    planes: np.ndarray  # (3, size, size) float32: S/N per band, sky subtracted
    flat: np.ndarray  # (3, size * size): the same memory
    good: np.ndarray  # (size, size) bool: finite in all bands
    sigma: np.ndarray  # (3,) noise per band, flux
    fluxes: np.ndarray  # (3,) flux of the BCG per band
    keys: np.ndarray  # (size * size,) int32: keys for order statistics
    values: np.ndarray  # the same memory as float32
    sample: np.ndarray  # (SAMPLE,) int32: some of the keys
    place: np.ndarray  # (3,) x and y of the centre of the rings, and their number
    order: np.ndarray  # (size * size,) int32: pixels ring by ring
    start: np.ndarray  # (rings + 1,) start of each ring in `order`
    lower: np.ndarray  # (size * size,) int32: ring whose centre is inside a pixel's radius
    weight: np.ndarray  # (size * size,) float32: weight of the next ring
    shares: np.ndarray  # (9, rings + 1): factors of the rings in each patch
    profile: np.ndarray  # (3, rings + 1) float32: light of the BCG per band, S/N
    table: np.ndarray  # (rings + 1, 4) float32: white profile, its slope, blue profile, its slope
    raw: np.ndarray  # (2, size, size) float32: white and blue before smoothing
    maps: np.ndarray  # (3, size, size) float32: white0, white, blue
    cell_edges: np.ndarray  # (most cells + 1,) edges of the mesh along an axis
    cell_index: np.ndarray  # (size,)
    cell_weight: np.ndarray  # (size,) float32
    mesh: np.ndarray  # (2, most cells, most cells) float32
    mesh_lines: np.ndarray  # (most cells + 1, size) float32
    lines: np.ndarray  # (2, size + 2) float32: rows with one pixel of margin
    columns: np.ndarray  # (N_COLUMNS, size): sums down the columns of a row of patches
    flags: np.ndarray  # (size, padded with False to a multiple of 8) bool: pixels of a row above a threshold
    words: np.ndarray  # the same memory as uint64
    runs: np.ndarray  # (4, 3, most runs) int32: y, first x, end of x
    parent: np.ndarray  # (most runs,) int32
    sizes: np.ndarray  # (most runs,) int32
    areas: np.ndarray  # (most runs,) int32
    members: np.ndarray  # (4, most runs) int32: runs component by component
    bounds: np.ndarray  # (4, most components + 1) int32: start of each component in `members`
    xs: np.ndarray  # (size * size,) float32: pixels of one candidate
    ys: np.ndarray
    run: np.ndarray  # (size * size,) int32: run of each pixel
    held: np.ndarray  # (9,) int64: pixels in each patch
    corners: np.ndarray  # (6, 48) float32: corners of its triplets
    gates: np.ndarray  # (5, 48) float32: their circles
    counts: np.ndarray  # (48,) int32: their inliers
    candidate: np.ndarray  # (N_FIELDS,)
    best: np.ndarray  # (9, N_FIELDS)
    sums: np.ndarray  # (9, N_SUMS)


def make_workspace(size: int) -> Workspace:
    """Allocate a workspace for cutouts of `size` x `size` px, about 60 bytes per pixel."""
    n_rings = 2 * size + 2
    keys = np.empty(size * size, np.int32)
    planes = np.empty((N_BANDS, size, size), np.float32)
    flags = np.zeros((size + 7) // 8 * 8, np.bool_)
    return Workspace(
        planes=planes,
        flat=planes.reshape(N_BANDS, -1),
        good=np.empty((size, size), np.bool_),
        sigma=np.empty(N_BANDS),
        fluxes=np.empty(N_BANDS),
        keys=keys,
        values=keys.view(np.float32),
        sample=np.empty(SAMPLE, np.int32),
        place=np.full(3, np.nan),
        order=np.empty(size * size, np.int32),
        start=np.empty(n_rings + 1, np.int64),
        lower=np.empty(size * size, np.int32),
        weight=np.empty(size * size, np.float32),
        shares=np.empty((N_PATCHES, n_rings + 1)),
        profile=np.empty((N_BANDS, n_rings + 1), np.float32),
        table=np.empty((n_rings + 1, 4), np.float32),
        raw=np.empty((2, size, size), np.float32),
        maps=np.empty((3, size, size), np.float32),
        cell_edges=np.empty(most_cells(size) + 1, np.int64),
        cell_index=np.empty(size, np.int64),
        cell_weight=np.empty(size, np.float32),
        mesh=np.empty((2, most_cells(size), most_cells(size)), np.float32),
        mesh_lines=np.empty((most_cells(size) + 1, size), np.float32),
        lines=np.empty((2, size + 2), np.float32),
        columns=np.empty((N_COLUMNS, size)),
        flags=flags,
        words=flags.view(np.uint64),
        runs=np.empty((N_SEGMENTATIONS, 3, most_runs(size)), np.int32),
        parent=np.empty(most_runs(size), np.int32),
        sizes=np.empty(most_runs(size), np.int32),
        areas=np.empty(most_runs(size), np.int32),
        members=np.empty((N_SEGMENTATIONS, most_runs(size)), np.int32),
        bounds=np.empty((N_SEGMENTATIONS, most_components(size) + 1), np.int32),
        xs=np.empty(size * size, np.float32),
        ys=np.empty(size * size, np.float32),
        run=np.empty(size * size, np.int32),
        held=np.empty(N_PATCHES, np.int64),
        corners=np.empty((6, N_TRIPLETS), np.float32),
        gates=np.empty((N_GATES, N_TRIPLETS), np.float32),
        counts=np.empty(N_TRIPLETS, np.int32),
        candidate=np.empty(N_FIELDS),
        best=np.empty((N_PATCHES, N_FIELDS)),
        sums=np.empty((N_PATCHES, N_SUMS)),
    )
