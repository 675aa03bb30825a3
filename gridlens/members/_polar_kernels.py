"""Compiled kernels of the polar member: the white and the blue map about the BCG, filtered along and across rings.

Arcs follow circles about the BCG. Both maps are resampled to rings of half an arcsecond and 96 angles, and ridge
filters are applied to them: narrow across the rings and long along them for arcs, and the reverse for the spikes of
stars. `_polar.py` names the features, `_polar_room.py` holds the grid and the filters. The kernels take and return
plain arrays, keep no global state and release the GIL.
"""

import math

import numpy as np

from gridlens._jit import entry, jit
from gridlens.members._polar_room import (
    FIRST_RING,
    INNER,
    LAST_RING,
    MOST_SAMPLES,
    N_ANGLES,
    N_BIN_FIELDS,
    N_BINS,
    N_BOTH_FIELDS,
    N_FILTERS,
    N_RINGS,
    STEP,
)

__all__ = ["polar_row"]

ARCS = 3  # number of filters for arcs, before those for spikes, see `respond`
BROAD_SHORT, BROAD_SPIKE = 1, 4
CUT = 1.5  # smallest lead that connects cells along a ring
CLIP = 4.0  # of the map's scale: limit of a cell in its ring mean, so that a galaxy cannot mimic a ring
BESIDE = 4  # rings: distance of the rings that a ring is compared with
ABOVE = 2.0  # smallest lead that counts
LEAST = 0.1  # of the scale: lower limit of the maxima in a ratio
_LOWEST = np.float32(-math.inf)
_ZERO = np.float32(0.0)
_TO_SIGMA = math.sqrt(math.pi / 2.0)  # ratio of a Gaussian's sigma to its mean absolute value
_WINSOR = 2.5


@entry
def polar_row(maps, good, bcg_x, bcg_y, pixel_scale, room, out):
    """Fill `out` with the polar features of one cutout.

    Parameters
    ----------
    maps : ndarray of shape (3, H, W), float32
        Maps `white0`, `white` and `blue` of the contract; the first one is not used.
    good : ndarray of shape (H, W), bool
        Pixels that are finite in all bands.
    bcg_x, bcg_y : float
        px
    pixel_scale : float
        arcsec per px
    room : Room
    out : ndarray of shape (144,), float32
        NaN where the cutout does not extend far enough.
    """
    for k in range(out.shape[0]):
        out[k] = math.nan
    resample(maps, good, bcg_x, bcg_y, pixel_scale, room)
    for f in range(N_FILTERS):
        # A ridge across rings needs both of its sides; smoothing across rings may be truncated.
        half = room.across_half[min(f, 1)] if f < ARCS else 0
        for j in range(N_RINGS):
            whole = j >= half and j + half < N_RINGS
            for i in range(max(j - half, 0), min(j + half + 1, N_RINGS)):
                whole = whole and room.held[i]
            room.defined[f, j] = whole
    n = N_BINS * N_BIN_FIELDS
    for m in range(2):
        respond(room.polar[m], room, room.response[m])
        for f in range(N_FILTERS):
            tops(room.response[m, f], room.valid, room.top[m, f])
        unit = robust_scale(room.polar[m], room.held, FIRST_RING, LAST_RING, room)
        for b in range(N_BINS):
            first = m * n + b * N_BIN_FIELDS
            fill_bin(m, b, unit, room, out[first : first + N_BIN_FIELDS])
        if not math.isnan(unit):
            fill_rings(m, unit, room, out[m * n : (m + 1) * n])
    for b in range(N_BINS):
        first = 2 * n + b * N_BOTH_FIELDS
        fill_both(b, room, out[first : first + N_BOTH_FIELDS])


@jit
def resample(maps, good, bcg_x, bcg_y, pixel_scale, room):
    """Average the white and the blue map in each cell, over up to 4 x 4 samples about a pixel apart.

    A sample must lie between four good pixels, and half of the samples of a cell must be valid; a ring is valid if half
    of its cells are.
    """
    height, width = good.shape
    clean = True
    for y in range(height):
        for x in range(width):
            clean &= good[y, x]
    n_across = samples(STEP / pixel_scale)
    for j in range(N_RINGS):
        radius = INNER + STEP * (j + 0.5)
        n_along = samples(ring_cell(j) / pixel_scale)
        n_valid = 0
        for a in range(N_ANGLES):
            white, blue, n = 0.0, 0.0, 0
            for p in range(n_across):
                r = (radius + STEP * ((p + 0.5) / n_across - 0.5)) / pixel_scale
                for q in range(n_along):
                    x = bcg_x + r * room.cosine[n_along - 1, a, q]
                    y = bcg_y + r * room.sine[n_along - 1, a, q]
                    if not (x >= 0.0 and y >= 0.0 and x <= width - 1.0 and y <= height - 1.0):
                        continue
                    x0, y0 = min(int(x), width - 2), min(int(y), height - 2)
                    if clean or (good[y0, x0] and good[y0, x0 + 1] and good[y0 + 1, x0] and good[y0 + 1, x0 + 1]):
                        white += bilinear(maps[1], x0, y0, x - x0, y - y0)
                        blue += bilinear(maps[2], x0, y0, x - x0, y - y0)
                        n += 1
            fine = n > 0 and 2 * n >= n_across * n_along
            room.valid[j, a] = 1.0 if fine else 0.0
            room.polar[0, j, a] = white / n if fine else 0.0
            room.polar[1, j, a] = blue / n if fine else 0.0
            n_valid += 1 if fine else 0
        room.held[j], room.n_valid[j] = 2 * n_valid >= N_ANGLES, n_valid
        if not room.held[j]:
            for a in range(N_ANGLES):
                room.valid[j, a] = room.polar[0, j, a] = room.polar[1, j, a] = 0.0


