"""Connected components of a map above a threshold, as runs of pixels: "arc candidates" of the feature contract.

A run is a row y and the columns from x0 up to, but excluding, x1. Runs are found in raster order, joined with those of
the row above by union-find, and listed component by component.
"""

from gridlens._jit import jit

__all__ = ["MIN_PIXELS", "find_components", "find_runs", "most_components", "most_runs"]

MIN_PIXELS = 15


def most_runs(size: int) -> int:
    """Return the maximum number of runs in a square image."""
    return size * ((size + 1) // 2)


def most_components(size: int) -> int:
    """Return the maximum number of components of `MIN_PIXELS` in a square image."""
    return size * size // MIN_PIXELS + 1


@jit
def find_runs(image, good, threshold, flags, words, runs):
    """Find runs of good pixels above a threshold, fill `runs` (3, most runs) and return their number.

    `flags` (bool) is a work array for one row, padded with False to whole `words`, which is the same memory as uint64,
    so that most of the sky is skipped eight pixels at a time.
    """
    ys, x0s, x1s = runs[0], runs[1], runs[2]
    n = 0
    for y in range(image.shape[0]):
        row, fine = image[y], good[y]
        for x in range(row.shape[0]):
            flags[x] = (row[x] > threshold) & fine[x]
        above = False
        for j in range(words.shape[0]):
            if words[j] == 0 and not above:
                continue
            for x in range(8 * j, 8 * j + 8):
                if flags[x] != above:
                    above = not above
                    if above:
                        ys[n], x0s[n] = y, x
                    else:
                        x1s[n] = x
                        n += 1
        if above:
            x1s[n] = row.shape[0]
            n += 1
    return n


@jit
def root_of(parent, k):
    """Return the first known run of the component of run `k`."""
    while parent[k] != k:
        parent[k] = parent[parent[k]]
        k = parent[k]
    return k


@jit
def join_runs(runs, n, parent):
    """Join each run with the touching runs of the row above, including corners; a component's first run is its root."""
    ys, x0s, x1s = runs[0], runs[1], runs[2]
    above, row_begin = 0, 0
    for k in range(n):
        parent[k] = k
        if k > 0 and ys[k] != ys[k - 1]:
            above = row_begin if ys[k] == ys[k - 1] + 1 else k
            row_begin = k
        while above < row_begin and x1s[above] < x0s[k]:
            above += 1
        near = above
        while near < row_begin and x0s[near] <= x1s[k]:
            a, b = root_of(parent, near), root_of(parent, k)
            if a < b:
                parent[b] = a
            else:
                parent[a] = b
            near += 1


@jit
def find_components(runs, n, parent, sizes, areas, members, bounds):
    """Find components of at least 15 px among `n` runs, in raster order of their first pixels; return their number.

    The runs of component c are ``members[bounds[c] : bounds[c + 1]]``, in raster order. `parent`, `sizes` and `areas`
    are work arrays.
    """
    join_runs(runs, n, parent)
    x0s, x1s = runs[1], runs[2]
    for k in range(n):
        sizes[k], areas[k] = 0, 0
    for k in range(n):
        # Roots precede the runs below them, so a single step leads to the root.
        parent[k] = parent[parent[k]]
        sizes[parent[k]] += 1
        areas[parent[k]] += x1s[k] - x0s[k]
    n_components, total = 0, 0
    for k in range(n):
        if parent[k] == k and areas[k] >= MIN_PIXELS:
            bounds[n_components] = total
            total += sizes[k]
            sizes[k] = bounds[n_components]
            n_components += 1
    bounds[n_components] = total
    for k in range(n):
        first = parent[k]
        if areas[first] >= MIN_PIXELS:
            members[sizes[first]] = k
            sizes[first] += 1
    return n_components
