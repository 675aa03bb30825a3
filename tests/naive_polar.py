"""Slow reference of `gridlens.members.polar_features`, written from its documentation alone, without package code."""

import math
from itertools import pairwise

import naive
import numpy as np
from scipy import ndimage

N_ANGLES, STEP = 96, 0.5
RADII = 2.25 + STEP * np.arange(68)
EDGES = [4, 8, 12, 16, 20, 26, 32]
BINS = [np.flatnonzero((low < RADII) & (high > RADII)) for low, high in pairwise(EDGES)]
FWHM = 2 * math.sqrt(2 * math.log(2))


def polar_features(pixels, bcg, pixel_scale):
    """Return the 144 features of one cutout, float64."""
    prepared = naive.prepare(pixels, bcg, pixel_scale)
    white, valid = resample(prepared.white, prepared.bad, bcg, pixel_scale)
    blue, _ = resample(prepared.blue, prepared.bad, bcg, pixel_scale)
    maps = [measure(polar, valid) for polar in (white, blue)]
    both = [number for b in range(len(BINS)) for number in in_both(maps[0][1][b], maps[1][1][b], b)]
    return np.array([*maps[0][0], *maps[1][0], *both])


def in_both(white, blue, b):
    """Return four features of a bin from the (lead, broad short response) of each map."""
    if white is None or blue is None:
        return [np.nan] * 4
    lead = np.minimum(white[0], blue[0])
    numbers = [np.nanmax(lead), longest_arc(lead, b)]
    for own, other in ((white, blue), (blue, white)):
        place = np.unravel_index(np.nanargmax(own[0]), own[0].shape)
        numbers.append(other[1][place] / own[1][place] if own[1][place] > 0 else np.nan)
    return numbers


def resample(image, bad, bcg, pixel_scale):
    """Return the cells (rings, angles) of a map, 0 where they are invalid, and the mask of valid cells."""
    height, width = image.shape
    out, valid = np.zeros((len(RADII), N_ANGLES)), np.zeros((len(RADII), N_ANGLES), bool)
    step = 2 * np.pi / N_ANGLES
    n_across = number(STEP / pixel_scale)
    for j, radius in enumerate(RADII):
        n_along = number(radius * step / pixel_scale)
        total, n = np.zeros(N_ANGLES), np.zeros(N_ANGLES, int)
        for p in range(n_across):
            for q in range(n_along):
                r = radius + STEP * ((p + 0.5) / n_across - 0.5)
                angle = step * (np.arange(N_ANGLES) + (q + 0.5) / n_along)
                x, y = bcg[0] + r * np.cos(angle) / pixel_scale, bcg[1] + r * np.sin(angle) / pixel_scale
                inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
                x0, y0 = np.clip(x.astype(int), 0, width - 2), np.clip(y.astype(int), 0, height - 2)
                inside &= ~(bad[y0, x0] | bad[y0, x0 + 1] | bad[y0 + 1, x0] | bad[y0 + 1, x0 + 1])
                n += inside
                total[inside] += ndimage.map_coordinates(image, [y[inside], x[inside]], order=1, mode="nearest")
        valid[j] = (n > 0) & (2 * n >= n_across * n_along)
        out[j, valid[j]] = total[valid[j]] / n[valid[j]]
        if 2 * valid[j].sum() < N_ANGLES:
            out[j], valid[j] = 0.0, False
    return out, valid


def number(pixels):
    """Return the number of samples along the side of a cell."""
    return int(np.clip(np.ceil(round(pixels, 9)), 1, 4))


def gaussian(fwhm):
    sigma = max(fwhm / FWHM, 0.6)
    half = min(math.ceil(2.5 * sigma), 47)
    taps = np.exp(-0.5 * (np.arange(-half, half + 1) / sigma) ** 2)
    return taps / np.linalg.norm(taps)


def ridge(fwhm):
    sigma = max(fwhm / FWHM, 0.6)
    half = min(math.ceil(3 * sigma), 47)
    x = np.arange(-half, half + 1) / sigma
    taps = (1 - x**2) * np.exp(-(x**2) / 2)
    taps = taps - taps.mean()
    return taps / np.linalg.norm(taps)


