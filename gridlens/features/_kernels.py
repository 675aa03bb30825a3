"""Compiled entry point of the feature contract: compute the 306 image features of cutouts.

The kernels use plain arrays, no global state and no GIL. `_workspace.py` lists the work arrays of a thread, `_maps.py`
and `_mesh.py` contain the preparation, `_geometry.py` quantities that depend on the BCG position, `_components.py`,
`_circle.py` and `_arcs.py` the arc candidates, `_patches.py` the patches, and `_order.py` medians. Features have the
names, order and units of `_contract.py`.
"""

import math

import numpy as np

from gridlens._jit import entry, is_compiled, jit, part
from gridlens.features._arcs import (
    CENTROID_X,
    CENTROID_Y,
    COMPONENT,
    N_FIELDS,
    N_SHOWN,
    SCORE,
    SEGMENTATION,
    count_shares,
    finish,
    measure,
)
from gridlens.features._components import MIN_PIXELS, find_components, find_runs
from gridlens.features._geometry import N_PATCHES, fill_shares
from gridlens.features._maps import (
    BAD_GEOMETRY,
    OK,
    check_geometry,
    prepare,
    smooth,
    subtract_bcg,
    turn_to,
)
from gridlens.features._mesh import mesh_cell, subtract_mesh
from gridlens.features._patches import N_PATCH_FEATURES, light, place
from gridlens.features._workspace import N_SEGMENTATIONS, make_workspace

__all__ = ["OK", "THRESHOLDS", "extract_rows", "kernels_are_compiled", "make_workspace"]

FIRST_ARC_FEATURE = 14
THRESHOLDS = np.array([2.5, 6.0, 2.5, 5.0], np.float32)
WHITE0, WHITE, BLUE = 0, 1, 2


@entry
def extract_rows(pixels, bcg_xy, pixel_scale, work, out, status, bad, arc_xy):
    """Fill `out` with the image features of cutouts of one size.

    This is one flat function, because a compiled function is optimized again in every caller.

    Parameters
    ----------
    pixels : ndarray of shape (n, H, W, 3), float32, read-only
        Linear flux in g, r, i; a pixel that is not finite in one band is bad in all bands.
    bcg_xy : ndarray of shape (n, 2), float64
        Position of the brightest cluster galaxy, px, 0-based, pixel centres at integers.
    pixel_scale : ndarray of shape (n,), float64
        Arcsec per pixel.
    work : Workspace
        Work arrays for cutouts of this size; the maps and the candidates of the last cutout remain in it.
    out : ndarray of shape (n, at least 306), float32
        The first 306 columns are filled, with NaN for a rejected cutout.
    status : ndarray of shape (n,), int64
        Filled with `OK` or another status code of `_maps.py`.
    bad : ndarray of shape (n,), int64
        Filled with the number of bad pixels, or -1 for a cutout whose geometry is rejected before its pixels are read.
    arc_xy : ndarray of shape (n, 9, 2), float32
        Filled with the centroid (x, y) of the candidate of each patch, px; NaN if there is none.
    """
    height, width = pixels.shape[1], pixels.shape[2]
    planes, maps, raw, sigma, fluxes = work.planes, work.maps, work.raw, work.sigma, work.fluxes
    for k in range(pixels.shape[0]):
        bcg_x, bcg_y, scale, row = bcg_xy[k, 0], bcg_xy[k, 1], pixel_scale[k], out[k]
        for patch in range(N_PATCHES):
            arc_xy[k, patch, 0], arc_xy[k, patch, 1] = math.nan, math.nan
        status[k], bad[k] = BAD_GEOMETRY, -1
        if check_geometry(height, width, bcg_x, bcg_y, scale):
            status[k], bad[k] = prepare(pixels[k], planes, work.good, sigma, work.keys, work.values, work.sample)
        if status[k] != OK:
            for j in range(N_PATCHES * N_PATCH_FEATURES):
                row[j] = math.nan
            continue
        moved = turn_to(bcg_x, bcg_y, work)
        n_rings = np.int64(work.place[2])
        if moved:
            fill_shares(height, n_rings, work.lower, work.weight, work.shares)
        subtract_bcg(bcg_x, bcg_y, n_rings, work)
        smooth(raw[0], maps[WHITE0], work.lines[0])
        # The raw white map is no longer needed, so its memory is reused for the smoothed blue map.
        smooth(raw[1], raw[0], work.lines[0])
        for colour in range(2):
            subtract_mesh(
                maps[WHITE0] if colour == 0 else raw[0],
                mesh_cell(scale) * (1 + colour),
                work.keys,
                work.cell_edges,
                work.cell_index,
                work.cell_weight,
                work.mesh,
                work.mesh_lines,
                maps[WHITE + colour],
            )
        choose_candidates(bcg_x, bcg_y, scale, work)
        light(
            planes,
            maps[WHITE0],
            maps[WHITE],
            sigma,
            fluxes,
            work.profile,
            work.shares,
            n_rings,
            work.lines,
            work.columns,
            work.sums,
            row,
        )
        place(height, bcg_x, bcg_y, scale, row)
        for patch in range(N_PATCHES):
            for j in range(N_SHOWN):
                row[patch * N_PATCH_FEATURES + FIRST_ARC_FEATURE + j] = work.best[patch, j]
            if work.best[patch, SCORE] >= 0.0:
                arc_xy[k, patch, 0], arc_xy[k, patch, 1] = work.best[patch, CENTROID_X], work.best[patch, CENTROID_Y]


