"""Grid and filters of the polar member, which do not depend on the cutout, and its work arrays."""

import math
from typing import NamedTuple

import numpy as np

from gridlens._constants import FWHM_PER_SIGMA

__all__ = [
    "BIN_EDGES",
    "FIRST_RING",
    "INNER",
    "LAST_RING",
    "MOST_SAMPLES",
    "N_ANGLES",
    "N_BINS",
    "N_BIN_FIELDS",
    "N_BOTH_FIELDS",
    "N_FILTERS",
    "N_RINGS",
    "STEP",
    "Room",
    "make_room",
]

BIN_EDGES = (4.0, 8.0, 12.0, 16.0, 20.0, 26.0, 32.0)
"""edges of the bins of radius, arcsec from the BCG"""
WIDTHS = (1.2, 2.0)
LENGTHS = (4.0, 8.0)
"""widths of the filters, full width at half maximum, arcsec"""

N_BINS = len(BIN_EDGES) - 1
N_BIN_FIELDS = 10
N_BOTH_FIELDS = 4

N_FILTERS = 5

N_ANGLES = 96  # a multiple of 8, with cells centred at half steps, so that flips and quarter turns permute them
STEP = 0.5  # arcsec between rings
INNER = 2.0  # arcsec; rings beyond the bins, on both sides, are only used by the filters
N_RINGS = 68
FIRST_RING, LAST_RING = 4, 60  # range of rings in the bins (exclusive end)
MOST_SAMPLES = 4  # largest number along each side of a cell
REACH = 47  # cells to either side along a ring, so that a filter does not overlap with itself
THINNEST = 0.6  # cells, smallest sigma along a ring
SPIKE_LENGTH = 4.0  # arcsec


class Room(NamedTuple):
    """Filters and work arrays; only the filters keep their values from one cutout to the next."""

    cosine: np.ndarray  # (4, 96, 4) of the angles of the samples in a cell, for 1 to 4 samples
    sine: np.ndarray
    along: np.ndarray  # (4, rings, 2 * REACH + 1) float32: short, long, narrow ridge, broad ridge along a ring
    along_half: np.ndarray  # (4, rings) int64: taps to either side
    across: np.ndarray  # (3, taps) float32: narrow ridge, broad ridge, smoothing across rings
    across_half: np.ndarray  # (3,) int64
    bins: np.ndarray  # (bins + 1,) int64: first ring of each bin
    polar: np.ndarray  # (2, rings, 96) float32: white, blue; 0 where it is not valid
    valid: np.ndarray  # (rings, 96) float32: 1 or 0
    n_valid: np.ndarray  # (rings,) int64: valid cells
    held: np.ndarray  # (rings,) bool
    defined: np.ndarray  # (5, rings) bool: rings where a filter has all its input
    line: np.ndarray  # (96 + 2 * REACH,) float32
    stage: np.ndarray  # (rings, 96) float32
    response: np.ndarray  # (2, 5, rings, 96) float32
    top: np.ndarray  # (2, 5, rings) largest response of a ring
    scale: np.ndarray  # (2, 5, bins)
    lead: np.ndarray  # (3, rings, 96) float32: of arcs over spikes in white, blue, both; minus infinity where unknown
    sums: np.ndarray  # (96,) float32
    mean: np.ndarray  # (rings,)


def make_room() -> Room:
    """Create the filters and the work arrays of one thread; they are valid for cutouts of any size and scale."""
    fractions = [(np.arange(m) + 0.5) / m for m in range(1, MOST_SAMPLES + 1)]
    cosine, sine = np.zeros((2, MOST_SAMPLES, N_ANGLES, MOST_SAMPLES))
    for m, fraction in enumerate(fractions):
        angle = (np.arange(N_ANGLES)[:, None] + fraction) * (2.0 * math.pi / N_ANGLES)
        cosine[m, :, : m + 1], sine[m, :, : m + 1] = np.cos(angle), np.sin(angle)
    along = np.zeros((4, N_RINGS, 2 * REACH + 1), np.float32)
    along_half = np.zeros((4, N_RINGS), np.int64)
    for j in range(N_RINGS):
        cell = 2.0 * math.pi * (INNER + STEP * (j + 0.5)) / N_ANGLES
        for k, size in enumerate((*LENGTHS, *WIDTHS)):
            taps = _gaussian(size / cell) if k < 2 else _ridge(size / cell)
            along_half[k, j] = len(taps) // 2
            along[k, j, : len(taps)] = taps
    kernels = [*(_ridge(width / STEP) for width in WIDTHS), _gaussian(SPIKE_LENGTH / STEP)]
    across = np.zeros((3, max(map(len, kernels))), np.float32)
    for k, taps in enumerate(kernels):
        across[k, : len(taps)] = taps
    return Room(
        cosine=cosine,
        sine=sine,
        along=along,
        along_half=along_half,
        across=across,
        across_half=np.array([len(taps) // 2 for taps in kernels]),
        bins=np.array([round((edge - INNER) / STEP) for edge in BIN_EDGES]),
        polar=np.empty((2, N_RINGS, N_ANGLES), np.float32),
        valid=np.empty((N_RINGS, N_ANGLES), np.float32),
        n_valid=np.empty(N_RINGS, np.int64),
        held=np.empty(N_RINGS, np.bool_),
        defined=np.empty((N_FILTERS, N_RINGS), np.bool_),
        line=np.empty(N_ANGLES + 2 * REACH, np.float32),
        stage=np.empty((N_RINGS, N_ANGLES), np.float32),
        response=np.empty((2, N_FILTERS, N_RINGS, N_ANGLES), np.float32),
        top=np.empty((2, N_FILTERS, N_RINGS)),
        scale=np.empty((2, N_FILTERS, N_BINS)),
        lead=np.empty((3, N_RINGS, N_ANGLES), np.float32),
        sums=np.empty(N_ANGLES, np.float32),
        mean=np.empty(N_RINGS),
    )


def _gaussian(fwhm: float) -> np.ndarray:
    """Return a Gaussian with a square sum of 1, to 2.5 sigma; `fwhm` in cells."""
    sigma = max(fwhm / FWHM_PER_SIGMA, THINNEST)
    half = min(math.ceil(2.5 * sigma), REACH)
    taps: np.ndarray = np.exp(-0.5 * (np.arange(-half, half + 1) / sigma) ** 2)
    return taps / math.sqrt(float((taps**2).sum()))


def _ridge(fwhm: float) -> np.ndarray:
    """Return the negative second derivative of a Gaussian to 3 sigma, with sum 0 and square sum 1; `fwhm` in cells."""
    sigma = max(fwhm / FWHM_PER_SIGMA, THINNEST)
    half = min(math.ceil(3.0 * sigma), REACH)
    x = (np.arange(-half, half + 1) / sigma) ** 2
    taps: np.ndarray = (1.0 - x) * np.exp(-0.5 * x)
    taps -= taps.mean()
    return taps / math.sqrt(float((taps**2).sum()))