@jit
def samples(pixels):
    """Return the number of samples along the side of a cell of a given number of pixels."""
    return min(max(math.ceil(pixels - 1e-9), 1), MOST_SAMPLES)


@jit
def bilinear(image, x0, y0, u, v):
    """Return the value of an image between the pixel (x0, y0) and the next ones."""
    upper = image[y0, x0] + u * (image[y0, x0 + 1] - image[y0, x0])
    lower = image[y0 + 1, x0] + u * (image[y0 + 1, x0 + 1] - image[y0 + 1, x0])
    return upper + v * (lower - upper)


@jit
def respond(polar, room, response):
    """Apply the five filters: arcs narrow and long, broad and short, broad and long; spikes narrow, broad."""
    for k in range(4):
        for j in range(N_RINGS):
            convolve_ring(polar[j], room.along[k, j], room.along_half[k, j], room.line, room.stage[j])
        if k == 0:
            convolve_rings(room.stage, room.across[1], room.across_half[1], response[1])
        elif k == 1:
            convolve_rings(room.stage, room.across[0], room.across_half[0], response[0])
            convolve_rings(room.stage, room.across[1], room.across_half[1], response[2])
        else:
            convolve_rings(room.stage, room.across[2], room.across_half[2], response[1 + k])


@jit
def convolve_ring(values, taps, half, line, out):
    """Convolve circularly along one ring; `line` is a buffer for the ring and its periodic margins."""
    for a in range(N_ANGLES):
        line[half + a] = values[a]
        out[a] = 0.0
    for k in range(half):
        line[k] = values[N_ANGLES - half + k]
        line[half + N_ANGLES + k] = values[k]
    for t in range(2 * half + 1):
        tap, window = taps[t], line[t : t + N_ANGLES]
        for a in range(N_ANGLES):
            out[a] += tap * window[a]


@jit
def convolve_rings(source, taps, half, out):
    """Convolve from ring to ring, for the rings of the bins."""
    for j in range(FIRST_RING, LAST_RING):
        row = out[j]
        for a in range(N_ANGLES):
            row[a] = 0.0
        for t in range(max(half - j, 0), min(2 * half + 1, N_RINGS + half - j)):
            tap, other = taps[t], source[j + t - half]
            for a in range(N_ANGLES):
                row[a] += tap * other[a]


@jit
def tops(response, valid, top):
    """Find the largest valid response of each ring of the bins; minus infinity for a ring without one."""
    for j in range(FIRST_RING, LAST_RING):
        most = _LOWEST
        for a in range(N_ANGLES):
            value = response[j, a] if valid[j, a] > 0.0 else _LOWEST
            most = value if value > most else most
        top[j] = most


@jit
def robust_scale(values, defined, first, last, room):
    """Return the scale of the values of some rings, as a Gaussian's sigma: the mean absolute value, winsorised twice.

    NaN without values. Values are summed angle by angle, so that eight angles are added at a time.
    """
    n = 0
    for j in range(first, last):
        n += room.n_valid[j] if defined[j] else 0
    sums, limit = room.sums, np.float32(math.inf)
    total = 0.0
    for _ in range(3):
        for a in range(N_ANGLES):
            sums[a] = 0.0
        for j in range(first, last):
            if defined[j]:
                ring, valid = values[j], room.valid[j]
                for a in range(N_ANGLES):
                    size = abs(ring[a])
                    sums[a] += (size if size < limit else limit) * valid[a]
        total = 0.0
        for a in range(N_ANGLES):
            total += sums[a]
        if not (n > 0 and total > 0.0):
            return math.nan
        limit = np.float32(_WINSOR * total / n)
    return total / n * _TO_SIGMA


@jit
def enough(defined, first, last):
    """Return whether half of the rings of a bin are defined."""
    n = 0
    for j in range(first, last):
        n += 1 if defined[j] else 0
    return 2 * n >= last - first


