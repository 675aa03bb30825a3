"""Order statistics in place: a selection instead of a sort."""

import math

from gridlens._jit import jit

__all__ = ["median", "percentile", "select"]


@jit
def select(values, begin, end, k):
    """Value that a sort of ``values[begin:end]`` would put at index `k`, with nothing larger left before it.

    Hoare's selection with the median of three as the pivot; nothing smaller is left behind index `k` either. All
    values must be numbers, not NaN.
    """
    low, high = begin, end - 1
    while low < high:
        a, b, c = values[low], values[(low + high) // 2], values[high]
        pivot = max(min(a, b), min(max(a, b), c))
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if k <= j:
            high = j
        elif k >= i:
            low = i
        else:
            break
    return values[k]


@jit
def median(values, begin, end):
    """Median of ``values[begin:end]``, not empty, which it rearranges; the mean of the middle two for an even count."""
    middle = begin + (end - begin) // 2
    upper = select(values, begin, end, middle)
    if (end - begin) % 2 == 1:
        return upper
    lower = values[begin]
    for i in range(begin + 1, middle):
        lower = max(lower, values[i])
    return 0.5 * (lower + upper)


@jit
def percentile(values, n, fraction):
    """Quantile of ``values[:n]``, not empty, by linear interpolation between ranks; rearranges the array."""
    position = fraction * (n - 1)
    k = math.floor(position)
    lower = select(values, 0, n, k)
    if k + 1 >= n:
        return lower
    upper = values[k + 1]
    for i in range(k + 2, n):
        upper = min(upper, values[i])
    return lower + (position - k) * (upper - lower)
