"""S/N planes and detection maps of a cutout (section "per-cutout preparation" of the feature contract).

All images are plain float32 arrays in units of the noise, so very small flux units cause no problem. Sums, and
differences from a large level, are computed in float64. Numbers in brackets are the steps of the contract.
"""

import math

import numpy as np

from gridlens._constants import MAD_TO_SIGMA
from gridlens._jit import jit, part
from gridlens.features._geometry import fill_rings
from gridlens.features._order import key_of, median, percentile, value_of

__all__ = [
    "OK",
    "SAMPLE",
    "check_geometry",
    "prepare",
    "smooth",
    "subtract_bcg",
    "total",
    "turn_to",
]

# Status codes of `prepare`; a band without noise is NOISELESS plus the band's index.
OK = 0
BAD_GEOMETRY = 1
TOO_MANY_BAD = 2
NO_SKY = 3
NOISELESS = 4

MIN_SIZE = 48
MIN_SCALE = 0.03
MAX_SCALE = 2.0
ONE_BAD_IN = 5  # a cutout is rejected if more than one pixel in five is bad
SKY_FRACTION = 0.4
MIN_RING_PIXELS = 8
SAMPLE = 256
BCG_HALF_BOX = 3

_LARGEST = np.float32(np.finfo(np.float32).max)
_ZERO = np.float32(0.0)
_TENTH = np.float32(0.1)
_SAMPLED = np.float32(0.05)  # typical difference between the median of a sample and of all values
_RING_STEP = np.float32(0.2)  # typical difference between the medians of neighbouring rings, S/N
_SMOOTHING = np.float32(
    1.0 / (16.0 * 0.375)
)  # normalization of the kernel [1 2 1] x [1 2 1], divided by its noise gain
_WHITE = np.float32(1.0 / math.sqrt(3.0))


@jit
def check_geometry(height, width, bcg_x, bcg_y, pixel_scale):
    """Return whether a cutout of this shape, BCG (px) and scale (arcsec per px) can be measured; False for NaN."""
    return (
        height == width
        and height >= MIN_SIZE
        and MIN_SCALE <= pixel_scale <= MAX_SCALE
        and -0.5 <= bcg_x < width - 0.5
        and -0.5 <= bcg_y < height - 0.5
    )