def filtered(polar, valid, length, width, spike):
    """Return the response of one filter, NaN where it is undefined."""
    arc_length = RADII * 2 * np.pi / N_ANGLES
    held = valid.any(axis=1)
    if spike:
        along = [ridge(width / cell) for cell in arc_length]
        across, reach = gaussian(length / STEP), 0
    else:
        along = [gaussian(length / cell) for cell in arc_length]
        across = ridge(width / STEP)
        reach = len(across) // 2
    rows = [ndimage.convolve1d(ring, taps, mode="wrap") for ring, taps in zip(polar, along, strict=True)]
    out = ndimage.convolve1d(np.array(rows), across, axis=0, mode="constant")
    for j in range(len(RADII)):
        if j < reach or j + reach >= len(RADII) or not held[j - reach : j + reach + 1].all():
            out[j] = np.nan
    out[~valid] = np.nan
    return out


def scale_of(values):
    """Return the winsorised mean absolute value as a sigma."""
    size = np.abs(values[np.isfinite(values)])
    mean = size.mean()
    for _ in range(2):
        mean = np.minimum(size, 2.5 * mean).mean()
    return mean * math.sqrt(np.pi / 2)


def longest_arc(lead, b):
    """Return the longest stretch of a ring with a lead over 1.5, arcsec."""
    longest = 0.0
    for row, radius in zip(lead, RADII[BINS[b]], strict=True):
        above = np.nan_to_num(row, nan=-1.0) > 1.5
        cells = above.size
        if not above.all():
            labels, _ = ndimage.label(np.roll(above, -np.flatnonzero(~above)[0]))
            cells = np.bincount(labels)[1:].max(initial=0)
        longest = max(longest, cells * radius * 2 * np.pi / N_ANGLES)
    return longest


def measure(polar, valid):
    """Return 60 features, and for each bin (lead, broad short response) or None."""
    held = valid.any(axis=1)
    shapes = [(8.0, 1.2, False), (4.0, 2.0, False), (8.0, 2.0, False), (4.0, 1.2, True), (4.0, 2.0, True)]
    responses = [filtered(polar, valid, *shape) for shape in shapes]
    inner = np.where(valid, polar, np.nan)
    within = inner[(RADII > 4) & (RADII < 32)]
    numbers, leads = [], []
    if not np.isfinite(within).any():
        return [np.nan] * 60, [None] * 6
    unit = scale_of(within)
    means = np.full(len(RADII), np.nan)
    for j in np.flatnonzero(held):
        means[j] = np.nanmean(np.clip(inner[j], -4 * unit, 4 * unit)) / unit
    for b, rings in enumerate(BINS):
        top, scales = [], []
        for response in responses:
            part = response[rings]
            enough = 2 * np.isfinite(part).any(axis=1).sum() >= len(rings)
            scales.append(scale_of(part) if enough else np.nan)
            top.append(np.nanmax(part) / scales[-1] if enough else np.nan)
        # A comparison with NaN is false, so a missing spike response counts as 0.1.
        spikes = [spike if spike > 0.1 else 0.1 for spike in top[3:]]
        narrow = math.log(max(top[0], 0.1) / spikes[0]) if np.isfinite(top[0]) else np.nan
        share = size = broad = run = np.nan
        leads.append(None)
        if np.isfinite(scales[1]):
            lead = (responses[1][rings] - np.maximum(responses[4][rings], 0)) / scales[1]
            leads[-1] = lead, responses[1][rings]
            share = (lead > 2).sum() / np.isfinite(lead).sum()
            size = math.log(scales[1] / unit)
            broad = math.log(max(top[1], top[2], 0.1) / spikes[1])
            run = longest_arc(lead, b)
        ring = contrast = np.nan
        if 2 * held[rings].sum() >= len(rings):
            differences = means[rings] - (means[rings - 4] + means[rings + 4]) / 2
            ring = np.nanmax(means[rings])
            contrast = np.nanmax(differences) if np.isfinite(differences).any() else np.nan
        numbers += [*top[:3], share, size, narrow, broad, run, ring, contrast]
    return numbers, leads