@jit
def fill_bin(m, b, unit, room, row):
    """Fill in the features of one bin: maxima, cells and runs that resemble an arc, scale and ratios."""
    first, last = room.bins[b], room.bins[b + 1]
    for f in range(N_FILTERS):
        room.scale[m, f, b] = math.nan
        if enough(room.defined[f], first, last):
            room.scale[m, f, b] = robust_scale(room.response[m, f], room.defined[f], first, last, room)
    for f in range(ARCS):
        row[f] = greatest(m, f, b, room)
    if not math.isnan(row[0]):
        row[5] = math.log(max(row[0], LEAST) / max(greatest(m, ARCS, b, room), LEAST))
    scale = room.scale[m, BROAD_SHORT, b]
    if math.isnan(scale):
        return
    fill_lead(m, first, last, scale, room)
    n_cells, n_above = 0, 0
    for j in range(first, last):
        if room.defined[BROAD_SHORT, j]:
            n_cells += room.n_valid[j]
            for a in range(N_ANGLES):
                n_above += 1 if room.lead[m, j, a] > ABOVE else 0
    row[3] = n_above / n_cells
    row[4] = math.log(scale / unit)
    row[6] = math.log(max(row[1], row[2], LEAST) / max(greatest(m, BROAD_SPIKE, b, room), LEAST))
    row[7] = longest_arc(room.lead[m], first, last)


@jit
def fill_lead(m, first, last, scale, room):
    """Subtract the broad spike response from the broad short arc response, in units of the arc's scale, in a bin."""
    arc, spike = room.response[m, BROAD_SHORT], room.response[m, BROAD_SPIKE]
    for j in range(first, last):
        lead = room.lead[m, j]
        for a in range(N_ANGLES):
            if room.defined[BROAD_SHORT, j] and room.valid[j, a] > 0.0:
                lead[a] = (arc[j, a] - max(spike[j, a], _ZERO)) / scale
            else:
                lead[a] = _LOWEST


@jit
def greatest(m, f, b, room):
    """Return the largest response of a filter in a bin, in units of its scale there; NaN without one."""
    most = math.nan
    for j in range(room.bins[b], room.bins[b + 1]):
        if room.defined[f, j] and not room.top[m, f, j] / room.scale[m, f, b] <= most:
            most = room.top[m, f, j] / room.scale[m, f, b]
    return most


@jit
def longest_arc(lead, first, last):
    """Return the longest stretch above the cut in one of a bin's rings, arcsec; rings are closed."""
    longest = 0.0
    for j in range(first, last):
        run, cells, n_above = 0, 0, 0
        for a in range(N_ANGLES):
            n_above += 1 if lead[j, a] > CUT else 0
        if n_above * ring_cell(j) <= longest:
            continue
        for k in range(2 * N_ANGLES):
            run = run + 1 if lead[j, k % N_ANGLES] > CUT else 0
            cells = max(cells, run)
        longest = max(longest, min(cells, N_ANGLES) * ring_cell(j))
    return longest


@jit
def ring_cell(j):
    """Return the length of a cell along a ring, arcsec."""
    return (INNER + STEP * (j + 0.5)) * (2.0 * math.pi / N_ANGLES)


@jit
def fill_rings(m, scale, room, row):
    """Compute the largest mean of a ring in each bin, and the largest excess over the rings 2 arcsec beside it."""
    polar = room.polar[m]
    for j in range(N_RINGS):
        total = 0.0
        for a in range(N_ANGLES):
            total += min(max(polar[j, a], -CLIP * scale), CLIP * scale)
        room.mean[j] = total / (room.n_valid[j] * scale) if room.held[j] else math.nan
    for b in range(N_BINS):
        first, last = room.bins[b], room.bins[b + 1]
        if not enough(room.held, first, last):
            continue
        for j in range(first, last):
            mean = room.mean[j]
            contrast = mean - 0.5 * (room.mean[j - BESIDE] + room.mean[j + BESIDE])
            # Comparisons with NaN are false, so the first number is taken and NaN never.
            if not math.isnan(mean) and not mean <= row[b * N_BIN_FIELDS + 8]:
                row[b * N_BIN_FIELDS + 8] = mean
            if not math.isnan(contrast) and not contrast <= row[b * N_BIN_FIELDS + 9]:
                row[b * N_BIN_FIELDS + 9] = contrast


@jit
def fill_both(b, room, row):
    """Fill in the features of cells with an arc in both maps, and the other map's response at the strongest arc."""
    first, last = room.bins[b], room.bins[b + 1]
    if math.isnan(room.scale[0, BROAD_SHORT, b]) or math.isnan(room.scale[1, BROAD_SHORT, b]):
        return
    white, blue, both = room.lead[0], room.lead[1], room.lead[2]
    for j in range(first, last):
        for a in range(N_ANGLES):
            both[j, a] = min(white[j, a], blue[j, a])
    j, a = strongest(both, first, last)
    row[0], row[1] = both[j, a], longest_arc(both, first, last)
    for m in range(2):
        j, a = strongest(room.lead[m], first, last)
        own, other = room.response[m, BROAD_SHORT, j, a], room.response[1 - m, BROAD_SHORT, j, a]
        if own > 0.0:
            row[2 + m] = other / own


@jit
def strongest(lead, first, last):
    """Return the ring and the angle of the largest number in some rings, the first one of equals."""
    ring, angle, most = first, 0, _LOWEST
    for j in range(first, last):
        for a in range(N_ANGLES):
            if lead[j, a] > most:
                ring, angle, most = j, a, lead[j, a]
    return ring, angle