@jit
def prepare(pixels, planes, good, sigma, keys, values, sample):
    """Fill the sky-subtracted S/N planes, the mask of good pixels and the noise per band in place [1-4].

    Return a status and the number of bad pixels. `keys`, `values` (the same memory) and `sample` are work arrays.
    """
    n_bad = load(pixels, planes, good)
    if n_bad * ONE_BAD_IN > good.size:
        return TOO_MANY_BAD, n_bad
    for b in range(3):
        sigma[b] = noise(planes[b], good, n_bad, keys, values, sample)
        if not sigma[b] > 0.0:
            return NOISELESS + b, n_bad
        n = frame_keys(planes[b], good, keys)
        if n == 0:
            return NO_SKY, n_bad
        guess, step = value_of(keys[n // 2]), np.float32(0.25 * sigma[b])
        standardise(planes[b], good, percentile(keys[:n], SKY_FRACTION, guess, step), sigma[b])
    return OK, n_bad


@jit
def load(pixels, planes, good):
    """Copy a cutout (H, W, 3) by band, mark pixels finite in all bands, and return the number of bad pixels [1]."""
    height, width, _ = pixels.shape
    n_good = np.int64(0)
    for y in range(height):
        row, g, r, i, fine = pixels[y], planes[0, y], planes[1, y], planes[2, y], good[y]
        n = np.int32(0)
        for x in range(width):
            g[x], r[x], i[x] = row[x, 0], row[x, 1], row[x, 2]
            fine[x] = (abs(g[x]) <= _LARGEST) & (abs(r[x]) <= _LARGEST) & (abs(i[x]) <= _LARGEST)
            n = np.int32(n + np.int32(fine[x]))
        n_good += n
    return height * width - n_good


@jit
def noise(plane, good, n_bad, keys, values, sample):
    """Return the noise of one band from differences of good horizontal neighbours; 0 without any [2]."""
    height, width = good.shape
    n = 0
    for y in range(height):
        row, fine, differences = plane[y], good[y], values[n : n + width - 1]
        if n_bad == 0:
            for x in range(width - 1):
                differences[x] = abs(row[x + 1] - row[x])
            n += width - 1
        else:
            for x in range(width - 1):
                if fine[x] and fine[x + 1]:
                    values[n] = abs(row[x + 1] - row[x])
                    n += 1
    if n == 0:
        return 0.0
    # Absolute differences are not negative, so their bits are their keys. The median of a sample is a good first guess.
    few = min(n, SAMPLE)
    for k in range(few):
        sample[k] = keys[n * k // few]
    first = values[n // 2]
    guess = median(sample[:few], first, _TENTH * first)
    return MAD_TO_SIGMA * np.float64(median(keys[:n], guess, _SAMPLED * guess)) / math.sqrt(2.0)


@jit
def frame_keys(plane, good, keys):
    """Put the keys of the good pixels of the border frame into `keys`, and return their number [3]."""
    height, width = good.shape
    border = max(2, height // 16)
    n = np.int64(0)
    for y in range(height):
        row, fine = plane[y], good[y]
        whole = y < border or y >= height - border
        for side in range(1 if whole else 2):
            first = 0 if side == 0 else width - border
            for x in range(first, width if whole else first + border):
                # Every pixel is written but only good ones are kept, which avoids a branch. Bad pixels may be NaN,
                # which has no key.
                keys[n] = key_of(row[x] if fine[x] else _ZERO)
                n += np.int64(fine[x])
    return n


@jit
def standardise(plane, good, sky, sigma):
    """Subtract the sky of one band and divide by its noise in place; bad pixels become 0, the sky level [1, 3, 4]."""
    height, width = good.shape
    scale = 1.0 / sigma
    for y in range(height):
        row, fine = plane[y], good[y]
        for x in range(width):
            value = np.float32((np.float64(row[x]) - sky) * scale)
            row[x] = value if fine[x] else _ZERO


@part
def turn_to(bcg_x, bcg_y, work):
    """Fill the rings about the BCG unless the last cutout had the same ones; return whether they are new [5]."""
    moved = not (work.place[0] == bcg_x and work.place[1] == bcg_y)
    if moved:
        size = work.good.shape[0]
        n_rings = fill_rings(size, bcg_x, bcg_y, work.keys, work.order, work.start, work.lower, work.weight)
        work.place[0], work.place[1], work.place[2] = bcg_x, bcg_y, n_rings
    return moved


@part
def subtract_bcg(bcg_x, bcg_y, n_rings, work):
    """Fill the unsmoothed maps without the BCG's light, for the position of `turn_to` [5-8]."""
    for b in range(3):
        fill_profile(work.flat[b], work.order, work.start, n_rings, work.keys, work.profile[b])
    bcg_fluxes(work.planes, work.sigma, bcg_x, bcg_y, work.fluxes)
    blue_g, blue_i = blue_weights(work.sigma, work.fluxes)
    fill_table(work.profile, n_rings, blue_g, blue_i, work.table)
    raw_maps(work.planes, work.table, work.lower, work.weight, blue_g, blue_i, work.raw)


@jit
def fill_profile(plane, order, start, n_rings, keys, profile):
    """Fill the median light in rings about the BCG; a sparse ring uses the next inner full one, else the first [5]."""
    for k in range(order.shape[0]):
        keys[k] = key_of(plane[order[k]])
    first = -1
    value = _ZERO
    for k in range(n_rings):
        if start[k + 1] - start[k] >= MIN_RING_PIXELS:
            value = median(keys[start[k] : start[k + 1]], value, _RING_STEP)
            if first < 0:
                first = k
        profile[k] = value
    for k in range(first):
        profile[k] = profile[first]
    profile[n_rings] = profile[n_rings - 1]


@jit
def fill_table(profile, n_rings, blue_g, blue_i, table):
    """Fill the profiles of the white and the blue map and their slopes, from those of the bands, inwards."""
    white_next, blue_next = _ZERO, _ZERO
    for j in range(n_rings + 1):
        k = n_rings - j
        white = profile[0, k] + profile[1, k] + profile[2, k]
        blue = blue_g * profile[0, k] - blue_i * profile[2, k]
        table[k, 0], table[k, 2] = white, blue
        table[k, 1] = white_next - white if j > 0 else _ZERO
        table[k, 3] = blue_next - blue if j > 0 else _ZERO
        white_next, blue_next = white, blue


@jit
def bcg_fluxes(planes, sigma, bcg_x, bcg_y, fluxes):
    """Fill the flux of the BCG per band in a 7 x 7 box, at least 7 sigma [6]."""
    size = planes.shape[1]
    x, y = round(bcg_x), round(bcg_y)
    x0, x1 = max(0, x - BCG_HALF_BOX), min(size, x + BCG_HALF_BOX + 1)
    y0, y1 = max(0, y - BCG_HALF_BOX), min(size, y + BCG_HALF_BOX + 1)
    for b in range(3):
        light = 0.0
        for row in range(y0, y1):
            light += total(planes[b, row, x0:x1])
        fluxes[b] = max(light, 7.0) * sigma[b]


@jit
def blue_weights(sigma, fluxes):
    """Return the weights of the S/N in g and (subtracted) i that cancel the BCG's colour at unit noise [8]."""
    q = fluxes[0] / fluxes[2]
    scale = math.sqrt(sigma[0] * sigma[0] + q * q * sigma[2] * sigma[2])
    return np.float32(sigma[0] / scale), np.float32(q * sigma[2] / scale)


@jit
def total(values):
    """Return the sum of values."""
    out = 0.0
    for k in range(values.shape[0]):
        out += values[k]
    return out


@jit
def raw_maps(planes, table, lower, weight, blue_g, blue_i, raw):
    """Fill the unsmoothed white and blue maps without the BCG's light [7, 8].

    Both are sums over the bands, and so are their radial models, so two models are interpolated instead of three.
    """
    size = planes.shape[1]
    for y in range(size):
        g, r, i, white, blue = planes[0, y], planes[1, y], planes[2, y], raw[0, y], raw[1, y]
        rings, weights = lower[y * size : (y + 1) * size], weight[y * size : (y + 1) * size]
        for x in range(size):
            line, w = rings[x], weights[x]
            white[x] = table[line, 0] + w * table[line, 1]
            blue[x] = table[line, 2] + w * table[line, 3]
        for x in range(size):
            white[x] = (g[x] + r[x] + i[x] - white[x]) * _WHITE
            blue[x] = blue_g * g[x] - blue_i * i[x] - blue[x]


@jit
def smooth(image, out, line):
    """Smooth an image by [1 2 1] x [1 2 1] / 16 with replicated edges into `out`, divided by its noise gain."""
    height, width = image.shape
    for y in range(height):
        above, here, below = image[max(y - 1, 0)], image[y], image[min(y + 1, height - 1)]
        inner, row = line[1 : width + 1], out[y]
        for x in range(width):
            inner[x] = above[x] + here[x] + here[x] + below[x]
        line[0], line[width + 1] = line[1], line[width]
        left, right = line[0:width], line[2 : width + 2]
        for x in range(width):
            row[x] = (left[x] + inner[x] + inner[x] + right[x]) * _SMOOTHING
