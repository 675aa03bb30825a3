"""Helpers shared by the tests of the features."""

import numpy as np
import pytest
from numba import config, njit
from scenes import scenes

from gridlens.features._contract import FEATURE_NAMES
from gridlens.features._kernels import extract_rows, make_workspace

# False under NUMBA_DISABLE_JIT=1: kernels are then interpreted and take seconds for a cutout of 128 px.
JIT = not config.DISABLE_JIT
compiled_only = pytest.mark.skipif(not JIT, reason="would take too long with interpreted kernels")


def kernel(function):
    """Make a kernel that only other kernels call callable from Python."""
    if not JIT:
        return function

    @njit(error_model="numpy")
    def call(*arguments):
        return function(*arguments)

    return call


def few(cases, largest=100):
    """Return all cases (name, pixels, ...) if kernels are compiled, otherwise only those of at most `largest` px."""
    return cases if JIT else [case for case in cases if case[1].shape[0] <= largest]


def measure(pixels, bcg_xy, pixel_scale):
    """Return the status and the features (315,) float32 of one cutout from the kernel; the metadata are NaN."""
    status, row, _ = measure_arcs(pixels, bcg_xy, pixel_scale)
    return status, row


def measure_arcs(pixels, bcg_xy, pixel_scale):
    """Return the output of `measure` and the centroids (9, 2) of the candidates in the patches."""
    row = np.full((1, len(FEATURE_NAMES)), np.nan, np.float32)
    status, bad = np.zeros(1, np.int64), np.zeros(1, np.int64)
    pixels = np.array(pixels, np.float32, order="C")[None]
    pixels.flags.writeable = False
    xy, scale = np.array([bcg_xy], float), np.array([pixel_scale], float)
    work = make_workspace(pixels.shape[1])
    arc_xy = np.zeros((1, 9, 2), np.float32)
    extract_rows(pixels, xy, scale, work, row, status, bad, arc_xy)
    return status[0], row[0], arc_xy[0]


def agree(a, b, tolerance=1e-3):
    """Return which entries agree within the absolute tolerance, or within the tolerance relative to `b`."""
    difference = np.abs(np.asarray(a, np.float64) - b)
    return (difference <= tolerance) | (difference <= tolerance * np.abs(b))


def turned(pixels, bcg_xy, k):
    """Return the pixels and the BCG of version `k` of `gridlens.features.dihedral`."""
    size = pixels.shape[0]
    x, y = bcg_xy
    if k >= 4:
        pixels, x = pixels[:, ::-1], size - 1 - x
    for _ in range(k % 4):
        x, y = y, size - 1 - x
    return np.ascontiguousarray(np.rot90(pixels, k % 4)), (x, y)


def small_scenes():
    """Return three quick cutouts: noise, an arc, and an arc with bad pixels."""
    found = {name: case for name, *case in scenes(0)}
    spoiled = found["arc_48px"][0].copy()
    spoiled[10:14, 10:20, 0] = np.nan
    spoiled[30, 30] = np.inf
    return [found["noise_small_fine"], found["arc_48px"], (spoiled, (23.0, 25.0), 0.7)]