@part
def choose_candidates(bcg_x, bcg_y, pixel_scale, work):
    """Measure the best candidate of each patch into ``work.best``; zeros with score -1 if there is none."""
    size = work.good.shape[0]
    best = work.best
    for patch in range(N_PATCHES):
        for field in range(N_FIELDS):
            best[patch, field] = 0.0
        best[patch, SCORE] = -1.0
    shares = work.held
    for segmentation in range(N_SEGMENTATIONS):
        image = work.maps[WHITE] if segmentation < 2 else work.maps[BLUE]
        runs, members, bounds = work.runs[segmentation], work.members[segmentation], work.bounds[segmentation]
        n_runs = find_runs(image, work.good, THRESHOLDS[segmentation], work.flags, work.words, runs)
        n_components = find_components(runs, n_runs, work.parent, work.sizes, work.areas, members, bounds)
        for k in range(n_components):
            component = members[bounds[k] : bounds[k + 1]]
            n = count_shares(runs, component, size, shares)
            if not belongs_anywhere(shares, n):
                continue
            measure(
                runs,
                component,
                size,
                bcg_x,
                bcg_y,
                pixel_scale,
                work.xs,
                work.ys,
                work.keys,
                work.corners,
                work.gates,
                work.counts,
                work.candidate,
            )
            work.candidate[SEGMENTATION], work.candidate[COMPONENT] = segmentation, k
            for patch in range(N_PATCHES):
                if belongs(shares[patch], n) and work.candidate[SCORE] > best[patch, SCORE]:
                    for field in range(N_FIELDS):
                        best[patch, field] = work.candidate[field]
    for patch in range(N_PATCHES):
        if best[patch, SCORE] >= 0.0 and not take_over(patch, best):
            found_in, number = np.int64(best[patch, SEGMENTATION]), np.int64(best[patch, COMPONENT])
            bounds = work.bounds[found_in]
            finish(
                work.runs[found_in],
                work.members[found_in, bounds[number] : bounds[number + 1]],
                work.maps[WHITE] if found_in < 2 else work.maps[BLUE],
                work.planes,
                work.sigma,
                work.fluxes,
                work.profile,
                work.lower,
                work.weight,
                work.xs,
                work.ys,
                work.keys,
                work.run,
                work.sums,
                best[patch],
            )


@jit
def belongs(share, n):
    """Return whether a candidate of `n` px with `share` px in a patch belongs to the patch."""
    return share >= MIN_PIXELS or 2 * share >= n


@jit
def belongs_anywhere(shares, n):
    """Return whether a candidate of `n` px belongs to any patch."""
    most = 0
    for patch in range(N_PATCHES):
        most = max(most, shares[patch])
    return belongs(most, n)


@jit
def take_over(patch, best):
    """Copy the measurements of a patch's candidate from an earlier patch that has it; return whether one does."""
    for other in range(patch):
        same = best[other, COMPONENT] == best[patch, COMPONENT] and best[other, SCORE] >= 0.0
        if same and best[other, SEGMENTATION] == best[patch, SEGMENTATION]:
            for field in range(N_FIELDS):
                best[patch, field] = best[other, field]
            return True
    return False


def kernels_are_compiled() -> bool:
    """Return whether `extract_rows` has been compiled; otherwise its first call takes about half a minute."""
    return is_compiled(extract_rows)
